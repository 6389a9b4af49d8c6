"""Links, pipes, devices and folders in place of files, and files that vanish: one line, or it goes on."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from minilocal.cli import main
from tests.faults.storage.case import Case, Skipped
from tests.faults.storage.child import Child, command
from tests.faults.storage.expect import content, one_line, well
from tests.faults.storage.small import end_of, run_words, tidy, undisturbed
from tests.faults.storage.writers import at_each_epoch

FILES = ("config.json", "environment.json", "metrics.jsonl", "checkpoint.npz", "checkpoint.previous.npz", "lock")
LIMIT = 90.0  # seconds; a pipe that is opened would hang for ever, /dev/zero fills the memory
MOST = 3 << 30  # bytes of address space that such a case may take


def _moved(folder: Path, file: Path) -> Path:
    """The file, now in another folder."""
    away = folder / f"away-{file.name}"
    if file.exists():
        file.rename(away)
    else:
        away.write_text("mine")
    return away


def to_outside(folder: Path, file: Path) -> None:
    file.symlink_to(_moved(folder, file))


def to_inside(folder: Path, file: Path) -> None:
    _moved(folder, file).rename(file.with_name("mine"))
    file.symlink_to("mine")


def dangling(folder: Path, file: Path) -> None:
    file.unlink(missing_ok=True)
    file.symlink_to(folder / "nowhere")


def loop(folder: Path, file: Path) -> None:
    file.unlink(missing_ok=True)
    file.symlink_to(file.name)


def to_null(folder: Path, file: Path) -> None:
    file.unlink(missing_ok=True)
    file.symlink_to("/dev/null")


def to_zero(folder: Path, file: Path) -> None:
    file.unlink(missing_ok=True)
    file.symlink_to("/dev/zero")


def pipe(folder: Path, file: Path) -> None:
    file.unlink(missing_ok=True)
    os.mkfifo(file)


def device(folder: Path, file: Path) -> None:
    file.unlink(missing_ok=True)
    try:
        os.mknod(file, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # as /dev/zero
    except PermissionError:
        raise Skipped("only root may make a device") from None


def a_folder(folder: Path, file: Path) -> None:
    file.unlink(missing_ok=True)
    file.mkdir()


def hard_link(folder: Path, file: Path) -> None:
    if not file.exists():
        file.write_text("mine")
    os.link(file, folder / f"away-{file.name}")


def gone(folder: Path, file: Path) -> None:
    file.unlink(missing_ok=True)


def a_socket(folder: Path, file: Path) -> None:
    import socket

    file.unlink(missing_ok=True)
    before = os.getcwd()
    os.chdir(file.parent)  # a socket's path has 108 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(file.name)
    finally:
        os.chdir(before)


KINDS: dict[str, Callable[[Path, Path], None]] = {
    "a link to outside": to_outside, "a link to inside": to_inside, "a dangling link": dangling,
    "a link to itself": loop, "a link to /dev/null": to_null, "a link to /dev/zero": to_zero, "a pipe": pipe,
    "a device": device, "a socket": a_socket, "a folder": a_folder, "a hard link": hard_link, "gone": gone,
}  # fmt: skip
SHORT = ("a pipe", "a link to outside", "gone")


def cases() -> Iterator[Case]:
    for file in FILES:
        for kind in KINDS:
            short = kind in SHORT and file in ("checkpoint.npz", "metrics.jsonl", "lock")
            yield Case(f"{file} is {kind}: resume", partial(resumed, file=file, kind=kind), short)
            yield Case(
                f"{file} becomes {kind} in a run", partial(in_a_run, file=file, kind=kind), short and kind == "a pipe"
            )
            yield Case(f"{file} is {kind}: other commands", partial(read, file=file, kind=kind))
    for kind in KINDS:
        yield Case(
            f"the folder of a new run has a lock that is {kind}",
            partial(new_run, kind=kind),
            kind == "a link to outside",
        )


def limited(words: list[str], act: Callable[[int], None] | None = None) -> Callable[[], int]:
    """The command, which may not fill the memory."""

    def work() -> int:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST, MOST))
        return main(words) if act is None else at_each_epoch(act, words)

    return work


def ends(folder: Path, words: list[str], act: Callable[[int], None] | None = None) -> Any:
    """One line and status 2, or status 0; not in a traceback, for want of memory, or never."""
    ended = Child(folder, limited(words, act)).wait(LIMIT)
    if ended.status == 0:
        assert "Traceback" not in ended.err, str(ended)
    else:
        one_line(ended)
        assert "out of memory" not in ended.err, f"was read to no end: {ended}"
    return ended


def prepared(folder: Path, file: str, kind: str) -> dict[str, str]:
    """A run of one epoch of three, with that file so; {path: content} of what lies outside of it."""
    well(command(folder, *run_words("run", epochs=2)))
    if file == "lock" and kind == "gone":
        raise Skipped("it is gone after every run")
    KINDS[kind](folder, folder / "run" / file)
    return outside(folder)


def outside(folder: Path) -> dict[str, str]:
    return {name: text for name, text in content(folder).items() if name.startswith("away")}


def resumed(folder: Path, file: str, kind: str) -> None:
    before = prepared(folder, file, kind)
    ended = ends(folder, ["train", "--resume", "run", "--epochs", "3"])
    assert outside(folder) == before, "what the link leads to has changed"
    assert not (folder / "nowhere").exists(), "a file was made through the link"
    tidy(folder)
    if ended.status == 0:
        same(folder, ended, file)


def same(folder: Path, ended: Any, file: str) -> None:
    """The arrays are those of the undisturbed run; the rows too, unless they are told to be lost."""
    arrays, progress, rows = end_of(folder / "run")
    assert (arrays, progress) == undisturbed()[:2], "other bits"
    if rows != undisturbed()[2]:
        assert file == "metrics.jsonl", "other rows"
        assert "metrics.jsonl" in ended.err + ended.out, f"rows are lost without a word: {ended}"


def in_a_run(folder: Path, file: str, kind: str) -> None:
    """The file becomes something else ahead of the second epoch's row."""

    def act(epoch: int) -> None:
        if epoch == 1:
            if kind != "a hard link" and not (folder / "run" / file).exists():
                (folder / "run" / file).touch()
            KINDS[kind](folder, folder / "run" / file)

    ended = ends(folder, run_words("run"), act)
    tidy(folder)
    assert not (folder / "nowhere").exists(), "a file was made through the link"
    if ended.status == 0:
        same(folder, ended, file)
    elif kind in ("gone", "a hard link") and file != "lock":
        raise AssertionError(f"stopped: {ended}")


def read(folder: Path, file: str, kind: str) -> None:
    prepared(folder, file, kind)
    before = content(folder)
    for words in (["predict", "run", "--out", "p.npz"], ["export", "run", "--out", "e.npz"],
                  ["report", "run", "--out", "r"], ["train", "--config", "run/config.json", "--show"],
                  ["train", *run_words("")[1:-2], "--set", "net.weights=run", "--out", "warm"]):  # fmt: skip
        ends(folder, words)
    after = {name: text for name, text in content(folder).items() if name in before}
    assert after == before, "reading has changed something"


def new_run(folder: Path, kind: str) -> None:
    (folder / "run").mkdir()
    (folder / "run/lock").write_text("mine")
    KINDS[kind](folder, folder / "run/lock")
    before = outside(folder)
    ended = ends(folder, run_words("run"))
    assert outside(folder) == before, "what the link leads to has changed"
    assert not (folder / "nowhere").exists(), "a file was made through the link"
    if ended.status == 0:
        assert end_of(folder / "run") == undisturbed()
