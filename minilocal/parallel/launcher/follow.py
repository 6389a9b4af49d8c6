"""Ranks on this machine from their start to their end: output passed on, stops passed on, nothing left behind."""

from __future__ import annotations

import fcntl
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from minilocal.parallel.environment import ALIVE, END
from minilocal.parallel.launcher import leftovers
from minilocal.parallel.launcher.banner import Banner
from minilocal.parallel.launcher.watch import Failure, Rank, Watch

PAUSE = 0.1  # seconds between two looks at the ranks
GRACE = 3.0  # seconds that the other ranks have to end by themselves after a failure
CLOSING = 1.0  # seconds for the last output after mpiexec's end

Write = Callable[[bytes], object]


class Ending(NamedTuple):
    """How the ranks ended: mpiexec's status; the failure that ended them, or None; and the facts of each rank."""

    status: int
    failure: Failure | None
    facts: Mapping[int, Mapping[str, str]]


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for the ranks' marks, locked as long as this process lives, and removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="minilocal-ranks-"))
    descriptor = os.open(folder / ALIVE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)


def follow(
    command: Sequence[str],
    env: Mapping[str, str],
    folder: Path,
    processes: int,
    out: Write,
    err: Write,
    stops: Callable[[], Sequence[int]] = lambda: (),
) -> Ending:
    """Run the command of ranks to its end.

    `out` and `err` get their output as it comes. `stops()` are the signals to stop that have come so far: the first is
    passed on to rank 0, the second kills all ranks. Any error here, KeyboardInterrupt too, kills them.
    """
    before = leftovers.present()
    run = _Run(command, env, folder, processes, out, err)
    try:
        while not run.is_over():
            run.pass_on_output()
            run.look(stops())
        run.finish()
        watch = run.watch
        failure = None
        if not watch.all_done():
            signals = [banner.signal for banner in run.banners if banner.signal is not None]
            failure = run.stopped or watch.failure(run.process.returncode, *signals[:1])
        return Ending(run.process.returncode, failure, {n: watch.facts(n) for n in range(processes)})
    finally:
        run.kill()
        run.close()
        leftovers.remove(before)


class _Run:
    """A running mpiexec, in a session of its own: a terminal's Ctrl-C reaches the ranks from here only."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], folder: Path, processes: int, out: Write, err: Write
    ) -> None:
        (out_read, out_write), (err_read, err_write) = os.pipe(), os.pipe()
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out_write,
                stderr=err_write,
                env=env,
                # mpiexec has the reading ends too: it can go on writing, and ranks can save, where this process is
                # killed.
                pass_fds=(out_read, err_read),
                start_new_session=True,
            )
        except BaseException:
            os.close(out_read)
            os.close(err_read)
            raise
        finally:
            os.close(out_write)
            os.close(err_write)
        self.pipes = out_read, err_read
        self.selector = selectors.DefaultSelector()
        self.banners = Banner(), Banner()
        for descriptor, banner, write in zip((out_read, err_read), self.banners, (out, err), strict=True):
            self.selector.register(descriptor, selectors.EVENT_READ, (banner, write))
        self.readers = {out_read, err_read}
        self.watch = Watch(folder, processes)
        self.watched: set[int] = set()
        self.failed_at = self.ended_at = 0.0
        self.stopped: Failure | None = None
        self.stops = 0

    def is_over(self) -> bool:
        if self.process.poll() is None:
            return False
        self.ended_at = self.ended_at or time.monotonic()
        return not self.readers or time.monotonic() - self.ended_at > CLOSING

    def pass_on_output(self) -> None:
        """Wait for output or a rank's end, PAUSE seconds at most."""
        for rank in self.watch.ranks.values():
            if rank.descriptor >= 0 and rank.descriptor not in self.watched:
                self.selector.register(rank.descriptor, selectors.EVENT_READ, rank)
                self.watched.add(rank.descriptor)
        if not self.selector.get_map():
            time.sleep(PAUSE)
        for key, _ in self.selector.select(PAUSE):
            if isinstance(key.data, Rank):  # in the order of their ends
                key.data.has_ended()
                self.selector.unregister(key.fd)
                continue
            banner, write = key.data
            data = os.read(key.fd, 1 << 16)
            if not data:
                self.selector.unregister(key.fd)
                self.readers.discard(key.fd)
            if text := banner.feed(data) if data else banner.end():
                write(text)

    def look(self, stops: Sequence[int]) -> None:
        """See whether a rank has failed, and pass a stop on."""
        self.watch.look()
        if self.watch.has_failed() and not self.failed_at:
            self.failed_at = time.monotonic()
        if self.watch.lost():
            (self.watch.folder / END).touch()
        if self.failed_at and time.monotonic() - self.failed_at > GRACE and not self.watch.all_done():
            self.kill()
        if not self.stopped and (deadlock := self.watch.deadlock()):
            self.stopped = deadlock
            self.kill()
        if len(stops) > self.stops:
            if len(stops) == 1 and self.watch.is_ready(0):
                self.watch.ranks[0].send(stops[0])
            else:
                self.stopped = Failure(0, "stop", "was stopped")
                self.kill()
            self.stops = len(stops)

    def finish(self) -> None:
        """Pass on the last output, and see the last ends."""
        self.pass_on_output()
        self.watch.look()
        for key in list(self.selector.get_map().values()):
            if not isinstance(key.data, Rank):
                banner, write = key.data
                if text := banner.end():
                    write(text)

    def kill(self) -> None:
        """Kill every rank that is left, and mpiexec."""
        for rank in self.watch.ranks.values():
            if not rank.has_ended():
                rank.send(signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(CLOSING)  # mpiexec ends with its ranks
        if self.process.poll() is None:
            with suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        last = time.monotonic() + GRACE
        while not all(rank.has_ended() for rank in self.watch.ranks.values()) and time.monotonic() < last:
            time.sleep(0.01)

    def close(self) -> None:
        self.selector.close()
        for end in self.pipes:
            os.close(end)
        self.watch.close()
