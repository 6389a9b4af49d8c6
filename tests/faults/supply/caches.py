"""Compiled code on disk: none is loaded from a folder in which somebody else could have put it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from minilocal import private
from minilocal.private import why_not_private

ANOTHER = 54321  # the number of a user, and of a group, that nobody here has
Place = Callable[[Path], Path]


def own(top: Path) -> Path:
    (top / "own").mkdir(0o755)
    return top / "own"


def not_there_yet(top: Path) -> Path:
    return own(top) / "a/b"


def with_everybody(top: Path) -> Path:
    own(top).chmod(0o777)
    return top / "own"


def below_everybodys(top: Path) -> Path:
    place = with_everybody(top) / "deeper/cache"
    place.mkdir(parents=True)
    return place


def not_there_yet_below_everybodys(top: Path) -> Path:
    return with_everybody(top) / "deeper"


def sticky(top: Path) -> Path:
    own(top).chmod(0o1777)
    return top / "own"


def below_a_sticky_one(top: Path) -> Path:
    place = sticky(top) / "mine"
    place.mkdir(0o700)
    return place


def link_to_everybodys(top: Path) -> Path:
    (top / "link").symlink_to(with_everybody(top))
    return top / "link/cache"


def link_to_own(top: Path) -> Path:
    (top / "link").symlink_to(own(top))
    return top / "link/cache"


def with_a_group(top: Path) -> Path:
    os.chown(own(top), -1, ANOTHER)
    (top / "own").chmod(0o775)
    return top / "own"


def with_the_users_own_group(top: Path) -> Path:
    own(top).chmod(0o775)
    return top / "own"


def of_another(top: Path) -> Path:
    os.chown(own(top), ANOTHER, -1)
    return top / "own"


def below_anothers(top: Path) -> Path:
    place = of_another(top) / "cache"
    place.mkdir(0o700)
    return place


def link_to_anothers(top: Path) -> Path:
    (top / "link").symlink_to(of_another(top))
    return top / "link"


GOOD: tuple[Place, ...] = (own, not_there_yet, below_a_sticky_one, link_to_own, with_the_users_own_group)
BAD: tuple[Place, ...] = (
    with_everybody, below_everybodys, not_there_yet_below_everybodys, sticky, link_to_everybodys, with_a_group,
    of_another, below_anothers, link_to_anothers,
)  # fmt: skip
BY_ROOT = (with_a_group, of_another, below_anothers, link_to_anothers)  # who alone can give a folder away


def faults(check: Callable[[Path], str] = why_not_private) -> tuple[int, list[str]]:
    """How many places were tried, and a line for each that was judged wrongly."""
    wrong, tried = [], 0
    for place in (*GOOD, *BAD):
        if place in BY_ROOT and os.geteuid():
            continue
        with tempfile.TemporaryDirectory(prefix="supply-") as top, users_alone():
            answer, tried = check(place(Path(top))), tried + 1
        if bool(answer) == (place in GOOD):
            wrong.append(f"a folder {place.__name__.replace('_', ' ')}: {answer or 'trusted'}")
    return tried, wrong


@contextmanager
def users_alone() -> Iterator[None]:
    """As on a system that gives each user a group; ANOTHER has other members."""
    before = private._alone_in
    private._alone_in = lambda group: group != ANOTHER
    try:
        yield
    finally:
        private._alone_in = before
