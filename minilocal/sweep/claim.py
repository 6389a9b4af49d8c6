"""The claim on a run's folder: a file that one process creates, touches while it works, and removes.

    claim        who trains the run: host, process, job. Created with O_EXCL: of several processes, one succeeds
    claim.N      an abandoned claim, moved aside by rename

A claim is abandoned when it has not been touched for STALE seconds, or its process on this machine has ended. Whoever
moves it aside first creates claim.N with O_EXCL, which keeps others from moving the next claim. There is no flock:
on network file systems it may be without effect. The run's own `lock` still keeps a second writer out where it works.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from minilocal.errors import check_file
from minilocal.record.files import os_errors_explained, parsed
from minilocal.sweep.holder import has_ended, this_process

CLAIM = "claim"
BEAT, STALE = 60.0, 600.0  # seconds between two touches, and without one until a claim is abandoned
LOOK = 2.0  # seconds between two looks at whether the claim is still this process's


class Claim:
    """A claim of this process, from `acquire` until `release`; `is_lost` once another process has moved it aside."""

    def __init__(self, file: Path, text: str) -> None:
        self.file, self.text, self.is_lost = file, text, False

    @classmethod
    def acquire(cls, folder: Path) -> Claim | None:
        """The claim on `folder`, which is created; None where another process has it.

        Raises: UserError where the folder cannot be written.
        """
        with os_errors_explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            text = _own_text()
            if _create(folder / CLAIM, text) or (_moved_aside(folder) and _create(folder / CLAIM, text)):
                return cls(folder / CLAIM, text)
        return None

    def release(self) -> None:
        """Remove the claim, if it is still this process's."""
        with suppress(OSError):
            if _text(self.file) == self.text:
                self.file.unlink()

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Touch the claim within the block, from a thread, and set `is_lost` when it is no longer this process's."""
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=(ended,), daemon=True, name="heartbeat")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _beat(self, ended: threading.Event) -> None:
        touched = time.time()
        while not ended.wait(LOOK) and not self.is_lost:
            now = time.time()
            try:
                if now - touched > STALE or _text(self.file) != self.text:  # this process has been suspended
                    self.is_lost = True
                elif now - touched >= BEAT:
                    os.utime(self.file)
                    touched = now
            except FileNotFoundError:
                self.is_lost = True
            except OSError:  # the file server does not answer: it may again
                continue


def holder(folder: Path) -> dict[str, Any] | None:
    """Who trains the run in `folder`, {"host": ..., "process": ..., "job": ...}; None where nobody does."""
    file = folder / CLAIM
    try:
        if _is_abandoned(file, time.time()):
            return None
        return _facts(file)
    except OSError:
        return None


def _own_text() -> str:
    return json.dumps({**this_process(), "token": secrets.token_hex(8)})


def _create(file: Path, text: str) -> bool:
    """Create `file` with this text; False where there is one."""
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return False
    try:
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            file.unlink()
        raise
    finally:
        os.close(descriptor)
    return True


def _moved_aside(folder: Path) -> bool:
    """Whether the claim was abandoned, and this process has moved it aside."""
    file = folder / CLAIM
    try:
        now = _time_of_the_file_system(folder)
        numbers = sorted(int(m[1]) for name in os.listdir(folder) if (m := re.fullmatch(rf"{CLAIM}\.(\d+)", name)))
        if numbers and not _is_abandoned(folder / f"{CLAIM}.{numbers[-1]}", now):
            return False  # another process is between the two steps below
        before = _text(file)
        aside = folder / f"{CLAIM}.{numbers[-1] + 1 if numbers else 1}"
        if not _is_abandoned(file, now) or not _create(aside, _own_text()):
            return False
        if not _is_abandoned(file, now):  # it was removed and created anew before `aside` was there
            aside.unlink()
            return False
        os.rename(file, aside)
        if _text(aside) == before:
            return True
        with suppress(FileExistsError):  # between the last check and the rename
            os.link(aside, file)
        aside.unlink()
    except FileNotFoundError:  # it has just been removed
        pass
    return False


def _is_abandoned(file: Path, now: float) -> bool:
    """Whether nobody touches the claim any more, or its process has ended. Raises: FileNotFoundError."""
    return now - file.stat().st_mtime > STALE or has_ended(_facts(file))


def _facts(file: Path) -> dict[str, Any]:
    """What a claim says in words and whole numbers; {} for one whose process has not written it yet."""
    try:
        facts = parsed(_text(file))
    except ValueError:
        return {}
    return {key: fact for key, fact in facts.items() if isinstance(fact, (str, int))} if isinstance(facts, dict) else {}


def _text(file: Path) -> str:
    check_file(file)
    return file.read_text(errors="replace")


def _time_of_the_file_system(folder: Path) -> float:
    """The time that a file gets which is written now: clocks of machines differ."""
    probe = folder / f"{CLAIM}.{secrets.token_hex(4)}.partial"
    descriptor = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    try:
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
        with suppress(OSError):
            probe.unlink()
