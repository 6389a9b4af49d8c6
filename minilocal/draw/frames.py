"""The frames of one training step, recorded while a copy of the Learner makes it.

Hooks record every forward, local loss and backward; the optimiser records every update. What a module keeps is tracked
until it is freed. So the frames stand in the order of the engine's work, and no rule is known by its name.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from minilocal.array import Array
from minilocal.engine import Module
from minilocal.engine.hooks import Gradients, Hook, Part, hooked
from minilocal.learner import Learner
from minilocal.memory.live import LiveBytes
from minilocal.optim import Optimizer, Update

Kind = Literal["forward", "local loss", "backward", "update", "freed"]
Held = Literal["input", "in flight"]
Label = tuple[int, Part | Held]  # whose bytes: module, counted from 0, and what in it
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Frame:
    """One moment of a step. Modules and units are counted from 1.

    part         "unit", with its number in `unit`; or "objective", "synthesiser"; where freed "input", "in flight" too
    shapes       of what it reads and of what it returns, or of the arrays that an update changes
    by_module    live bytes of each module at that moment: activations, caches, and what is in flight. A backward has
                 those before it frees its cache, which the frame behind it tells; gradients are not counted
    goes         "up" where an activation leaves the module, "down" where an error does
    note         the frame in a sentence
    """

    kind: Kind
    module: int
    part: str
    unit: int | None
    shapes: tuple[Shape, ...]
    by_module: tuple[int, ...]
    goes: Literal["", "up", "down"]
    note: str

    @property
    def bytes(self) -> int:
        """Live bytes of all modules."""
        return sum(self.by_module)


def record(learner: Learner, x: Array, y: Array, lr: float | None = None) -> tuple[list[Frame], list[int]]:
    """(frames of a step on this batch, batches in flight at each module before it). `learner` takes no step.

    Where nothing is in flight yet and the rule has delays or buffers, the copy takes steps at rate 0 until every module
    has an error.

    Raises: UserError as `Learner.step`.
    """
    copied = copy.copy(learner)
    if not any(copied.engine.held_arrays()):
        for _ in range(copied.rule.least_batches(len(copied.modules)) - 1):
            copied.step(x, y, lr=0.0)
    in_flight = copied.in_flight
    recorder = Recorder(copied, (x, y))
    copied.optimizer = RecordedOptimizer(copied.optimizer, recorder)
    with hooked(copied.modules, [_FrameHook(recorder, k) for k in range(len(copied.modules))]):
        copied.step(x, y, lr=learner.lr if lr is None else lr)
    recorder.free()
    return recorder.frames, in_flight


class Recorder:
    """The frames so far, and the live bytes."""

    def __init__(self, learner: Learner, batch: Sequence[Array]) -> None:
        self.learner, self.frames = learner, list[Frame]()
        parts: list[Label] = [(k, u) for k, m in enumerate(learner.modules) for u in range(len(m.units))]
        others: list[Part | Held] = ["objective", "synthesiser", "input", "in flight"]
        self._live = LiveBytes(parts + [(k, p) for k in range(len(learner.modules)) for p in others], batch)
        self._track_held()
        self._before = dict(self._live.now)
        self._source = -1  # the module whose own loss came last
        self._images = len(batch[1])
        self._owner_of: dict[str, tuple[int, Part]] = {
            name: (k, part)
            for k, module in enumerate(learner.modules)
            for part, owner in parts_of(module)
            for name in owner.parameters
        }
        self._names = {id(w): name for name, w in learner.parameters().items()}

    # ------------------------------------------------------------------ what hooks and optimiser see

    def free(self) -> None:
        """Add a frame for what has been freed since the last one."""
        if freed := self._freed():
            self._add_freed(freed)

    def forward(self, k: int, part: Part, out: Array, cache: Any) -> None:
        """After a forward: track what it made."""
        freed, modules, rule = self._freed(), self.learner.modules, self.learner.rule
        top = part == len(modules[k].units) - 1
        up = top and k + 1 < len(modules)
        self._live.track((k + 1, "input") if up else (k, part), out)
        self._live.track((k, part), cache)
        self._before = dict(self._live.now)
        if isinstance(part, int):
            note = f"{modules[k].units[part].name} forward"
            if up:
                activations = rule.boundary.lags[0]
                where = f"the buffer of module {k + 2}" if rule.when.engine == "asynchronous" else f"module {k + 2}"
                note += f"; its output goes up to {where}" + _iterations(activations)
            self._add("forward", k, part, self._shapes(k, part, len(out)), freed, note, "up" if up else "")
            return
        self._source = k
        predicted = f"ê{k + 1}, the predicted error at h{k + 1}"
        note = f"the loss L{k + 1} = {float(out):.4g}" if part == "objective" else predicted
        shape = self._shapes(k, len(modules[k].units) - 1, self._images)[1]
        self._add("local loss", k, part, (shape, tuple(out.shape)), freed, note)

    def backward(self, k: int, part: Part, error: Array | None) -> None:
        """After a backward: what it consumed has been freed."""
        freed, module, boundary = self._freed(), self.learner.modules[k], self.learner.rule.boundary
        if not isinstance(part, int):
            own = f"e{k + 1} = ∂L{k + 1}/∂h{k + 1}" if error is not None else "gradients of its own parameters alone"
            note = own if part == "objective" else f"its own gradients, from the error that ê{k + 1} predicted"
            self._add("backward", k, part, () if error is None else (tuple(error.shape),), freed, note)
            return
        note = f"{module.units[part].name} backward, of "
        j = len(module.units) - 1 - part
        if k == self._source:
            note += f"ê{k + 1}" if module.synthesiser is not None else f"the error of L{k + 1}"
        else:
            note += "the error from above"
            a, b = boundary.weights(j)
            if (a, b) != (1, 1):
                note += f"; then g = {a:.4g} g_loc + {b:.4g} g_glb"
        down = part == 0 and k > 0 and error is not None
        if down:
            note += f"; the error goes down to module {k}" + _iterations(boundary.lags[1])
        elif part == 0 and k > 0:
            note += f"; no error goes down to module {k}"
        x, out = self._shapes(k, part, self._images)
        self._add("backward", k, part, (out, x) if error is not None else (out,), freed, note, "down" if down else "")

    def update(self, updates: Sequence[Update]) -> None:
        """After an update: a frame for each part whose parameters it moved."""
        moved: dict[tuple[int, Part], list[Array]] = {}
        for w, _, _ in updates:
            moved.setdefault(self._owner_of[self._names[id(w)]], []).append(w)
        for (k, part), arrays in moved.items():
            numbers, name = sum(w.size for w in arrays), self._name(k, part)
            shapes = tuple(tuple(w.shape) for w in arrays)
            self._add("update", k, part, shapes, {}, f"{numbers:,} parameters of {name} move")

    # ------------------------------------------------------------------ frames

    def _track_held(self) -> None:
        """Track what the engine holds between steps: batches, stashed weights, messages, buffers."""
        for k, arrays in enumerate(self.learner.engine.held_arrays()):
            self._live.track((k, "in flight"), arrays)

    def _freed(self) -> dict[Label, int]:
        """Bytes that have been freed since this was last asked, by label."""
        freed = {label: self._before[label] - n for label, n in self._live.now.items() if n < self._before[label]}
        self._track_held()
        self._before = dict(self._live.now)
        return freed

    def _add(
        self, kind: Kind, k: int, part: Part | Held, shapes: tuple[Shape, ...], freed: dict[Label, int], note: str,
        goes: Literal["", "up", "down"] = "",
    ) -> None:  # fmt: skip
        """Add a frame, with the bytes before anything was freed, and one for what was."""
        by_module = [0] * len(self.learner.modules)
        for (module, _), n in [*self._live.now.items(), *freed.items()]:
            by_module[module] += n
        unit = self.learner.modules[k].first + part + 1 if isinstance(part, int) else None
        name = "unit" if isinstance(part, int) else str(part)
        self.frames.append(Frame(kind, k + 1, name, unit, shapes, tuple(by_module), goes, note))
        if freed and kind != "freed":
            self._add_freed(freed)

    def _add_freed(self, freed: dict[Label, int]) -> None:
        k, part = max(freed, key=lambda label: freed[label])
        words = ", ".join(f"{self._name(*label)} {megabytes(n)}" for label, n in freed.items())
        self._add("freed", k, part, (), {}, f"freed: {words}")

    def _name(self, k: int, part: Part | Held) -> str:
        module = self.learner.modules[k]
        if isinstance(part, int):
            return module.units[part].name
        if part == "input":
            return f"h{k}, the input of module {k + 1}"
        return {"objective": f"the loss L{k + 1}", "synthesiser": f"the synthesiser of module {k + 1}"}.get(
            part, f"in flight at module {k + 1}"
        )

    def _shapes(self, k: int, part: int, images: int) -> tuple[Shape, Shape]:
        """Of a unit's input and output."""
        shapes, u = [self.learner.net.shape, *self.learner.net.shapes], self.learner.modules[k].first + part
        return (images, *shapes[u]), (images, *shapes[u + 1])


