"""SIGINT, SIGTERM, SIGHUP and SIGUSR1 set a flag that is checked between two steps."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from minilocal.signals import Stopped, handled


class Interrupted(Stopped):
    """A run was stopped by the signal `number`, and its state saved; the message says where, and how to resume."""


class StopRequest:
    """The flag: `stop` is true once a stop has been requested, by the signal `number`."""

    def __init__(self) -> None:
        self.stop, self.number = False, int(signal.SIGINT)


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Within the block the first of these signals sets `stop`; the second has its usual effect.

    A SIGHUP that is ignored, as under nohup, stays ignored. Outside the main thread Python delivers no signals, and
    `stop` stays false.
    """
    request = StopRequest()

    def ask(number: int, restore: Callable[[], None]) -> None:
        request.stop, request.number = True, number
        restore()

    with handled(ask):
        yield request


@contextmanager
def stop_of_run(run: Path) -> Iterator[StopRequest]:
    """As `stop_on_signal`. Where the second signal raises KeyboardInterrupt, its message says what is saved in `run`.

    Raises: Stopped.
    """
    try:
        with stop_on_signal() as request:
            yield request
    except Interrupted:
        raise
    except KeyboardInterrupt as stop:
        raise Stopped(f"stopped; {last_checkpoint(run)}", getattr(stop, "number", signal.SIGINT)) from None


def last_checkpoint(run: Path) -> str:
    """Where a run's last checkpoint is, with the command that goes on from it; or that there is none."""
    if not (run / "checkpoint.npz").exists():
        return f"nothing had been saved in {run}"
    return f"the last checkpoint is in {run}: go on with minilocal train --resume {quote(str(run))}"
