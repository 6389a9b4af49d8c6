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
    """`with turns:` one thread is inside, which may enter again."""

    def __init__(self) -> None:
        self._lock, self._process = threading.RLock(), os.getpid()

    def __enter__(self) -> None:
        if self._process != os.getpid():  # forked since
            self._process = os.getpid()
            if self._lock.acquire(blocking=False):
                return
            self._lock = threading.RLock()  # the thread that was inside does not exist here
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()


class Shared(Protocol):
    turns: Turns
    on_device: Any


S = TypeVar("S", bound=Shared)


def in_turn(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """The method inside `with self.turns, self.on_device`."""

    @wraps(method)
    def inside(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.turns, self.on_device:
            return method(self, *args, **kwargs)

    return inside