class _FrameHook(Hook):
    """Reports the parts of module k to the recorder."""

    def __init__(self, recorder: Recorder, k: int) -> None:
        self.recorder, self.k = recorder, k

    def before_forward(self, part: Part) -> None:
        self.recorder.free()

    def after_forward(self, part: Part, out: Array, cache: Any) -> Array:
        self.recorder.forward(self.k, part, out, cache)
        return out

    def before_backward(self, part: Part) -> None:
        self.recorder.free()

    def after_backward(self, part: Part, error: Array | None, grads: Gradients) -> Array | None:
        self.recorder.backward(self.k, part, error)
        return error


class RecordedOptimizer:
    """An optimiser whose updates are reported to the recorder."""

    def __init__(self, optimizer: Optimizer, recorder: Recorder) -> None:
        self._optimizer, self._recorder = optimizer, recorder

    def update(self, updates: Sequence[Update], lr: float | Array) -> None:
        """The optimiser's update, and then its frames."""
        self._optimizer.update(updates, lr)
        self._recorder.update(updates)


def parts_of(module: Module) -> list[tuple[Part, Any]]:
    """The units, the objective and the synthesiser of a module, as far as it has them."""
    others: list[tuple[Part, Any]] = [("objective", module.objective), ("synthesiser", module.synthesiser)]
    return [*enumerate(module.units), *((part, owner) for part, owner in others if owner is not None)]


def megabytes(n: int) -> str:
    """Bytes as text, in MB or kB."""
    return f"{n / 1e6:,.1f} MB" if n >= 1e6 else f"{n / 1e3:,.1f} kB"


def _iterations(n: int) -> str:
    return f", where it arrives {n} iteration{'s' * (n > 1)} later" if n else ""
