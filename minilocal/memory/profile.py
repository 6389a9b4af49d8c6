"""What the bytes of a training step are: parameters, optimiser, activations, auxiliary networks, gradients, workspace.

Every unit, objective and guess of a Learner is put into a thin sleeve. After each forward it notes the arrays that the
cache and the output keep alive, until they are gone; after each backward the gradients. Before and after each call it
reads the meter. So at the moment of the peak it is known what was kept, and the rest is workspace: errors on their way,
and what kernels take for themselves.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from minilocal.array import Array
from minilocal.engine.hooks import Part, Unit, owner_of, sleeved
from minilocal.engine.in_flight import tree_leaves
from minilocal.errors import UserError
from minilocal.learner import Learner
from minilocal.memory.meter import Meter

Kind = Literal["activations", "auxiliary", "gradients", "in flight"]
TRIES = 5  # of a step, until no thread asks for scratch in it
NOISE = 4096  # bytes: Python's own objects beside the scratch
KINDS: tuple[Kind, ...] = ("activations", "auxiliary", "gradients", "in flight")


@dataclass(frozen=True)
class MemoryProfile:
    """Bytes. The first four lines are held between steps, the others at the peak of a step.

    `in_flight` is what a rule with delays holds between steps, as much of it as is still there. `curve` is the bytes of
    the live caches, auxiliary ones and those in flight too, after each forward and backward of a unit or objective.
    """

    parameters: int
    of_auxiliary: int  # parameters of auxiliary networks and synthesisers, in `parameters` already
    statistics: int
    optimizer: int
    scratch: int  # what the CPU's threads keep for their kernels, whatever the batch
    activations: int
    auxiliary: int
    gradients: int
    in_flight: int
    workspace: int
    at: str  # what was running then
    curve: tuple[int, ...] = field(repr=False)

    @property
    def step(self) -> int:
        """The peak of a step above all that is held between steps but what is in flight."""
        return self.activations + self.auxiliary + self.gradients + self.in_flight + self.workspace

    @property
    def total(self) -> int:
        """All of it."""
        return self.parameters + self.statistics + self.optimizer + self.scratch + self.step


def profile(learner: Learner, x: Array, y: Array) -> MemoryProfile:
    """The bytes of one step on this batch in the steady state. Steps with a learning rate of 0 go before it.

    Give it a Learner of its own, fresh where the rule has delays, and on a GPU one built with cuda_graph=False.

    Raises: UserError where nothing was called, since a recorded step was replayed.
    """
    before = _optimizer(learner)
    with Meter(learner.device) as meter, Profiler(learner, meter, (x, y)) as watch:
        scratch = meter.scratch()
        for _ in range(max(1, learner.rule.least_batches(len(learner.modules)))):
            learner.step(x, y, lr=0.0)
        held = meter.scratch()
        for _ in range(TRIES):
            watch.begin(_optimizer(learner) - before + held - scratch)
            learner.step(x, y, lr=0.0)
            watch.look("the end of the step")
            earlier, held = held, meter.scratch()
            if held - earlier < NOISE:  # else a thread worked for the first time, and its scratch is no part of a step
                break
    if not watch.curve:
        raise UserError("nothing was called in this step, it was replayed: measure a Learner with cuda_graph=False.")
    own = learner.parameters()
    return MemoryProfile(
        parameters=sum(w.nbytes for w in own.values()),
        of_auxiliary=sum(w.nbytes for name, w in own.items() if name.startswith(("aux.", "synth."))),
        statistics=sum(a.nbytes for a in learner.buffers().values()),
        optimizer=_optimizer(learner),
        scratch=held,
        activations=watch.kept["activations"],
        auxiliary=watch.kept["auxiliary"],
        gradients=watch.kept["gradients"],
        in_flight=watch.kept["in flight"],
        workspace=watch.peak - sum(watch.kept.values()),
        at=watch.at,
        curve=tuple(watch.curve),
    )


def _optimizer(learner: Learner) -> int:
    """Bytes of the optimiser's state."""
    return sum(a.nbytes for state in learner._state.values() for a in state.values() if hasattr(a, "nbytes"))


class Profiler:
    """Knows which arrays are kept by whom, and reads the meter at every boundary."""

    def __init__(self, learner: Learner, meter: Meter, given: Sequence[Array]) -> None:
        self.learner, self.meter = learner, meter
        self.now: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self.known: dict[int, tuple[Kind | None, int]] = {id(owner_of(a)): (None, 0) for a in given}
        self.on, self.offset, self.peak = False, 0, 0
        self.kept, self.before, self.at, self.curve = self.now, self.now, "", list[int]()

    def __enter__(self) -> Profiler:
        self._sleeves = sleeved(
            self.learner.modules,
            lambda k, unit: Unit(self, "activations", unit, unit.name),
            lambda k, name, it: Part(self, "auxiliary", it, f"{name} of module {k + 1}"),
        )
        self._sleeves.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._sleeves.__exit__(*error)

    def begin(self, offset: int) -> None:
        """From here on it counts. `offset` bytes came since the meter began and are held between steps.

        Whatever else is held now is in flight, caches that are known and what the engine keeps beside them; or where
        nothing can be, what Python and NumPy have made once and for all.
        """
        live, _ = self.meter.read()
        flying = max(0, live - offset) if self.learner._engine.holds_batches else 0
        self.known = {at: ("in flight" if kind else None, nbytes) for at, (kind, nbytes) in self.known.items()}
        self.now = dict.fromkeys(KINDS, 0) | {"in flight": flying}
        self.on, self.offset, self.before, self.curve = True, live - flying, dict(self.now), []
        self.peak = 0

    def keep(self, kind: Kind, nested: Any) -> None:
        """Notes all that the arrays in `nested` keep alive and nobody has noted yet, until it is gone."""
        for array in tree_leaves(nested, None):
            owner = owner_of(array)
            if owner.ndim and id(owner) not in self.known:  # a single number has no memory worth a note
                self.known[id(owner)] = kind, owner.nbytes
                self.now[kind] += owner.nbytes
                weakref.finalize(owner, self._gone, id(owner))

    def _gone(self, at: int) -> None:
        kind, nbytes = self.known.pop(at)
        if kind is not None:
            self.now[kind] -= nbytes

    def look(self, at: str, point: bool = False) -> None:
        """Reads the meter: what was kept at the start or the end of what has just run, whichever is more, was kept."""
        _, peak = self.meter.read()
        if self.on and peak - self.offset > self.peak:
            self.peak, self.at = peak - self.offset, at
            self.kept = dict(self.before if _total(self.before) > _total(self.now) else self.now)
        self.before = dict(self.now)
        if self.on and point:
            self.curve.append(sum(self.now.values()) - self.now["gradients"])


def _total(kept: Mapping[Kind, int]) -> int:
    return sum(kept.values())
