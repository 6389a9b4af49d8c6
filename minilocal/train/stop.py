"""Ctrl-C, SIGTERM and a closed terminal as a wish, granted between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A run stopped by one of these signals, after its state was saved; the message says where, and how to go on."""


class StopRequest:
    """Whether somebody has asked the run to stop."""

    def __init__(self) -> None:
        self.stop = False


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Inside the block the first of SIGNALS sets `stop`; the second acts as it would have without this block.

    SIGHUP that is ignored, as under nohup, stays so. Outside the main thread Python delivers no signals, so
    there the wish is never set.
    """
    wish = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, frame: Any) -> None:
        wish.stop = True
        restore()

    for number in before:
        signal.signal(number, ask)
    try:
        yield wish
    finally:
        restore()
