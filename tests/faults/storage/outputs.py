"""Every command that writes: it refuses a place before the work, and a disk that fills leaves no half file."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from minilocal.cli import main
from tests.faults.storage.case import Case, Skipped
from tests.faults.storage.child import command, forked
from tests.faults.storage.expect import content, one_line, well
from tests.faults.storage.intercept import Disk
from tests.faults.storage.private import in_private_mounts, mount_tmpfs
from tests.faults.storage.small import run_words, tidy
from tests.helpers.small_run import words as small_words

REPRODUCE = ("reproduce", "memory-baselines", "--cells", "*-resnet32-bp-K2")
NET = ["--net", "mlp", "--modules", "2", "--batch-size", "4"]


@dataclass(frozen=True)
class Command:
    """Its words before the output's flag and path; `folder` where that is a folder."""

    flag: str
    words: tuple[str, ...]
    path: str = "new"
    folder: bool = False
    own: bool = False  # it makes the folder above its file
    tries: int = 6  # calls that are refused: the first, the last, and some between


COMMANDS = {
    "train --out": Command("--out", ("train", *small_words(optim__epochs=1)), folder=True),
    "sweep --out": Command("--out", ("sweep", *small_words(optim__epochs=1)), folder=True),
    "sweep --slurm": Command("--slurm", ("sweep", "--out", "cells", *small_words(optim__epochs=1)), "new.sh", own=True),
    "reproduce --out": Command("--out", REPRODUCE, folder=True, tries=3),
    "export --out": Command("--out", ("export", "run"), "new.npz"),
    "predict --out": Command("--out", ("predict", "run"), "new.npz"),
    "report --out": Command("--out", ("report", "run"), folder=True),
    "memory --out": Command("--out", ("memory", *NET), folder=True, tries=3),
    "simulate --json": Command("--json", ("simulate", *NET, "--rule", "gll"), "new.json", tries=3),
    "simulate --costs": Command("--costs", ("simulate", *NET, "--rule", "gll"), "new.json", tries=3),
    "simulate --gantt": Command("--gantt", ("simulate", *NET, "--rule", "gll"), "new.svg", tries=3),
    "data --sheet": Command("--sheet", ("data", "digits"), "new.png"),
    "verify --out": Command("--out", ("verify", "--quick", "--only", "equations"), "new.jsonl", tries=3),
    "bench --out": Command("--out", ("bench", "--what", "launches", "--quick", "--rule", "bp"), "new.json", own=True),
    "explorer --out": Command("--out", ("explorer", "--net", "resnet20"), "new.html"),
}  # fmt: skip
SHORT = ("export --out", "simulate --json", "memory --out", "verify --out")
SLOW = ("explorer --out", "bench --out")  # of which no whole run is made here


def cases() -> Iterator[Case]:
    for name, each in COMMANDS.items():
        for what in PLACES:
            yield Case(f"{name}: {what}", partial(refused, each=each, what=what), what == "a pipe" and name in SHORT)
        yield Case(f"{name}: a read-only folder", partial(read_only, each=each))
        yield Case(f"{name}: a full disk", partial(full, name=name, each=each), name == "export --out")
    yield Case("memory --modules ''", no_modules, True)


def prepare(folder: Path) -> None:
    well(command(folder, *run_words("run", epochs=1)))


def in_a_file(folder: Path, each: Command) -> str:
    (folder / "file").write_text("mine")
    return f"file/{each.path}"


def of_another_kind(folder: Path, each: Command) -> str:
    if each.folder:
        (folder / each.path).write_text("mine")
    else:
        (folder / each.path).mkdir()
        if each.flag == "--out" and each.words[0] == "export":  # into that folder it may go
            raise Skipped("may be a folder")
    return each.path


def a_pipe(folder: Path, each: Command) -> str:
    os.mkfifo(folder / each.path)
    return each.path


