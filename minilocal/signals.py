"""SIGINT, SIGTERM, SIGHUP and SIGUSR1 end the command in one line, with status 128 plus their number, from its first
import on.

The package imports this file first, since its other imports take long. A signal that comes earlier, while Python itself
starts, has Python's usual end.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from types import FrameType
from typing import NoReturn

NAME = "minilocal"
# SIGHUP: the terminal has been closed. SIGUSR1: Slurm's time is nearly over.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
AGAIN = 0.01  # seconds until a signal that came in a finaliser comes again


class Stopped(KeyboardInterrupt):
    """The command is stopped by a signal, `number`."""

    def __init__(self, message: str = "", number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number


def is_command() -> bool:
    """Whether this process was started as `minilocal` or as `python -m minilocal`, and not to import the package."""
    program = sys.argv[0] if getattr(sys, "argv", None) else ""
    if program == "-m":  # while Python looks for the module
        return ("-m", NAME) in pairwise(sys.orig_argv)
    return os.path.basename(program) == NAME


@contextmanager
def stopping() -> Iterator[None]:
    """Within the block the signals of STOPS raise Stopped, where they have no other handler than Python's or `end`."""
    usual = {number: (signal.SIG_DFL, end) for number in STOPS} | {signal.SIGINT: (signal.default_int_handler, end)}
    before = {number: signal.getsignal(number) for number in STOPS}
    changed = [number for number in STOPS if _is_main_thread() and before[number] in usual[number]]
    for number in changed:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in changed:
            if signal.getsignal(number) is stop:
                signal.signal(number, before[number])


@contextmanager
def handled(by: Callable[[int, Callable[[], None]], object]) -> Iterator[None]:
    """Within the block each signal of STOPS calls `by(number, restore)`; restore() brings the handlers of before back.

    A SIGHUP that is ignored, as under nohup, stays ignored. Outside the main thread Python delivers no signals.
    """
    if not _is_main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPS}
    if before.get(signal.SIGHUP) is signal.SIG_IGN:
        del before[signal.SIGHUP]

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, lambda number, frame: by(number, restore))
    try:
        yield
    finally:
        restore()


def stop(number: int, frame: FrameType | None) -> None:
    """A signal's handler: raise Stopped. A finaliser would drop that, so a signal in one comes again after it."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            again = threading.Timer(AGAIN, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
            return
        frame = frame.f_back
    raise Stopped(number=number)


def end(number: int, frame: FrameType | None) -> NoReturn:
    """A signal's handler, before there is anything to save: print a line and end."""
    with suppress(OSError):
        os.write(2, b"minilocal: stopped\n")
    os._exit(128 + number)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


if is_command() and _is_main_thread():
    for _number in STOPS:
        if signal.getsignal(_number) is not signal.SIG_IGN:
            signal.signal(_number, end)
