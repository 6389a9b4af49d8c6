"""Everything that training continues from: arrays by name, the optimiser's state, and counters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minilocal import inputs
from minilocal.array import Array, host_copy, namespace, to_host
from minilocal.engine import Module
from minilocal.engine.build import owners
from minilocal.layers.base import check_distinct_names
from minilocal.optim import Optimizer, State


class TrainingState:
    """Copies of the modules' arrays on the library `xp`, and what the optimiser and the counters hold beside them.

    arrays     {name: array} of parameters and running statistics, live        names     of the two, in order
    optimizer_states           {parameter: its state}, filled by the first update of that parameter
    key, epoch, steps, lr      the key of all random streams; steps of this epoch; the last learning rate

    Raises: UserError where two layers have an array of one name.
    """

    def __init__(self, modules: Sequence[Module], xp: Any, dtype: str, key: int) -> None:
        kinds = [owners(modules, kind) for kind in ("parameters", "buffers")]
        check_distinct_names(kinds[0] + kinds[1])
        own = [{name: a for _, arrays in kind for name, a in arrays.items()} for kind in kinds]
        self.names = list(own[0]), list(own[1])
        self.arrays = {name: xp.array(a, dtype=xp.dtype(dtype)) for arrays in own for name, a in arrays.items()}
        self.optimizer_states: dict[str, State] = {}
        self.key, self.epoch, self.steps, self.lr = key, 0, 0, 0.0

    def parameters(self) -> dict[str, Array]:
        return {name: self.arrays[name] for name in self.names[0]}

    def buffers(self) -> dict[str, Array]:
        return {name: self.arrays[name] for name in self.names[1]}

    def update(self, optimizer: Optimizer, lr: float | Array, grads: Mapping[str, Array]) -> None:
        """Move the parameters that have a gradient, in place."""
        updates = [(self.arrays[name], g, self.optimizer_states.setdefault(name, {})) for name, g in grads.items()]
        optimizer.update(updates, lr)

    def prepare(self, optimizer: Optimizer, names: Iterable[str]) -> None:
        """Make the optimiser's arrays for these parameters where they are not there, if it can before an update."""
        if hasattr(optimizer, "prepare"):
            for name in names:
                optimizer.prepare(self.arrays[name], self.optimizer_states.setdefault(name, {}))

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Copy arrays in, from wherever they live, each into the one of its name."""
        for name, a in arrays.items():
            own = self.arrays[name]
            xp = namespace(own)
            own[...] = to_host(a) if xp is np else xp.asarray(a)

    def to_arrays(
        self, in_flight: Mapping[str, np.ndarray], of: Collection[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Everything as named host copies, with what the engine has in flight; `of` names arrays, all by default."""
        of = self.arrays if of is None else of
        saved = {f"array:{name}": host_copy(a) for name, a in self.arrays.items() if name in of}
        for name, state in self.optimizer_states.items():
            saved |= {f"optim:{name}:{key}": host_copy(a) for key, a in state.items() if name in of}
        saved |= {f"flight:{name}": a for name, a in in_flight.items()}
        counts = {"key": self.key, "epoch": self.epoch, "steps": self.steps, "lr": self.lr}
        return saved | {f"count:{name}": host_copy(count) for name, count in counts.items()}

    def restore(self, checked: inputs.SavedState) -> None:
        """Continue from what `inputs.state` has read and checked."""
        self.load(checked.arrays)
        self.optimizer_states = {
            name: {key: a if isinstance(a, int) else self._like(name, a) for key, a in state.items()}
            for name, state in checked.optimizer_states.items()
        }
        self.key, self.epoch, self.steps, self.lr = checked.counters

    def _like(self, name: str, a: np.ndarray) -> Array:
        """A copy of `a` in the type of this parameter, where it lives."""
        w = self.arrays[name]
        return namespace(w).array(a, dtype=w.dtype)
