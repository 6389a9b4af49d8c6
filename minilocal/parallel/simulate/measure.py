"""The costs of a Learner's parts, each timed by itself on this machine, and the file that they are kept in.

Parts of one form, as the blocks of a ResNet's stage, are timed once. The table that holds them, {form: costs}, is a
JSON file: later simulations of the same network measure nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from functools import partial
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from minilocal import record, streams
from minilocal.array import Array
from minilocal.bench.timing import HostClock
from minilocal.errors import UserError, real, whole
from minilocal.kernels.threads import one_blas_thread, threads, use_threads
from minilocal.kernels.underflow import underflow_is_zero
from minilocal.layers import PassContext
from minilocal.learner import Learner
from minilocal.memory.live import owner_of
from minilocal.objectives import Batch
from minilocal.parallel.simulate.costs import ModuleCosts, PartCosts
from minilocal.record.files import read_json
from minilocal.tree import tree_leaves

LEAST, FEWEST = 0.25, 5  # seconds that each piece of work is repeated for, and how often at least; the median counts

Table = dict[str, PartCosts]  # {form of a part: its costs}


def measure(
    learner: Learner,
    images: int,
    table: Table | None = None,
    *,
    processor_threads: int = 1,
    least: float = LEAST,
    on_part: Callable[[str], None] = lambda form: None,
) -> tuple[ModuleCosts, ...]:
    """The costs of the modules of a Learner on the CPU, for batches of `images` images.

    What `table` holds is not timed again, and what is timed is added to it. `on_part` is called with the form of each
    part before it is timed. The learner's weights move: give one that is not needed any more.

    Raises: UserError for fewer than one image.
    """
    images, table = whole("images", images), {} if table is None else table
    before = threads()
    use_threads(processor_threads)
    try:
        with one_blas_thread(), underflow_is_zero():
            return tuple(_modules(learner, images, table, Timer(learner, images, least, on_part)))
    finally:
        use_threads(before)


def _modules(learner: Learner, images: int, table: Table, timer: Timer) -> Iterator[ModuleCosts]:
    shape, settings = learner.net.shape, f"{images} images, {threads()} threads, {learner.optimizer}, {learner.dtype}"
    nbytes = images * prod(shape) * np.dtype(learner.dtype).itemsize
    for module in learner.modules:
        units: list[PartCosts] = []

        def costs(part: Any, shape: tuple[int, ...], run: Callable[[Any, tuple[int, ...]], PartCosts]) -> PartCosts:
            key = form(part, shape, settings)
            if key not in table:
                timer.on_part(key)
                table[key] = run(part, shape)
            return table[key]

        for unit in module.units:
            units.append(costs(unit, shape, timer.unit))
            shape = unit.out_shape(shape)
        objective = None if module.objective is None else costs(module.objective, shape, timer.objective)
        synthesiser = None if module.synthesiser is None else costs(module.synthesiser, shape, timer.synthesiser)
        yield ModuleCosts(tuple(units), objective, synthesiser, nbytes)
        nbytes = units[-1].output


class Timer:
    """Times the parts of one Learner, each on noise of the shape of its input."""

    def __init__(self, learner: Learner, images: int, least: float, on_part: Callable[[str], None]) -> None:
        self.learner, self.images, self.least, self.on_part = learner, images, least, on_part
        self.p: Mapping[str, Array] = {**learner.parameters(), **learner.buffers()}
        self.ctx, self.rng = PassContext(True, learner.key), streams.rng(0)
        self.batch = Batch(self._noise(learner.net.shape), self.rng.integers(learner.net.classes, size=images))

    def _noise(self, shape: tuple[int, ...]) -> np.ndarray:
        noise = self.rng.standard_normal((self.images, *shape), dtype=np.float32)
        return noise.astype(self.learner.dtype, copy=False)

    def unit(self, unit: Any, shape: tuple[int, ...]) -> PartCosts:
        """The costs of a unit."""
        x, error, p = self._noise(shape), self._noise(unit.out_shape(shape)), self.p

        def forward() -> tuple[Array, Any]:
            y, cache = unit.forward(x, self.ctx, p)
            unit.update_running_stats(cache, p)
            return y, cache

        y, cache = forward()
        return self._costs(unit, x, forward, partial(unit.backward, error, cache, p), (y, cache), y.nbytes)

    def objective(self, objective: Any, shape: tuple[int, ...]) -> PartCosts:
        """The costs of an objective."""
        h, p = self._noise(shape), self.p

        def forward() -> tuple[Array, Any]:
            loss, cache = objective.forward(h, self.batch, self.ctx, p)
            objective.update_running_stats(cache, p)
            return loss, cache

        _, cache = forward()
        return self._costs(objective, h, forward, partial(objective.backward, cache, p), cache, 0)

    def synthesiser(self, synthesiser: Any, shape: tuple[int, ...]) -> PartCosts:
        """The costs of a synthesiser: its backward is that of its gradients, given the true error."""
        h, error, p = self._noise(shape), self._noise(shape), self.p

        def forward() -> tuple[Array, Any]:
            predicted, cache = synthesiser.forward(h, self.batch, self.ctx, p)
            synthesiser.update_running_stats(cache, p)
            return predicted, cache

        _, cache = forward()

        def backward(need: str) -> tuple[None, dict[str, Array]]:
            return None, synthesiser.gradients(cache, error, p)

        return self._costs(synthesiser, h, forward, backward, cache, h.nbytes)

    def _costs(
        self, part: Any, x: Array, forward: Callable[[], Any], backward: Callable[[str], Any], cache: Any, output: int
    ) -> PartCosts:
        _, grads = backward("both")
        nbytes = sum(self.p[name].nbytes for name in part.parameters)
        return PartCosts(
            forward=self._seconds(forward),
            backward=self._seconds(partial(backward, "both")),
            backward_weights=self._seconds(partial(backward, "weights")),
            update=self._update(grads),
            output=output,
            kept=self._bytes(cache, x),
            parameters=nbytes,
        )

    def _update(self, grads: dict[str, Array]) -> float:
        """Seconds of the optimiser's update; the gradients are set to 0, so that weights stay finite."""
        if not grads:
            return 0.0
        updates = [(self.p[name], np.zeros_like(g), dict[str, Any]()) for name, g in grads.items()]
        return self._seconds(partial(self.learner.optimizer.update, updates, 0.0))

    def _seconds(self, work: Callable[[], Any]) -> float:
        clock, taken = HostClock(), list[float]()
        work()
        while len(taken) < FEWEST or sum(taken) < self.least:
            taken.append(clock.seconds(work))
        return median(taken)

    def _bytes(self, cache: Any, x: Array) -> int:
        """Bytes that a cache holds, the part's input and the parameters left out."""
        own = {id(owner_of(a)) for a in (x, *self.batch, *self.p.values())}
        held = {id(owner): owner.nbytes for owner in map(owner_of, tree_leaves(cache)) if id(owner) not in own}
        return sum(held.values())


