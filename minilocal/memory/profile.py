"""What the bytes of a training step are: parameters, optimiser, activations, auxiliary networks, gradients, workspace.

Every unit, objective and guess of a Learner is put into a thin sleeve. After each forward it notes the arrays that the
cache and the output keep alive, until they are gone; after each backward the gradients. Before and after each call it
reads the meter. So at the moment of the peak it is known what was kept, and the rest is workspace: errors on their way,
and what kernels take for themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from minilocal.array import Array
from minilocal.engine import Module
from minilocal.engine.hooks import Gradients, Hook, Part, hooked
from minilocal.errors import UserError
from minilocal.learner import Learner
from minilocal.memory.live import LiveBytes
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
    meter = Meter(learner.device)
    profiler = Profiler(learner, meter, (x, y))
    with meter, hooked(learner.modules, profiler.hooks()):
        scratch = meter.scratch()
        for _ in range(max(1, learner.rule.least_batches(len(learner.modules)))):
            learner.step(x, y, lr=0.0)
        held = meter.scratch()
        for _ in range(TRIES):
            profiler.begin(_optimizer(learner) - before + held - scratch)
            learner.step(x, y, lr=0.0)
            profiler.sample("the end of the step")
            earlier, held = held, meter.scratch()
            if held - earlier < NOISE:  # else a thread worked for the first time, and its scratch is no part of a step
                break
    if not profiler.curve:
        raise UserError("nothing was called in this step, it was replayed: measure a Learner with cuda_graph=False.")
    own = learner.parameters()
    return MemoryProfile(
        parameters=sum(w.nbytes for w in own.values()),
        of_auxiliary=sum(w.nbytes for name, w in own.items() if name.startswith(("aux.", "synth."))),
        statistics=sum(a.nbytes for a in learner.buffers().values()),
        optimizer=_optimizer(learner),
        scratch=held,
        activations=profiler.kept["activations"],
        auxiliary=profiler.kept["auxiliary"],
        gradients=profiler.kept["gradients"],
        in_flight=profiler.kept["in flight"],
        workspace=profiler.peak - sum(profiler.kept.values()),
        at=profiler.at,
        curve=tuple(profiler.curve),
    )


def _optimizer(learner: Learner) -> int:
    """Bytes of the optimiser's state."""
    return sum(
        a.nbytes
        for state in learner._training.optimizer_states.values()
        for a in state.values()
        if hasattr(a, "nbytes")
    )


class Profiler:
    """The arrays that are live in a step, by kind, and samples of the meter around each call of a part."""

    def __init__(self, learner: Learner, meter: Meter, batch: Sequence[Array]) -> None:
        self.learner, self.meter, self.live = learner, meter, LiveBytes(KINDS, batch)
        self.on, self.offset, self.peak = False, 0, 0
        self.kept, self.before, self.at, self.curve = self.live.now, self.live.now, "", list[int]()

    def hooks(self) -> list[Hook]:
        """One hook for each module."""
        return [ProfilerHook(self, k, module) for k, module in enumerate(self.learner.modules, 1)]

    def begin(self, offset: int) -> None:
        """Start the measured step. `offset` is the memory allocated since entry that stays allocated between steps.

        For an engine that holds batches, everything else still allocated is counted as in flight. For others it is
        one-time allocation by Python and NumPy, and is ignored.
        """
        live, _ = self.meter.read()
        in_flight = max(0, live - offset) if self.learner._engine.holds_batches else 0
        self.live.relabel("in flight", in_flight)
        self.on, self.offset, self.before, self.curve = True, live - in_flight, dict(self.live.now), []
        self.peak = 0

    def sample(self, at: str, point: bool = False) -> None:
        """Sample the meter. If this call set a new peak, attribute it to the live arrays before or after the call,
        whichever total is larger. A `point` is added to the curve.
        """
        _, peak = self.meter.read()
        now = dict(self.live.now)
        if self.on and peak - self.offset > self.peak:
            self.peak, self.at = peak - self.offset, at
            self.kept = max(now, self.before, key=_total)
        self.before = now
        if self.on and point:
            self.curve.append(_total(now) - now["gradients"])


class ProfilerHook(Hook):
    """Tracks what the parts of module k make, and samples the meter before and after each call."""

    def __init__(self, profiler: Profiler, k: int, module: Module) -> None:
        self.profiler, self.k, self.module = profiler, k, module

    def before_forward(self, part: Part) -> None:
        self.profiler.sample("the engine")

    def after_forward(self, part: Part, out: Array, cache: Any) -> Array:
        self.profiler.live.track("activations" if isinstance(part, int) else "auxiliary", (out, cache))
        self.profiler.sample(f"forward of {self._name(part)}", point=True)
        return out

    def before_backward(self, part: Part) -> None:
        self.profiler.sample("the engine")

    def after_backward(self, part: Part, error: Array | None, grads: Gradients) -> Array | None:
        self.profiler.live.track("gradients", grads)
        self.profiler.sample(f"backward of {self._name(part)}", point=True)
        return error

    def _name(self, part: Part) -> str:
        return self.module.units[part].name if isinstance(part, int) else f"{part} of module {self.k}"


def _total(live: Mapping[Kind, int]) -> int:
    return sum(live.values())
