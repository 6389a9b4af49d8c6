"""Leaks put in on purpose: after each step something stays that the process did not hold before."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from minilocal import Learner

kept: list[Any] = []


def caches(learner: Learner) -> Callable[[], None]:
    """Every cache of the first unit stays, as by a hook that collects them."""
    unit: Any = learner.modules[0].units[0]
    forward = unit.forward

    def keeping(*args: Any, **options: Any) -> Any:
        y, cache = forward(*args, **options)
        kept.append((y, cache))
        return y, cache

    unit.forward = keeping
    return lambda: None


def files(learner: Learner) -> Callable[[], None]:
    """A file is opened."""
    return lambda: kept.append(open(os.devnull))


def threads(learner: Learner) -> Callable[[], None]:
    """A thread is started that waits for ever."""

    def one_more() -> None:
        other = threading.Thread(target=threading.Event().wait, daemon=True)
        other.start()
        kept.append(other)

    return one_more


def processes(learner: Learner) -> Callable[[], None]:
    """A process ends and is not waited for. (Its parent has one thread here.)"""

    def one_more() -> None:
        if os.fork() == 0:
            os._exit(0)

    return one_more


LEAKS = {"caches": caches, "files": files, "threads": threads, "processes": processes}