# ---------------------------------------------------------------------- the form of a part


def form(part: Any, shape: tuple[int, ...], settings: str) -> str:
    """A key for all parts that do the same work: their kind, the shape of an input, and a digest of all else."""
    title = f"{type(part).__name__} on {'×'.join(map(str, shape))}, {settings}"
    return f"{title} #{hashlib.sha256(f'{title}: {_described(part)}'.encode()).hexdigest()[:12]}"


def _described(thing: Any) -> str:
    """Shapes and settings of a nested object; names are left out, and what arrays hold."""
    if hasattr(thing, "dtype"):
        return f"{thing.dtype}{tuple(thing.shape)}"
    if isinstance(thing, Mapping):
        return f"{{{', '.join(map(_described, thing.values()))}}}"
    if isinstance(thing, (list, tuple)):
        return f"[{', '.join(map(_described, thing))}]"
    if hasattr(thing, "__dict__") and not callable(thing):
        inside = {key: value for key, value in vars(thing).items() if key != "name"}
        return f"{type(thing).__name__}({', '.join(f'{key}={_described(value)}' for key, value in inside.items())})"
    return "function" if callable(thing) else repr(thing)


# ---------------------------------------------------------------------- the file of a table


@contextmanager
def kept_in(path: Path | None) -> Iterator[Table]:
    """A table read from `path`, if it is there, and written back at the end where it has grown, also after an error."""
    table = load(path) if path is not None and path.exists() else {}
    size = len(table)
    try:
        yield table
    finally:
        if path is not None and len(table) > size:
            save(table, path)


def save(table: Table, path: Path) -> None:
    """Write a table as JSON, with the environment that it was measured in."""
    document = {"environment": record.current_environment(), "parts": {key: asdict(c) for key, c in table.items()}}
    with record.atomic_write(path) as file:
        file.write(json.dumps(document, indent=1, ensure_ascii=False).encode())


def load(path: Path) -> Table:
    """A table that `save` wrote.

    Raises: UserError where the file cannot be read, or holds something else.
    """
    parts = read_json(path).get("parts")
    if not isinstance(parts, dict):
        raise UserError(f'{path} has no "parts": it is no file of costs. minilocal simulate --costs FILE writes one.')
    return {key: _part(path, key, numbers) for key, numbers in parts.items()}


def _part(path: Path, key: str, numbers: Any) -> PartCosts:
    known = [f.name for f in fields(PartCosts)]
    if not isinstance(numbers, dict) or sorted(numbers) != sorted(known):
        raise UserError(f"{path}: {key!r} needs the numbers {', '.join(known)}.")
    for name, value in numbers.items():
        real(f"{path}: {name} of {key!r} =", value, 0, float("inf"), "[)", why="seconds or bytes, 0 or more")
    return PartCosts(**numbers)
