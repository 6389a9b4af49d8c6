"""Disks that are full, read-only, broken or slow: a run stops in one line, and goes on to the same bits."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from minilocal.cli import main
from tests.faults.storage.case import Case
from tests.faults.storage.child import Child, Ended, command, forked
from tests.faults.storage.expect import content, no_traceback, one_line, well
from tests.faults.storage.intercept import Disk, slow
from tests.faults.storage.private import in_private_mounts, mount_tmpfs
from tests.faults.storage.small import end_of, goes_on, run_words, tidy, undisturbed

ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES", "EFBIG", "ESTALE", "EMFILE")


def cases() -> Iterator[Case]:
    calls = count_calls()
    for number in range(1, len(calls) + 1):
        yield Case(f"disk full at call {number}, {calls[number - 1]}", partial(full_at, number=number),
                   number in (1, 4, 9, 14, 20, 27))  # fmt: skip
    for name in ERRORS[1:]:
        for number in range(2, len(calls) + 1, 13):
            yield Case(
                f"{name} at call {number}", partial(full_at, number=number, error=name), name == "EIO" and number < 9
            )
    for number in range(1, len(calls) + 1, 7):
        yield Case(f"one write refused, call {number}", partial(full_at, number=number, times=1))
    for which in (("fsync",), ("replace",), ("create",), ("bytes",), ("link",), ("mkdir",)):
        yield Case(
            f"EIO at every {which[0]}", partial(full_at, number=1, error="EIO", which=which), which == ("fsync",)
        )
    for number in range(1, len(count_calls(resumed=True)) + 1, 4):
        yield Case(f"disk full at call {number} of a resumed run", partial(full_on_resume, number=number), number == 5)
    yield Case("a disk whose fsync takes a second", slow_disk)
    for after in (0.3, 1.0, 2.0, 3.0):
        yield Case(f"Ctrl-C on a slow disk after {after} s", partial(stopped_on_slow_disk, after=after))
    for kilobytes in (4, 8, 16, 40, 80, 160, 320, 640, 1000):
        yield Case(f"a tmpfs of {kilobytes} KB", partial(real_disk, kilobytes=kilobytes), kilobytes in (4, 80))
    yield Case("a tmpfs without a free inode", no_inode)
    yield Case("a read-only mount", read_only, True)
    yield Case("a mount that becomes read-only under a run", becomes_read_only)
    yield Case("learner.save on a full disk", save_learner, True)
    yield Case("a file may have 20 KB at most (RLIMIT_FSIZE)", limited_files)
    yield Case("no descriptor is left (RLIMIT_NOFILE)", no_descriptors)


def train_on(disk: Disk, words: list[str]) -> int:
    disk.install()
    return main(words)


def count_calls(resumed: bool = False) -> list[str]:
    """The calls that write in the small run, by name; of one that is resumed after its first epoch."""
    import tempfile

    undisturbed()
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top) / "folder"
        folder.mkdir()
        words = run_words("run")
        if resumed:
            well(command(folder, *run_words("run", epochs=1)))
            words = ["train", "--resume", "run", "--epochs", "3"]

        def counting() -> int:
            disk = Disk().install()
            status = main(words)
            (folder / "calls").write_text(" ".join(disk.seen))
            return status

        well(forked(folder, counting))
        return (folder / "calls").read_text().split()


def full_at(folder: Path, number: int, error: str = "ENOSPC", times: int = 10**9, which: tuple[str, ...] = ()) -> None:
    disk = Disk(number, getattr(errno, error), times, which)
    ended = forked(folder, lambda: train_on(disk, run_words("run")))
    if ended.status != 0:  # a refused link, or a sync that nothing hangs on, costs nothing
        one_line(ended)
    else:
        assert "Traceback" not in ended.err, str(ended)
        assert end_of(folder / "run") == undisturbed(), "ended with other bits"
    tidy(folder)
    goes_on(folder / "run")


def full_on_resume(folder: Path, number: int) -> None:
    well(command(folder, *run_words("run", epochs=1)))
    before = end_of(folder / "run")
    ended = forked(folder, lambda: train_on(Disk(number), ["train", "--resume", "run", "--epochs", "3"]))
    if ended.status:
        one_line(ended)
    tidy(folder)
    assert len(end_of(folder / "run")[2]) >= len(before[2]), "rows are lost"
    well(command(folder, "train", "--resume", "run", "--epochs", "3"))
    assert end_of(folder / "run") == undisturbed(), "other bits"


def slow_disk(folder: Path) -> None:
    well(forked(folder, lambda: train_on(Disk(before=slow(1.0)), run_words("run"))))
    assert end_of(folder / "run") == undisturbed()


def stopped_on_slow_disk(folder: Path, after: float) -> None:
    child = Child(folder, lambda: train_on(Disk(before=slow(1.0)), run_words("run")))
    time.sleep(after)
    child.kill(signal.SIGINT)
    ended = child.wait()
    one_line(ended, 130)
    goes_on(folder / "run")


def real_disk(folder: Path, kilobytes: int) -> None:
    """The run on a tmpfs that is too small; then larger, where it goes on."""
    (folder / "disk").mkdir()

    def work() -> int:
        mount_tmpfs(folder / "disk", f"size={kilobytes}k")
        ended = command(folder, *run_words("disk/run"))
        if ended.status:
            one_line(ended, word="No space left")
        tidy(folder / "disk")
        mount_tmpfs(folder / "disk", "remount,size=8m")
        goes_on(folder / "disk/run")
        return 0

    well(in_private_mounts(folder, work))


def no_inode(folder: Path) -> None:
    (folder / "disk").mkdir()

    def work() -> int:
        mount_tmpfs(folder / "disk", "size=8m,nr_inodes=3")
        one_line(command(folder, *run_words("disk/run")), word="No space left")
        assert not content(folder / "disk"), content(folder / "disk")
        return 0

    well(in_private_mounts(folder, work))


def read_only(folder: Path) -> None:
    (folder / "disk").mkdir()

    def work() -> int:
        mount_tmpfs(folder / "disk", "size=8m")
        well(command(folder, *run_words("disk/run", epochs=1)))
        mount_tmpfs(folder / "disk", "remount,ro")
        one_line(command(folder, *run_words("disk/other")), word="read-only")
        one_line(command(folder, "train", "--resume", "disk/run", "--epochs", "3"), word="read-only")
        one_line(command(folder, "predict", "disk/run"), word="Read-only")
        well(command(folder, "predict", "disk/run", "--out", "p.npz"))
        well(command(folder, "export", "disk/run", "--out", "e.npz"))
        well(command(folder, "report", "disk/run", "--out", "report"))
        mount_tmpfs(folder / "disk", "remount,rw")
        well(command(folder, "train", "--resume", "disk/run", "--epochs", "3"))
        assert end_of(folder / "disk/run") == undisturbed()
        return 0

    well(in_private_mounts(folder, work))


def becomes_read_only(folder: Path) -> None:
    (folder / "disk").mkdir()

    def work() -> int:
        mount_tmpfs(folder / "disk", "size=8m")
        times = iter(range(100))

        def remount(name: str) -> None:
            if next(times) == 12:
                mount_tmpfs(folder / "disk", "remount,ro")

        ended = forked(folder, lambda: train_on(Disk(before=remount, which=("open",)), run_words("disk/run")))
        no_traceback(ended, 0, 2)
        mount_tmpfs(folder / "disk", "remount,rw")
        goes_on(folder / "disk/run")
        return 0

    well(in_private_mounts(folder, work))


def save_learner(folder: Path) -> None:
    import minilocal as ml
    from minilocal.errors import UserError

    def learner() -> ml.Learner:
        return ml.Learner(ml.nets.mlp((8,), classes=3, size=2, rng=ml.rng(0)), ml.rules.gll(), modules=2, rng=ml.rng(0))

    learner().save(folder / "l.npz")
    before = content(folder)
    calls = 0
    for number in range(1, 40):

        def work(number: int = number) -> int:
            disk = Disk(number).install()
            try:
                learner().save(folder / "l.npz")
            except UserError as error:
                return 2 if "\n" not in str(error) else 3
            return 0 if len(disk.seen) < number else 4

        ended = forked(folder, work)
        if ended.status == 0:
            break
        assert ended.status == 2, str(ended)
        calls += 1
        assert content(folder).keys() == before.keys(), content(folder)
        ml.load(folder / "l.npz")
    assert calls > 3, calls


def limited_files(folder: Path) -> None:
    import resource

    def work() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        return main(run_words("run"))

    one_line(forked(folder, work), word="File too large")
    tidy(folder)
    goes_on(folder / "run")


def no_descriptors(folder: Path) -> None:
    import resource

    def work() -> int:
        free = os.open(os.devnull, os.O_RDONLY)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
        return main(run_words("run"))

    ended: Ended = forked(folder, work)
    one_line(ended, word="Too many open files")
    goes_on(folder / "run")
