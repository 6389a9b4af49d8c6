"""One thread at a time in what changes or copies a Learner; the others wait for their turn.

So a copy, a pickle or a checkpoint that one thread makes while another trains is of a moment between two steps.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Turns:
    """`with turns.lock:` one thread is inside, which may enter again.

    The lock is one of C, and nothing in Python stands between its acquisition and the block: Ctrl-C there would leave
    it held.
    """

    def __init__(self) -> None:
        self._lock, self._process = threading.RLock(), os.getpid()

    @property
    def lock(self) -> Any:
        """The lock of this process. A forked one has another: the thread that was inside may not exist there."""
        if self._process != os.getpid() and not _is_mine(self._lock):
            self._lock = threading.RLock()
        self._process = os.getpid()
        return self._lock


def _is_mine(lock: Any) -> bool:
    """Whether this thread could enter: the lock is free, or its own."""
    free = lock.acquire(blocking=False)
    if free:
        lock.release()
    return bool(free)


class Shared(Protocol):
    turns: Turns
    on_device: Any


S = TypeVar("S", bound=Shared)


def in_turn(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """The method inside `with self.turns.lock, self.on_device`."""

    @wraps(method)
    def inside(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.turns.lock, self.on_device:
            return method(self, *args, **kwargs)

    return inside
