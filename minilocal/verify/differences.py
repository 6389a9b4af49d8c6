"""A layer of your own against finite differences, in float64 and without JAX.

With L = Σ dy·y for a random dy, the derivative by one number t of x or of a parameter is

    D(h) = (L(t + h) - L(t - h)) / 2h        L' = D(h) - h²/6 L''' - ...,    h = ε^(1/3) max(1, |t|)

D(h) has two errors: truncation, h²/6 |L'''|, of which |D(2h) - D(h)| is three times as much; and round-off, about
ε S / h with S = Σ |dy||y|, which is ε^(2/3) S. The bound on the difference between `backward` and D(h) is their sum,
with ROUNDINGS times the second: the round-off of a sum of n terms is √n times that of one of them, and 16 is √256. If
a kink lies between t - 2h and t + 2h, D(2h) and D(h) differ, and the bound is wide enough to allow it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilocal import contract
from minilocal.array import to_host
from minilocal.errors import UserError, boolean, whole
from minilocal.layers import Layer, PassContext
from minilocal.layers.base import Shape
from minilocal.streams import stream
from minilocal.tree import tree_leaves

EPS = float(np.finfo(float).eps)
ROUNDINGS = 16
MOST = 100  # numbers of an array that are moved, one by one


@dataclass(frozen=True)
class Row:
    """One array: how many of its numbers were moved, the worst difference, and the bound on it."""

    name: str
    shape: Shape
    moved: int
    difference: float
    allowed: float


@dataclass(frozen=True)
class Check:
    """The result of `check_layer`; printed, it is a table."""

    layer: str
    rows: tuple[Row, ...]

    def __repr__(self) -> str:
        lines = [
            f"{self.layer}: backward agrees with finite differences",
            f"{'array':<24} {'shape':<18} {'moved':>6} {'difference':>11} {'allowed':>9}",
        ]
        for row in self.rows:
            shape = "×".join(map(str, row.shape))
            lines.append(f"{row.name:<24} {shape:<18} {row.moved:>6} {row.difference:>11.1e} {row.allowed:>9.1e}")
        return "\n".join(lines)


def check_layer(
    layer: Layer, shape: Shape, *, images: int = 3, x: np.ndarray | None = None, training: bool = True, seed: int = 0
) -> Check:
    """Check a layer's contract (`minilocal.layers.Layer`), and its backward against finite differences.

    `shape` is that of one input, (H, W, C) or (F,). The inputs are `x`, (N, *shape), or `images` random ones, drawn by
    `seed`. `training=False` checks evaluation mode. Checked are:

        shapes, types and names of what is returned, in float32 and float64
        two calls with the same arguments give the same numbers
        nothing writes into x, dy, the cache or p
        a second backward on one cache gives the same gradients
        need="input" and need="weights" give their part of "both"
        dx and every gradient equal the finite differences, at up to 100 numbers of each array, picked at random

    >>> import minilocal as ml
    >>> ml.verify.check_layer(ml.layers.Linear(3, 2, ml.layers.Initializer(0), name="fc"), (3,)).layer
    "Linear 'fc'"

    Raises: UserError, in one line, for the first thing that is wrong.
    """
    if not isinstance(layer, Layer):
        raise UserError(f"check_layer was given a {type(layer).__name__}: give a minilocal.layers.Layer.")
    if not isinstance(shape, Sequence) or not shape or isinstance(shape, str):
        raise UserError(f"shape = {shape!r}: give that of one input, as (32, 32, 3) or (100,).")
    shape = tuple(whole("shape", side) for side in shape)
    images, seed, training = whole("images", images), whole("seed", seed, 0), boolean("training", training)
    for dtype in ("float32", "float64"):
        p = {name: np.array(a, dtype) for name, a in layer.arrays.items()}
        contract.check_layer(layer, shape, p or {"": np.zeros(1, dtype)}, training)
    t = _LayerOnBatch(layer, _input(x, shape, images, seed), p, PassContext(training=training, key=seed))
    _is_pure(t)
    return Check(t.who, tuple(_row(t, name, moved) for name, moved in _differences(t, seed)))


class _LayerOnBatch:
    """A layer, one batch in float64, and a random error dy for its output."""

    def __init__(self, layer: Layer, x: np.ndarray, p: dict[str, np.ndarray], ctx: PassContext) -> None:
        self.layer, self.x, self.p, self.ctx = layer, x, p, ctx
        self.who = f"{type(layer).__name__} {layer.name!r}".removesuffix(" ''")
        y, self.cache = layer.forward(x, ctx, p)
        self.y = to_host(y)
        self.dy = stream(ctx.key, "check error").standard_normal(self.y.shape)

    def backward(self, need: Any = "both") -> dict[str, np.ndarray]:
        """{name: gradient}, that of x as "dx"."""
        dx, grads = self.layer.backward(self.dy, self.cache, self.p, need)
        arrays = grads if dx is None else {"dx": dx, **grads}
        return {name: to_host(a) for name, a in arrays.items()}


def _input(x: Any, shape: Shape, images: int, seed: int) -> np.ndarray:
    if x is None:
        return stream(seed, "check input").standard_normal((images, *shape))
    try:
        array = np.asarray(x, float)
    except (TypeError, ValueError):
        raise UserError(f"x = {x!r}: give numbers, (N, {', '.join(map(str, shape))}).") from None
    if array.shape[1:] != shape or not len(array):
        raise UserError(f"x is {array.shape}, and one input {shape}: give (N, {', '.join(map(str, shape))}).")
    return array


def _is_pure(t: _LayerOnBatch) -> None:
    """Check that equal calls give equal numbers, and that no call writes into its arguments."""
    if not np.isfinite(t.y).all():
        raise UserError(
            f"{t.who}: its forward of x gives numbers that are not finite: give an x for which it is defined."
        )
    again, _ = t.layer.forward(t.x, t.ctx, t.p)
    if not np.array_equal(to_host(again), t.y):
        raise UserError(
            f"{t.who}: two forwards of one batch differ: draw its random numbers from ctx.rng(...) or ctx.rng_key(...)."
        )
    arguments: dict[str, list[Any]] = {
        "x": [t.x],
        "dy": [t.dy],
        "p": list(t.p.values()),
        "the cache": tree_leaves(t.cache, None),
    }

    def untouched(call: str, work: Callable[[], Any]) -> Any:
        before = {what: [np.array(a) for a in arrays] for what, arrays in arguments.items()}
        result = work()
        for what, arrays in arguments.items():
            if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(arrays, before[what], strict=True)):
                raise UserError(
                    f"{t.who}: {call} writes into {what}: make a new array, others may still need this one."
                )
        return result

    untouched("forward", lambda: t.layer.forward(t.x, t.ctx, t.p))
    first = {name: np.array(g) for name, g in untouched("backward", t.backward).items()}
    parts = {"both": first, "input": {"dx": first["dx"]}, "weights": {n: g for n, g in first.items() if n != "dx"}}
    for need, part in parts.items():
        for name, g in untouched("backward", lambda need=need: t.backward(need)).items():  # type: ignore[misc]
            same = np.array_equal(g, part[name]) if need == "both" else np.allclose(g, part[name], 1e-9, 1e-12)
            if not same:
                when = "a second backward on one cache" if need == "both" else f'need="{need}"'
                raise UserError(f"{t.who}: {when} gives another {name} than the first one.")


Moved = tuple[int, float, float, float]  # of one number: (place, backward's gradient, D(h), the bound)


def _differences(t: _LayerOnBatch, seed: int) -> Iterator[tuple[str, list[Moved]]]:
    """(name, the numbers that were moved) of x and of every parameter."""
    grads = t.backward()
    arrays = {"dx": t.x} | {name: t.p[name] for name in t.layer.parameters}
    for name, a in arrays.items():
        size = a.size
        picked = stream(seed, f"check {name}").permutation(size)[:MOST] if size > MOST else np.arange(size)
        g = grads[name].reshape(-1)
        yield name, [(int(i), float(g[i]), *_derivative(t, a, int(i), name)) for i in picked]


def _derivative(t: _LayerOnBatch, a: np.ndarray, i: int, name: str) -> tuple[float, float]:
    """(D(h), the bound on the difference) for one number of x or of a parameter."""
    h = EPS ** (1 / 3) * max(1.0, abs(float(a.flat[i])))

    def output(step: float) -> np.ndarray:
        moved = a.copy()
        moved.flat[i] += step
        x, p = (moved, t.p) if name == "dx" else (t.x, {**t.p, name: moved})
        return to_host(t.layer.forward(x, t.ctx, p)[0])

    def slope(step: float) -> float:
        return float((t.dy * (output(step) - output(-step))).sum() / (2 * step))

    near, far = slope(h), slope(2 * h)
    return near, abs(far - near) + ROUNDINGS * EPS / h * float(np.abs(t.dy * t.y).sum())


def _row(t: _LayerOnBatch, name: str, moved: list[Moved]) -> Row:
    """The row of one array: the difference that is the largest part of its bound.

    Raises: UserError for a difference above its bound.
    """
    a = t.x if name == "dx" else t.p[name]
    worst, largest, allowed = 0.0, -1.0, 0.0
    for i, ours, theirs, bound in moved:
        off = abs(ours - theirs)
        if not off <= bound:
            at = tuple(int(n) for n in np.unravel_index(i, a.shape))
            what = "dx" if name == "dx" else f"the gradient of {name!r}"
            raise UserError(
                f"{t.who}: {what} at {at} is {ours:.6g}, and {theirs:.6g} by finite differences (they may differ by "
                f"{bound:.1g}): its backward is not the derivative of its forward."
            )
        share = off / bound if bound else off
        if share > largest:
            largest, worst, allowed = share, off, bound
    return Row(name, tuple(a.shape), len(moved), worst, allowed)


__all__ = ["Check", "Row", "check_layer"]
