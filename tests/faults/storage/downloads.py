"""Servers with ill manners, sources of this machine, and downloads that are killed: the right file, or one line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from minilocal.cli import main
from minilocal.data import download
from minilocal.data.official import CIFAR10, FORMATS
from tests.data.conftest import pack, random_images, small
from tests.faults.storage.case import Case
from tests.faults.storage.child import Child, Ended
from tests.faults.storage.expect import one_line, well
from tests.faults.storage.small import tidy
from tests.helpers.site import Site, start

NAME, SECONDS = "cifar-10-binary.tar.gz", 60.0
PART = f"data/{NAME}.part"
LIMITS = {"ANSWER": 1.0, "STALL": 1.0, "WINDOW": 1.0}  # seconds, in place of a minute and half a one
WRONG = 64  # bytes that are exchanged


def cases() -> Iterator[Case]:
    for name, faults in GOOD.items():
        yield Case(f"{name}: the right file", partial(fetched, faults=faults), name in ("whole", "breaks twice"))
        yield Case(f"{name}, half of it there: the right file", partial(fetched, faults=faults, kept=0.5))
    for name, (faults, word) in BAD.items():
        short = name in ("endless, no length", "a byte a second", "a redirect to a file", "another file")
        yield Case(f"{name}: one line", partial(refused, faults=faults, word=word), short)
        yield Case(
            f"{name}, half of it there: one line, or the file", partial(refused, faults=faults, word="", kept=0.5)
        )


@cache
def archive() -> bytes:
    """A CIFAR-10 of 120 images, in its official layout, of some 180 KB."""
    import tempfile

    images = random_images(small(CIFAR10))
    with tempfile.TemporaryDirectory() as top:
        return pack(Path(top) / NAME, images.files(CIFAR10.layouts[0]), CIFAR10.layouts[0].folder).read_bytes()


def known() -> Any:
    """That data set with its length and checksum."""
    data = archive()
    about: dict[str, Any] = {"sums": {NAME: "sha256:" + hashlib.sha256(data).hexdigest()}, "lengths": {NAME: len(data)}}
    return replace(small(CIFAR10), layouts=(replace(CIFAR10.layouts[0], **about),))


def as_official() -> None:
    """In a forked process: it is what `cifar10` names."""
    FORMATS["cifar10"] = known()


def impatient() -> None:
    """In a forked process: it waits for nothing for long."""
    for name, seconds in LIMITS.items():
        setattr(download, name, seconds)


def asked(source: str) -> list[str]:
    return ["data", "cifar10", "--data-dir", "data", "--source", source]


def begun(folder: Path, source: str, before: Callable[[], object] = lambda: None) -> Child:
    def work() -> int:
        as_official()
        before()
        return main(asked(source))

    return Child(folder, work)


@contextmanager
def serving(**faults: Any) -> Iterator[Site]:
    site = Site(**{"content": archive(), **faults})
    server = start(site)
    site.url = site.url.replace("file.tar.gz", NAME)
    try:
        yield site
    finally:
        server.shutdown()
        server.socket.close()


def right(folder: Path, ended: Ended) -> None:
    well(ended)
    assert (folder / "data" / NAME).read_bytes() == archive(), "a wrong file is in place"
    assert "SHA-256 matches" in ended.out, ended.out
    tidy(folder)


def keep(folder: Path, share: float) -> None:
    (folder / "data").mkdir()
    if share:
        (folder / PART).write_bytes(archive()[: int(share * len(archive()))])


GOOD: dict[str, dict[str, Any]] = {
    "whole": {}, "no length": {"with_length": False}, "ignores ranges": {"ranges": False},
    "breaks twice": {"break_after": [5000, 7000]},
    "states a wrong range": {"wrong_range": True}, "sends another range": {"whole_range": True},
    "states a wrong range, no length": {"wrong_range": True, "with_length": False},
    "breaks twice, no length": {"break_after": [5000, 7000], "with_length": False},
    "breaks, ignores ranges": {"break_after": [5000], "ranges": False},
    "says it is text": {"content_type": "text/plain"}, "says nothing of its kind": {"content_type": ""},
    "garbage in a header": {"headers": {"X-Garbage": "\x1b[2J\xff", "Set-Cookie": "a" * 5000}},
}  # fmt: skip


def other_file() -> bytes:
    return archive()[:-WRONG] + bytes(WRONG)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "endless, no length": ({"endless": True, "with_length": False}, "it sent more than"),
    "endless, the right length": ({"endless": True, "content": b"y" * 5000, "length": "RIGHT"}, "another checksum"),
    "short": ({"content": b"\x1f\x8b" + b"x" * 1000}, "the official one"),
    "short, no length": ({"content": b"\x1f\x8b" + b"x" * 1000, "with_length": False}, "ended after"),
    "long": ({"content": b"\x1f\x8b" * 200_000}, "the official one"),
    "another file": ({"content": "OTHER"}, "another checksum"),
    "an untrue length": ({"length": "99"}, "the official one"),
    "a negative length": ({"length": "-5", "content": b"zz"}, "ended after"),
    "a length that is no number": ({"length": "ten", "content": b"zz"}, "ended after"),
    "a length of 40 digits": ({"length": "9" * 40, "content": b"zz"}, ""),
    "a byte a second": ({"drip": 0.25}, "bytes a second"),
    "stalls": ({"stall_after": 5000}, "timed out"),
    "stalls before the first byte": ({"stall_after": 0}, "timed out"),
    "does not answer": ({"silent": 3600}, "no answer within"),
    "always breaks": ({"break_after": [0] * 99}, "ended after"),
    "404": ({"status": 404}, "HTTP 404"), "403": ({"status": 403}, "HTTP 403"), "500": ({"status": 500}, "HTTP 500"),
    "503": ({"status": 503}, "HTTP 503"), "416": ({"status": 416}, "HTTP 416"), "418": ({"status": 418}, "HTTP 418"),
    "escape sequences in the reason": ({"status": 500, "reason": "\x1b[2J\x07boo"}, "HTTP 500 \\x1b[2J"),
    "a long reason": ({"status": 500, "reason": "long " * 5000}, "HTTP 500"),
    "a redirect to a file": ({"location": "file:///etc/passwd"}, ""),
    "a redirect to a folder of this machine": ({"location": "file:///"}, ""),
    "a redirect to ftp": ({"location": "ftp://127.0.0.1:1/x"}, ""),
    "a redirect to itself": ({"location": ""}, ""),
    "a redirect to nowhere": ({"location": "http://127.0.0.1:1/x"}, "refused"),
    "a redirect with escape sequences": ({"location": "\x1b]0;title\x07"}, ""),
    "a web page": ({"content": b"<html>Sign in</html>", "content_type": "text/html"}, "a web page"),
    "a web page that says it is a file":
        ({"content": b"\n <!DOCTYPE html>" + b" " * 999, "with_length": False}, "a web page"),
    "a web page of the right length": ({"content": "PAGE"}, "a web page"),
    "nothing": ({"content": b"", "with_length": False}, "ended after 0"),
    "a header without end": ({"headers": {"X-Long": "y" * 200_000}}, ""),
    "1000 headers": ({"headers": {f"X-{i}": "y" for i in range(1000)}}, ""),
}  # fmt: skip


def _filled(faults: dict[str, Any]) -> dict[str, Any]:
    size = len(archive())
    texts = {"OTHER": other_file(), "PAGE": b"<html>".ljust(size)}
    filled = {**faults, "content": texts.get(str(faults.get("content")), faults.get("content", archive()))}
    return {**filled, "length": str(size)} if faults.get("length") == "RIGHT" else filled


def fetched(folder: Path, faults: dict[str, Any], kept: float = 0) -> None:
    keep(folder, kept)
    faults = {**faults, "break_after": list(faults.get("break_after", []))}
    with serving(**faults) as site:
        right(folder, begun(folder, site.url).wait(SECONDS))


def refused(folder: Path, faults: dict[str, Any], word: str, kept: float = 0) -> None:
    """One line, nothing of the name, what is kept is the file's beginning; then a good source completes it."""
    keep(folder, kept)
    with serving(**_filled(faults)) as site:
        ended = begun(folder, site.url, impatient).wait(SECONDS)
    if ended.status or not kept:
        one_line(ended, word=word)
        assert not (folder / "data" / NAME).exists(), "a wrong file is in place"
        part = (folder / PART).read_bytes() if (folder / PART).exists() else b""
        assert len(part) <= len(archive()), f"{len(part)} bytes are kept"
        with serving() as site:
            ended = begun(folder, site.url).wait(SECONDS)
    right(folder, ended)
