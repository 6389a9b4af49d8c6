"""What the cases rely on, taken out."""

from __future__ import annotations

import os
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any


def forks_noticed() -> None:
    """A forked process keeps its parent's pool, whose threads it does not have."""
    library: Any = os
    library.register_at_fork = lambda **_: None


def turns() -> None:
    """Threads do not wait for each other's step."""
    from minilocal.turns import Turns

    kind: Any = Turns
    kind.lock = property(lambda self: nullcontext())


def scratch_of_each_thread() -> None:
    """Scratch memory belongs to all threads together."""
    from minilocal.kernels import workspace

    module: Any = workspace
    module._own = SimpleNamespace()


def in_flight_restored() -> None:
    """`restore` leaves parameters as they are."""
    from minilocal.training_state import TrainingState

    kind: Any = TrainingState
    kind.load = lambda self, arrays: None