def a_device(folder: Path, each: Command) -> str:
    """As /dev/null is, which root would put a file in place of."""
    try:
        os.mknod(folder / each.path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        raise Skipped("only root may make a device") from None
    return each.path


def a_loop(folder: Path, each: Command) -> str:
    (folder / each.path).symlink_to(each.path)
    return each.path


def too_long(folder: Path, each: Command) -> str:
    return "n" * 252 + Path(each.path).suffix + "x" * 4


def too_deep(folder: Path, each: Command) -> str:
    return "n" * 200 + ("/" + "n" * 200) * 25 + f"/{each.path}"


def a_folder_that_is_not_there(folder: Path, each: Command) -> str:
    if each.folder or each.own:
        raise Skipped("it makes the folder")
    return f"nowhere/{each.path}"


def empty(folder: Path, each: Command) -> str:
    return ""


PLACES: dict[str, Callable[[Path, Command], str]] = {
    "in a file": in_a_file, "of another kind": of_another_kind, "a pipe": a_pipe, "a device": a_device,
    "a link to itself": a_loop, "a name of 256 bytes or more": too_long, "a path of 5000 bytes": too_deep,
    "a folder that is not there": a_folder_that_is_not_there, "empty": empty,
}  # fmt: skip


def refused(folder: Path, each: Command, what: str) -> None:
    """One line with status 2, nothing printed before it, and nothing changed: so it came before the work."""
    if "run" in each.words:
        prepare(folder)
    path = PLACES[what](folder, each)
    before = content(folder)
    ended = command(folder, *each.words, f"{each.flag}={path}")
    one_line(ended)
    assert not ended.out, f"printed before: {ended.out[:100]!r}"
    assert content(folder) == before, "the folder has changed"


def read_only(folder: Path, each: Command) -> None:
    if "run" in each.words:
        prepare(folder)
    (folder / "disk").mkdir()

    def work() -> int:
        mount_tmpfs(folder / "disk", "size=1m")
        mount_tmpfs(folder / "disk", "remount,ro")
        ended = command(folder, *each.words, f"{each.flag}=disk/{each.path}")
        one_line(ended)
        assert not ended.out, f"printed before: {ended.out[:100]!r}"
        assert "ead-only" in ended.err, ended.err
        return 0

    well(in_private_mounts(folder, work))


def full(folder: Path, name: str, each: Command) -> None:
    """The disk is full from the n-th call on: in one line, and every file there is whole."""
    if name in SLOW:
        raise Skipped("takes minutes")
    if "run" in each.words:
        prepare(folder)

    def work(first: int) -> int:
        disk = Disk(first, errno.ENOSPC).install()
        status = main([*each.words, f"{each.flag}={each.path}{first or ''}{Path(each.path).suffix}"])
        print(f"\n{len(disk.seen)}")
        return status

    ended = forked(folder, lambda: work(0))
    well(ended)
    calls = int(ended.out.split()[-1])
    assert calls >= 3, f"only {calls} calls write"
    refusals = 0
    for number in sorted({1 + n * (calls - 1) // (each.tries - 1) for n in range(each.tries)}):
        ended = forked(folder, lambda number=number: work(number))  # type: ignore[misc]
        assert ended.status in (0, 1, 2) and "Traceback" not in ended.err, f"call {number}: {ended}"
        if ended.status == 2:
            one_line(ended)
            refusals += 1
        tidy(folder)
        for file in folder.rglob("*"):
            whole(file)
    assert refusals, "nothing was refused"


def whole(file: Path) -> None:
    """Check that a file is not half-written, by its format."""
    try:
        if file.suffix == ".json":
            json.loads(file.read_text())
        elif file.suffix == ".npz":
            with np.load(file) as arrays:
                [arrays[name] for name in arrays.files]
        elif file.suffix in (".html", ".svg"):
            assert file.read_text().rstrip().endswith(("</html>", "</svg>")), "cut short"
        elif file.suffix == ".jsonl" and file.name != "metrics.jsonl":  # the last of whose rows may be torn
            [json.loads(line) for line in file.read_text().splitlines()]
    except Exception as error:
        raise AssertionError(f"{file.name} is half-written: {error}") from None


def no_modules(folder: Path) -> None:
    for each in ("memory", "simulate"):
        ended = command(folder, each, "--net", "mlp", "--modules", "")
        one_line(ended, word="--modules ''")
        assert not content(folder)
