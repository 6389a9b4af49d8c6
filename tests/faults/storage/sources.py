"""Other sources of a data set, downloads that are killed or meet a full disk, and odd parts of a download."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from minilocal.cli import main
from minilocal.data import download
from tests.faults.storage import downloads
from tests.faults.storage.case import Case
from tests.faults.storage.child import Child
from tests.faults.storage.downloads import NAME, PART, archive, as_official, begun, keep, other_file, right, serving
from tests.faults.storage.expect import content, one_line, well
from tests.faults.storage.intercept import Disk
from tests.faults.storage.writers import until


def cases() -> Iterator[Case]:
    for name, make in SOURCES.items():
        yield Case(f"--source {name}", partial(from_source, make=make), name == "a folder")
    for name, (make, word) in NO_SOURCES.items():
        yield Case(
            f"--source {name}: one line",
            partial(no_source, make=make, word=word),
            name in ("a dangling link", "a pipe"),
        )
    for after in (1000, 30_000, 100_000):
        yield Case(f"SIGKILL after {after} bytes, and again", partial(killed, after=after), after == 1000)
        yield Case(f"Ctrl-C after {after} bytes, and again", partial(stopped, after=after), after == 1000)
    for processes in (2, 5):
        yield Case(f"{processes} at once", partial(at_once, processes=processes), processes == 2)
    for number in range(1, 8):
        yield Case(f"disk full at call {number}", partial(full, number=number), number == 3)
    yield Case("train fetches what it needs, from a server that breaks", in_train)
    for kept in (b"", b"x" * 1000, None):
        yield Case(
            f"a part that is {'another file' if kept else 'empty' if kept is not None else 'too long'}",
            partial(odd_part, kept=kept),
        )
    for kind in ("a link", "a dangling link", "a folder", "a pipe"):
        yield Case(f"the part is {kind}", partial(part_is, kind=kind), kind == "a pipe")


def _file(folder: Path) -> Path:
    path = folder / "mirror" / NAME
    path.parent.mkdir()
    path.write_bytes(archive())
    return path


def _link(folder: Path, target: str | Path) -> str:
    (folder / "link").symlink_to(target)
    return "link"


def _named(folder: Path, name: str) -> str:
    shutil.move(_file(folder), folder / name)
    return name


SOURCES: dict[str, Callable[[Path], str]] = {
    "a file": lambda folder: str(_file(folder)),
    "a file by another name": lambda folder: _named(folder, "copy of it.bin"),
    "a folder": lambda folder: str(_file(folder).parent),
    "a folder with a trailing slash": lambda folder: f"{_file(folder).parent}/",
    "a link to a file": lambda folder: _link(folder, _file(folder)),
    "a link to a folder": lambda folder: _link(folder, _file(folder).parent),
    "a relative path": lambda folder: str(_file(folder).relative_to(folder)),
}  # fmt: skip


def _empty(folder: Path) -> str:
    (folder / "mirror").mkdir()
    return "mirror"


def _pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return "pipe"


def _wrong(folder: Path) -> str:
    (folder / "wrong").write_bytes(other_file())
    return "wrong"


NO_SOURCES: dict[str, tuple[Callable[[Path], str], str]] = {
    "an empty folder": (_empty, "has no"), "a dangling link": (lambda folder: _link(folder, "nowhere"),
    "no such file"),
    "a link to itself": (lambda folder: _link(folder, "link"), "link"), "a pipe": (_pipe, "no such file"),
    "/dev/zero": (lambda folder: "/dev/zero", "no such file"), "another file": (_wrong, "another checksum"),
    "nothing": (lambda folder: "", ""),
    "a scheme of another kind": (lambda folder: "file:///etc/passwd", "is no address"),
    "an address without a host": (lambda folder: "http://", "is no address"),
    "a host that is none": (lambda folder: "http://a b/", ""),
    "a port that is none": (lambda folder: "http://localhost:x/", ""),
    "a port that is closed": (lambda folder: "http://127.0.0.1:1/", "refused"),
    "an address that is not ASCII": (lambda folder: "http://127.0.0.1:1/é\x7f", ""),
    "a name of 300 letters": (lambda folder: "n" * 300, "name too long"),
}  # fmt: skip


def from_source(folder: Path, make: Callable[[Path], str]) -> None:
    source = make(folder)
    right(folder, begun(folder, source).wait(downloads.SECONDS))
    assert (folder / source).exists(), "the source is gone"


def no_source(folder: Path, make: Callable[[Path], str], word: str) -> None:
    source = make(folder)
    one_line(begun(folder, source).wait(downloads.SECONDS))
    assert not list((folder / "data").glob("*")) if (folder / "data").exists() else True, content(folder)
    with serving() as site:
        right(folder, begun(folder, site.url).wait(downloads.SECONDS))


def killed(folder: Path, after: int, number: signal.Signals = signal.SIGKILL) -> None:
    with serving(stall_after=after) as site:
        child = begun(folder, site.url, lambda: setattr(download, "STALL", 60.0))
        until(lambda: (folder / PART).exists() and bool(site.asked))
        time.sleep(0.2)
        child.kill(number)
        ended = child.wait()
        assert ended.status == -number if number == signal.SIGKILL else ended.status == 128 + number, str(ended)
        assert not (folder / "data" / NAME).exists()
    with serving() as site:
        right(folder, begun(folder, site.url).wait(downloads.SECONDS))


def stopped(folder: Path, after: int) -> None:
    killed(folder, after, signal.SIGINT)


def at_once(folder: Path, processes: int) -> None:
    with serving() as site:
        children = [begun(folder, site.url) for _ in range(processes)]
        for child in children:
            right(folder, child.wait())
        assert len(site.asked) == 1, f"asked {len(site.asked)} times"


def full(folder: Path, number: int) -> None:
    with serving() as site:
        ended = begun(folder, site.url, lambda: Disk(number, errno.ENOSPC).install()).wait(downloads.SECONDS)
        if ended.status:
            one_line(ended, word="No space left")
            assert not (folder / "data" / NAME).exists() or number > 4, content(folder)
        right(folder, begun(folder, site.url).wait(downloads.SECONDS))


def in_train(folder: Path) -> None:
    """The second attempt at the same source; the run then trains."""
    with serving(break_after=[9000]) as site:
        right(folder, begun(folder, site.url).wait(downloads.SECONDS))
    words = ["train", "--dataset", "cifar10", "--data-dir", "data", "--net", "mlp", "--modules", "2", "--epochs", "1"]

    def work() -> int:
        as_official()
        return main([*words, "--batch-size", "20", "--no-download", "--out", "run"])

    well(Child(folder, work).wait())


def odd_part(folder: Path, kept: bytes | None) -> None:
    keep(folder, 0)
    (folder / PART).write_bytes(archive() + b"more" if kept is None else kept)
    with serving() as site:
        right(folder, begun(folder, site.url).wait(downloads.SECONDS))


def part_is(folder: Path, kind: str) -> None:
    """Something else of the part's name: what a link leads to stays, and a pipe does not stop it for ever."""
    keep(folder, 0)
    (folder / "mine").write_text("mine")
    make: dict[str, Callable[[], Any]] = {
        "a link": lambda: (folder / PART).symlink_to(folder / "mine"),
        "a dangling link": lambda: (folder / PART).symlink_to(folder / "nowhere"),
        "a folder": lambda: (folder / PART).mkdir(),
        "a pipe": lambda: os.mkfifo(folder / PART),
    }
    make[kind]()
    with serving() as site:
        ended = begun(folder, site.url).wait(downloads.SECONDS)
    one_line(ended)
    assert (folder / "mine").read_text() == "mine", "another file was overwritten through a link"
    assert not (folder / "nowhere").exists(), "a file was made through a link"
