"""A copy of what training changes, which is trained further while the Learner stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, repeat
from typing import Any

from minilocal.array import Array
from minilocal.engine import Engine
from minilocal.layers import PassContext
from minilocal.learner import Learner
from minilocal.objectives import Batch
from minilocal.optim import State

Batches = Callable[[], Iterable[tuple[Array, Array]]]  # images and labels, from the first batch on at every call


class TrainingCopy:
    """The arrays and the optimiser's state of a Learner in other memory, on the same device."""

    def __init__(self, learner: Learner, lr: float) -> None:
        live = {**learner.parameters(), **learner.buffers()}
        self.arrays = {name: a.copy() for name, a in live.items()}
        self.states: dict[str, State] = {
            name: {key: a.copy() if hasattr(a, "copy") else a for key, a in state.items()}
            for name, state in learner.optimizer_states().items()
        }
        self.optimizer, self.lr = learner.optimizer, lr

    def update(self, grads: Mapping[str, Array]) -> None:
        """Move the parameters that have a gradient, as `Learner.step` does."""
        updates = [(self.arrays[name], g, self.states.setdefault(name, {})) for name, g in grads.items()]
        self.optimizer.update(updates, self.lr)


def inner_engine(learner: Learner) -> Engine:
    """The engine of the rule, without one around it that records steps."""
    engine: Any = learner.engine
    return engine.engine if engine.holds_batches and hasattr(engine, "engine") else engine


def further(learner: Learner, batches: Batches) -> Iterator[tuple[Batch, PassContext]]:
    """The batches that a copy is trained with, from the first on, again and again without end.

    Every step has random streams of its own.
    """
    again = chain.from_iterable(batches() for _ in repeat(None))
    for step, (x, y) in enumerate(again):
        yield Batch(x, y), PassContext(True, learner.key, learner.epoch, step)
