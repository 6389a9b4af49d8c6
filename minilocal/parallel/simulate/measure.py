"""The costs of a network's parts, each timed by itself on this machine's CPU.

Parts of one form, as the blocks of a ResNet's stage, are timed once: a table holds their costs, {form: costs}.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any, Literal

import numpy as np

from minilocal import streams
from minilocal.array import Array
from minilocal.bench.timing import HostClock
from minilocal.engine import Module
from minilocal.errors import whole
from minilocal.kernels.threads import one_blas_thread, using_threads
from minilocal.kernels.underflow import underflow_is_zero
from minilocal.layers import Layer, PassContext
from minilocal.layers.base import Shape
from minilocal.layers.with_context import encoded_bytes, standing_alone
from minilocal.memory.live import owner_of
from minilocal.nets import Net
from minilocal.objectives import Batch
from minilocal.ops.kinds import kernels
from minilocal.optim import SGD, Optimizer
from minilocal.parallel.simulate.costs import ModuleCosts, PartCosts
from minilocal.tree import tree_leaves

LEAST, FEWEST = 0.25, 5  # seconds that each piece of work is repeated for, and how often at least
MOMENTUM = SGD(momentum=0.9, weight_decay=1e-4)

Kind = Literal["unit", "objective", "synthesiser"]
Table = dict[str, PartCosts]  # {form of a part: its costs}
Forward = Callable[[], tuple[Any, Any]]  # → (result, cache)
Backward = Callable[[str], tuple[Any, dict[str, Array]]]  # "both" or "weights" → (error, gradients)


class Measure:
    """Times parts of one network on batches of `images` images of noise.

    What `table` holds is not timed again, and what is timed is added to it. Work is repeated for `least` seconds, at
    least `fewest` times, on `processor_threads` threads, and the median counts. `on_part` is called with the form of
    each part before it is timed.

    A step takes the sum of these medians. The cut of `costs.passes.Seconds` needs no more than which units take longer,
    on a device too: the fastest of a few passes.

    Raises: UserError for fewer than one image.
    """

    def __init__(
        self,
        net: Net,
        images: int,
        table: Table | None = None,
        *,
        optimizer: Optimizer = MOMENTUM,
        dtype: str = "float32",
        processor_threads: int = 1,
        least: float = LEAST,
        fewest: int = FEWEST,
        on_part: Callable[[str], None] = lambda form: None,
    ) -> None:
        self.net, self.images, self.table = net, whole("images", images), {} if table is None else table
        self.optimizer, self.dtype, self.threads = optimizer, dtype, processor_threads
        self.least, self.fewest, self.on_part = least, fewest, on_part
        self.ctx, self.rng = PassContext(True, 1), streams.rng(0)
        self.batch = Batch(self._noise(net.shape), self.rng.integers(net.classes, size=images))

    def modules(self, modules: Sequence[Module]) -> tuple[ModuleCosts, ...]:
        """The costs of the modules of a Learner."""
        shape, nbytes = self.net.shape, self.batch.x.nbytes
        costs = []
        for module in modules:
            units = []
            for unit in module.units:
                units.append(self.part("unit", unit, shape))
                shape = unit.out_shape(shape)
            objective = None if module.objective is None else self.part("objective", module.objective, shape)
            synthesiser = None if module.synthesiser is None else self.part("synthesiser", module.synthesiser, shape)
            costs.append(
                ModuleCosts(tuple(units), objective, synthesiser, nbytes, encoded_bytes(module.units[0], nbytes))
            )
            nbytes = units[-1].output
        return tuple(costs)

    def part(self, kind: Kind, part: Any, shape: Shape) -> PartCosts:
        """The costs of a part for inputs of this shape, of one image."""
        settings = f"{self.images} images, {self.threads} threads, {self.optimizer}, {self.dtype}"
        settings += "" if kernels() == "numpy" else f", {kernels()}"
        key = form(part, shape, settings)
        if key not in self.table:
            self.on_part(key)
            with self._settings():
                self.table[key] = self.timed(kind, part, shape)
        return self.table[key]

    # ------------------------------------------------------------------ as `costs.passes.Passes`, for a balanced cut

    def unit(self, unit: Layer, shape: Shape) -> tuple[float, float]:
        """Seconds of a unit's forward, and of its backward and update."""
        costs = self.part("unit", unit, shape)
        return costs.forward, costs.backward + costs.update

    def behind(self, part: Any, shape: Shape) -> tuple[float, float]:
        """Seconds of the forward of an objective or a synthesiser, and of its backward and update."""
        costs = self.part("synthesiser" if hasattr(part, "gradients") else "objective", part, shape)
        return costs.forward, costs.backward + costs.update

    # ------------------------------------------------------------------ one part

    def timed(self, kind: Kind, part: Any, shape: Shape) -> PartCosts:
        """Time a part. Its own arrays stay as they are."""
        p = {name: np.array(a, self.dtype) for name, a in {**part.parameters, **part.buffers}.items()}
        x = self._noise(shape)
        error = self._noise(part.out_shape(shape) if kind == "unit" else shape)
        ctx = standing_alone(part, self.ctx, self._noise)

        def forward() -> tuple[Any, Any]:
            batch = () if kind == "unit" else (self.batch,)
            result, cache = part.forward(x, *batch, ctx, p)
            part.update_running_stats(cache, p)
            return result, cache

        result, cache = forward()
        backward: dict[Kind, Backward] = {
            "unit": lambda need: part.backward(error, cache, p, need),
            "objective": lambda need: part.backward(cache, p, need),
            "synthesiser": lambda need: (None, part.gradients(cache, error, p)),
        }
        return PartCosts(
            forward=self._seconds(forward),
            backward=self._seconds(partial(backward[kind], "both")),
            backward_weights=self._seconds(partial(backward[kind], "weights")),
            backward_input=self._seconds(partial(backward[kind], "input")) if kind == "unit" else 0.0,
            update=self._update(p, backward[kind]("both")[1]),
            output=0 if kind == "objective" else result.nbytes,
            kept=self._bytes((result, cache), (x, *self.batch, *p.values())),
            parameters=sum(p[name].nbytes for name in part.parameters),
        )

    def _update(self, p: Mapping[str, Array], grads: Mapping[str, Array]) -> float:
        """Seconds of the optimiser's update. Gradients and rate are 0, so that weights stay finite."""
        if not grads:
            return 0.0
        updates = [(p[name], np.zeros_like(g), dict[str, Any]()) for name, g in grads.items()]
        return self._seconds(lambda: self.optimizer.update(updates, 0.0))

    def _seconds(self, work: Callable[[], Any]) -> float:
        clock, times = HostClock(), list[float]()
        work()
        while len(times) < self.fewest or sum(times) < self.least:
            times.append(clock.seconds(work))
        return median(times)

    def _bytes(self, nested: Any, ignored: Sequence[Array]) -> int:
        """Bytes of the arrays in a result and a cache, without a part's input, batch and parameters."""
        own = {id(owner_of(a)) for a in ignored}
        held = {id(owner): owner for owner in map(owner_of, tree_leaves(nested)) if owner.ndim}
        return sum(owner.nbytes for key, owner in held.items() if key not in own)

    def _noise(self, shape: Shape) -> np.ndarray:
        return self.rng.standard_normal((self.images, *shape), dtype=np.float32).astype(self.dtype, copy=False)

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """As in a step: this number of threads, one of them for BLAS, and underflow to 0."""
        with using_threads(self.threads), one_blas_thread(), underflow_is_zero():
            yield


# ---------------------------------------------------------------------- the form of a part


def form(part: Any, shape: Shape, settings: str) -> str:
    """A key for all parts that do the same work: their kind, the shape of an input, and a digest of all else."""
    title = f"{type(part).__name__} on {'×'.join(map(str, shape))}, {settings}"
    return f"{title} #{hashlib.sha256(f'{title}: {_described(part)}'.encode()).hexdigest()[:12]}"


def _described(nested: Any) -> str:
    """Shapes and settings of a nested object; names are left out, and what arrays hold."""
    if hasattr(nested, "dtype"):
        return f"{nested.dtype}{tuple(nested.shape)}"
    if isinstance(nested, Mapping):
        return f"{{{', '.join(map(_described, nested.values()))}}}"
    if isinstance(nested, (list, tuple)):
        return f"[{', '.join(map(_described, nested))}]"
    if callable(nested):
        return getattr(nested, "__qualname__", "function")
    if hasattr(nested, "__dict__"):
        inside = {key: value for key, value in vars(nested).items() if key != "name"}
        return f"{type(nested).__name__}({', '.join(f'{key}={_described(value)}' for key, value in inside.items())})"
    return repr(nested)
