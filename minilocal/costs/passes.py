"""The work of a module: forward and backward passes of its parts, in multiply-adds or in seconds.

units                    forward, backward; once more forward where their caches are recomputed
contexts at its input    the same
behind its top           forward, backward
copies of linked units   forward, backward of the error that passes through them; where they are the whole module below,
                         of the contexts at its input too
errors that pass on      of each that only passes through the module, the half of a backward: input errors alone
an error that stays      one more backward, where a part of the module's error does not leave it
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any, Protocol

from minilocal import streams
from minilocal.array import is_device
from minilocal.boundaries.base import ErrorModel
from minilocal.costs.parts import Parts
from minilocal.device import device_namespace, to_device
from minilocal.kernels.threads import one_blas_thread
from minilocal.kernels.underflow import underflow_is_zero
from minilocal.layers import Layer, PassContext
from minilocal.layers.base import Shape
from minilocal.nets import Net
from minilocal.objectives import Batch, Objective
from minilocal.objectives.behind import macs_behind

REPEATS = 5  # of each measured pass; the fastest counts
Pass = tuple[float, float]  # (forward, backward)
Besides = Callable[[int, int, int, int | None], float]


class Passes(Protocol):
    """The cost of a forward and of a backward pass."""

    def unit(self, unit: Layer, shape: Shape) -> Pass:
        """Of a unit, for inputs of this shape."""

    def behind(self, part: Objective | ErrorModel, shape: Shape) -> Pass:
        """Of an objective or a synthesiser behind outputs of this shape."""


def work(parts: Parts, passes: Passes) -> tuple[list[float], Besides]:
    """The work of each unit, and the work of a module besides its units'."""
    of_units = [passes.unit(unit, shape) for unit, shape in parts.units]

    def besides(k: int, first: int, last: int, below: int | None) -> float:
        again = 0.0
        contexts = [passes.unit(encoder, shape) for encoder, _, shape in parts.contexts(k, first, below)]
        if parts.forwards_again and not parts.is_last(k):
            again = sum(forward for forward, _ in of_units[first:last] + contexts)
        behind = sum(sum(passes.behind(part, parts.inputs[last])) for part in parts.behind(k, last))
        copies = sum(sum(of_units[u]) for u in parts.copies(k, first, below))
        for encoder, _, shape in parts.contexts_of_copies(k, first, below):
            copies += sum(passes.unit(encoder, shape))
        backward = sum(backward for _, backward in of_units[first:last])
        passed_on = parts.errors_passed_on(k) * backward / 2
        return again + behind + copies + passed_on + parts.backwards_again(k) * backward + sum(map(sum, contexts))

    return [sum(both) for both in of_units], besides


class MultiplyAdds:
    """Multiply-adds for one image. A backward pass takes twice those of its forward pass."""

    def unit(self, unit: Layer, shape: Shape) -> Pass:
        macs = unit.macs(shape)
        return macs, 2 * macs

    def behind(self, part: Objective | ErrorModel, shape: Shape) -> Pass:
        macs = macs_behind(part, shape)
        return macs, 2 * macs


class Seconds:
    """Seconds for a batch of noise on this machine: the fastest of a few passes, with one BLAS thread.

    Parts of the same class and shapes are measured once, so they cost the same. A cut compares units, and needs a few
    passes only. A step's seconds are measured in `parallel.simulate`: there work repeats until its median is steady,
    on the host alone, and updates count too.
    """

    def __init__(self, net: Net, images: int, dtype: Any, device: Any) -> None:
        self.device, self.dtype, self.images = device, dtype, images
        self.xp, self.rng = device_namespace(device), streams.rng(0)
        labels = self.rng.integers(net.classes, size=images)
        self.batch = Batch(self._noise(net.shape), to_device(labels, device))
        self.measured: dict[Hashable, Pass] = {}

    def unit(self, unit: Layer, shape: Shape) -> Pass:
        p = self._arrays(unit.arrays)
        key = type(unit), shape, unit.out_shape(shape), _shapes(p)
        return self._fastest(
            key, shape, lambda h, ctx: unit.forward(h, ctx, p), lambda y, cache: unit.backward(y, cache, p)
        )

    def behind(self, part: Any, shape: Shape) -> Pass:
        p = self._arrays({**part.parameters, **part.buffers})
        key = type(part), shape, macs_behind(part, shape), _shapes(p)

        def backward(out: Any, cache: Any) -> Any:
            return part.gradients(cache, out, p) if hasattr(part, "gradients") else part.backward(cache, p)

        return self._fastest(key, shape, lambda h, ctx: part.forward(h, self.batch, ctx, p), backward)

    def _fastest(
        self,
        key: Hashable,
        shape: Shape,
        forward: Callable[[Any, PassContext], tuple[Any, Any]],
        backward: Callable[[Any, Any], Any],
    ) -> Pass:
        """The least seconds of each pass. The output takes the place of an error: it has its shape.

        All forwards come before all backwards. So a backward meets what has left the processor's caches meanwhile, as
        in a step, where other units' forwards stand between the two.
        """
        if key not in self.measured:
            h, kept = self._noise(shape), list[Any]()
            seconds: tuple[list[float], list[float]] = ([], [])
            with one_blas_thread(), underflow_is_zero():
                for _ in range(REPEATS):
                    start = self._now()
                    kept.append(forward(h, PassContext()))
                    seconds[0].append(self._now() - start)
                while kept:
                    start = self._now()
                    backward(*kept.pop())
                    seconds[1].append(self._now() - start)
            self.measured[key] = min(seconds[0]), min(seconds[1])
        return self.measured[key]

    def _now(self) -> float:
        """The time after all work so far."""
        if is_device(self.xp):
            self.xp.cuda.Device().synchronize()
        return time.perf_counter()

    def _noise(self, shape: Shape) -> Any:
        return to_device(self.rng.standard_normal((self.images, *shape), "float32").astype(self.dtype), self.device)

    def _arrays(self, arrays: Any) -> dict[str, Any]:
        return {name: to_device(a.astype(self.dtype), self.device) for name, a in arrays.items()}


def _shapes(arrays: dict[str, Any]) -> tuple[Shape, ...]:
    return tuple(a.shape for a in arrays.values())
