"""Attribute the bytes of a training step: parameters, optimiser, activations, auxiliary, gradients, workspace.

Hooks track the arrays that each unit, objective and synthesiser makes: after a forward its output and cache, after a
backward its gradients. Each is counted until it is freed. Before and after each call the meter is sampled. So the live
arrays at the peak are known. The rest of the peak is workspace: errors, and the temporaries of kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from minilocal import inputs
from minilocal.array import Array
from minilocal.engine import Module
from minilocal.engine.hooks import Gradients, Hook, Part, hooked
from minilocal.errors import UserError
from minilocal.learner import Learner
from minilocal.memory.live import LiveBytes
from minilocal.memory.meter import Meter

Kind = Literal["activations", "auxiliary", "gradients", "in flight"]
KINDS: tuple[Kind, ...] = ("activations", "auxiliary", "gradients", "in flight")
TRIES = 5  # steps, until one in which no thread allocates scratch for the first time
NOISE = 4096  # bytes of Python objects beside the scratch


@dataclass(frozen=True)
class MemoryProfile:
    """Bytes. The first five fields are held between steps, the others are those at the peak of a step.

    `in_flight` is what a rule with delays holds between steps, as much of it as is live at the peak. `curve` is the
    live bytes after each forward and backward of a unit, objective or synthesiser, without gradients.
    """

    parameters: int
    of_auxiliary: int  # the part of `parameters` in auxiliary networks and synthesisers
    statistics: int
    optimizer: int
    scratch: int  # workspace that the CPU's threads keep from call to call
    activations: int
    auxiliary: int
    gradients: int
    in_flight: int
    workspace: int
    at: str  # the call that set the peak
    curve: tuple[int, ...] = field(repr=False)

    @property
    def step(self) -> int:
        """The peak of a step above parameters, statistics, optimiser and scratch."""
        return self.activations + self.auxiliary + self.gradients + self.in_flight + self.workspace

    @property
    def total(self) -> int:
        """The peak of a step, and what is held between steps."""
        return self.parameters + self.statistics + self.optimizer + self.scratch + self.step


def profile(learner: Learner, x: Array, y: Array) -> MemoryProfile:
    """Measure one step on this batch in the steady state, after steps with a learning rate of 0.

    `learner` is one of its own, new if the rule has delays, and built with cuda_graph=False on a GPU.

    Raises: UserError for anything but a Learner, and where no hook was called, because a recorded step was replayed.
    """
    inputs.check_learner("profile", learner)
    before = _optimizer_bytes(learner)
    with learner.on_device:
        meter = Meter(learner.device)
    profiler = Profiler(learner, meter, (x, y))
    with learner.on_device, meter, hooked(learner.modules, profiler.hooks()):
        scratch_before = meter.scratch()
        for _ in range(max(1, learner.rule.least_batches(len(learner.modules)))):
            learner.step(x, y, lr=0.0)
        scratch = meter.scratch()
        for _ in range(TRIES):
            profiler.begin(_optimizer_bytes(learner) - before + scratch - scratch_before)
            learner.step(x, y, lr=0.0)
            profiler.sample("the end of the step")
            earlier, scratch = scratch, meter.scratch()
            if scratch - earlier < NOISE:  # else a thread allocated its scratch, which is no part of a step
                break
    if not profiler.curve:
        raise UserError("nothing was called in this step, it was replayed: measure a Learner with cuda_graph=False.")
    parameters = learner.parameters()
    return MemoryProfile(
        parameters=sum(w.nbytes for w in parameters.values()),
        of_auxiliary=sum(w.nbytes for name, w in parameters.items() if name.startswith(("aux.", "synth."))),
        statistics=sum(a.nbytes for a in learner.buffers().values()),
        optimizer=_optimizer_bytes(learner),
        scratch=scratch,
        activations=profiler.at_peak["activations"],
        auxiliary=profiler.at_peak["auxiliary"],
        gradients=profiler.at_peak["gradients"],
        in_flight=profiler.at_peak["in flight"],
        workspace=profiler.peak - _total(profiler.at_peak),
        at=profiler.at,
        curve=tuple(profiler.curve),
    )


def _optimizer_bytes(learner: Learner) -> int:
    states = learner.optimizer_states().values()
    return sum(a.nbytes for state in states for a in state.values() if hasattr(a, "nbytes"))


class Profiler:
    """Bytes of the live arrays by kind, and samples of the meter around each call of a part."""

    def __init__(self, learner: Learner, meter: Meter, batch: Sequence[Array]) -> None:
        self.learner, self.meter, self.live = learner, meter, LiveBytes(KINDS, batch)
        self.on, self.offset, self.peak = False, 0, 0
        self.at_peak, self.before, self.at, self.curve = self.live.now, self.live.now, "", list[int]()

    def hooks(self) -> list[Hook]:
        """One hook for each module."""
        return [_ProfilerHook(self, k, module) for k, module in enumerate(self.learner.modules, 1)]

    def begin(self, offset: int) -> None:
        """Start the measured step. `offset` is the memory allocated since entry that stays allocated between steps.

        For an engine that holds batches, everything else still allocated is counted as in flight. For others it is
        one-time allocation by Python and NumPy, and is ignored.
        """
        live, _ = self.meter.read()
        in_flight = max(0, live - offset) if self.learner.engine.holds_batches else 0
        self.live.relabel("in flight", in_flight)
        self.on, self.offset, self.before, self.curve = True, live - in_flight, dict(self.live.now), []
        self.peak = 0

    def sample(self, at: str, point: bool = False) -> None:
        """Sample the meter; with `point` add the live bytes to the curve.

        If the call `at` set a new peak, attribute it to the live arrays before or after the call, whichever total is
        larger.
        """
        _, peak = self.meter.read()
        now = dict(self.live.now)
        if self.on and peak - self.offset > self.peak:
            self.peak, self.at = peak - self.offset, at
            self.at_peak = max(now, self.before, key=_total)
        self.before = now
        if self.on and point:
            self.curve.append(_total(now) - now["gradients"])


class _ProfilerHook(Hook):
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
