"""Every layer against the derivative of its reference implementation, over a table of geometries.

The upstream error is random, never ones (a transposed or shifted error of ones is still ones), and so are scales,
shifts and running statistics, which start at 1 and 0 and would hide a factor or a term.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from minilocal import layers as ml
from minilocal import streams
from minilocal.array import Array, to_host
from minilocal.layers import Initializer, Layer, PassContext
from minilocal.verify.compare import Result, errors
from minilocal.verify.jax_cpu import jax, jax_on_cpu
from minilocal.verify.reference.layers import reference
from minilocal.verify.small_nets import random_like

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerCase:
    """A layer, the shape of its input batch, and the mode; `add` gives a norm an added shortcut."""

    kind: str
    name: str
    make: Callable[[Initializer], Layer]
    shape: Shape
    training: bool = True
    add: bool = False
    large: bool = False  # slow: left out of a quick run

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass
class Inputs:
    """The arrays of a case, the same for the engine and for JAX: parameters p, input x, error dy of the output."""

    layer: Layer
    p: dict[str, Array]
    x: Array
    ctx: PassContext
    more: dict[str, Array]
    dy: Array


def inputs(case: LayerCase, dtype: str = "float64", seed: int = 0) -> Inputs:
    """Random arrays for a case: the same numbers, rounded, in every type."""
    rng, layer = streams.rng(seed), case.make(Initializer(seed))
    p: dict[str, Array] = {
        name: random_like(name, to_host(array), rng).astype(dtype) for name, array in layer.arrays.items()
    }
    x = rng.standard_normal(case.shape).astype(dtype)
    ctx = PassContext(training=case.training, key=seed, epoch=2, step=3, unit=1)
    more: dict[str, Array] = {"add": rng.standard_normal(case.shape).astype(dtype)} if case.add else {}
    y, _ = layer.forward(x, ctx, p, **more)
    return Inputs(layer, p, x, ctx, more, rng.standard_normal(y.shape).astype(dtype))


def by_engine(t: Inputs) -> dict[str, Array | None]:
    """y, dx, every parameter's gradient, and the added shortcut's error, from the engine."""
    y, cache = t.layer.forward(t.x, t.ctx, t.p, **t.more)
    if not t.more:
        dx, grads = t.layer.backward(t.dy, cache, t.p)
        return {"y": y, "dx": dx, **grads}
    dx, dadd, grads = t.layer.backward_both(t.dy, cache, t.p)  # type: ignore[attr-defined]
    return {"y": y, "dx": dx, "dadd": dadd, **grads}


def by_jax(t: Inputs) -> dict[str, Any]:
    """The same from the reference implementation, in the type of the inputs."""

    def forward(x: Any, weights: Any, more: Any) -> Any:
        return reference(t.layer, x, {**t.p, **weights}, t.ctx, **more)

    @jax.jit
    def both(x: Any, weights: Any, more: Any, dy: Any) -> Any:
        y, pull = jax.vjp(forward, x, weights, more)
        return y, pull(dy)

    with jax_on_cpu(str(t.x.dtype)):
        y, (dx, grads, dmore) = both(t.x, {name: t.p[name] for name in t.layer.parameters}, t.more, t.dy)
        return {"y": y, "dx": dx, **grads, **{f"d{name}": e for name, e in dmore.items()}}


def run(quick: bool = False) -> Iterator[Result]:
    """One row for each kind of layer: its cases, and the largest error among them."""
    for kind in dict.fromkeys(case.kind for case in CASES):
        cases = [case for case in CASES if case.kind == kind and not (quick and case.large)]
        rows = []
        for case in cases:
            t = inputs(case)
            rows += [(error, f"{case.name}: {name}") for name, error in errors(by_engine(t), by_jax(t)).items()]
        error, worst = max(rows)
        yield Result("layers", kind, "jax.vjp of its reference", len(cases), error, worst=worst)


def _conv(
    N: int, H: int, W: int, C: int, O: int, k: int, s: int, pad: int, note: str = "", **options: Any
) -> LayerCase:
    def make(initial: Initializer) -> Layer:
        return ml.Conv(C, O, k, initial, stride=s, pad=pad, bias=(C + O) % 2 == 1, name="conv")

    name = f"{N}×{H}×{W}×{C} → {O}, {k}×{k}, stride {s}, pad {pad}{note and ', ' + note}"
    return LayerCase("Conv", name, make, (N, H, W, C), **options)


def _all(kind: str, *cases: tuple[str, Callable[[Initializer], Layer], Shape], **options: Any) -> list[LayerCase]:
    return [LayerCase(kind, name, make, shape, **options) for name, make, shape in cases]


# Geometries at which an index goes wrong first: odd sides, gaps and overlaps, batches that parts do not divide.
CASES = [
    *_all(
        "Linear",
        ("7 → 3", lambda i: ml.Linear(7, 3, i, name="fc"), (5, 7)),
        ("batch of one", lambda i: ml.Linear(4, 6, i, name="fc"), (1, 4)),
        ("without bias", lambda i: ml.Linear(4, 2, i, name="fc", bias=False), (6, 4)),
        ("many rows, cut over rows", lambda i: ml.Linear(40, 32, i, name="fc"), (2100, 40)),
        ("few rows, cut over columns", lambda i: ml.Linear(300, 250, i, name="fc"), (33, 300)),
    ),
    _conv(2, 5, 5, 3, 4, 3, 1, 1),
    _conv(2, 6, 7, 3, 4, 3, 2, 1, "odd and even side"),
    _conv(1, 8, 8, 2, 3, 3, 1, 1, "batch of one"),
    _conv(17, 4, 4, 2, 2, 3, 1, 1, "a batch that 16 parts do not divide"),
    _conv(3, 7, 5, 4, 2, 1, 1, 0, "a plain product"),
    _conv(3, 7, 6, 4, 2, 1, 2, 0, "a projection shortcut"),
    _conv(2, 5, 5, 2, 2, 1, 1, 1, "1×1 with padding"),
    _conv(2, 9, 7, 2, 3, 5, 1, 2),
    _conv(2, 9, 8, 2, 3, 5, 2, 2),
    _conv(2, 8, 8, 2, 3, 4, 2, 1, "even window"),
    _conv(2, 4, 4, 2, 3, 3, 1, 0, "no padding"),
    _conv(2, 3, 3, 2, 3, 3, 1, 0, "one place"),
    _conv(2, 5, 4, 2, 3, 2, 1, 2, "pad as large as the window"),
    _conv(2, 4, 5, 2, 3, 2, 1, 3, "pad larger than the window"),
    _conv(2, 4, 5, 2, 3, 2, 2, 3, "pad larger than the window, stride 2"),
    _conv(2, 5, 6, 2, 2, 3, 3, 1, "windows side by side"),
    _conv(2, 6, 8, 2, 2, 2, 3, 0, "gaps between windows"),
    _conv(1, 40, 36, 8, 4, 3, 1, 1, "one image, several blocks of rows", large=True),
    _conv(1, 80, 72, 8, 4, 3, 2, 1, "one image, several blocks of rows", large=True),
    *_all(
        "BatchNorm",
        ("rows", lambda i: ml.BatchNorm(5, i, name="bn"), (7, 5)),
        ("images", lambda i: ml.BatchNorm(5, i, name="bn"), (3, 3, 4, 5)),
        ("batch of one", lambda i: ml.BatchNorm(2, i, name="bn"), (1, 3, 3, 2)),
        ("one channel, odd side", lambda i: ml.BatchNorm(1, i, name="bn"), (18, 5, 5, 1)),
        ("more channels than a wide row", lambda i: ml.BatchNorm(600, i, name="bn"), (3, 2, 2, 600)),
    ),
    LayerCase("BatchNorm", "several pieces", lambda i: ml.BatchNorm(16, i, name="bn"), (2, 48, 48, 16), large=True),
    *_all("BatchNorm", ("evaluation", lambda i: ml.BatchNorm(5, i, name="bn"), (3, 3, 4, 5)), training=False),
    *_all(
        "BatchNormReLU",
        ("images", lambda i: ml.BatchNormReLU(5, i, name="bn"), (3, 3, 4, 5)),
        ("rows", lambda i: ml.BatchNormReLU(4, i, name="bn"), (9, 4)),
    ),
    *_all("BatchNormReLU", ("with a shortcut", lambda i: ml.BatchNormReLU(5, i, name="bn"), (3, 3, 4, 5)), add=True),
    *_all("BatchNormReLU", ("evaluation", lambda i: ml.BatchNormReLU(5, i, name="bn"), (3, 3, 4, 5)), training=False),
    *_all(
        "BatchNormReLU",
        ("evaluation, shortcut", lambda i: ml.BatchNormReLU(5, i, name="bn"), (3, 3, 4, 5)),
        training=False,
        add=True,
    ),
    LayerCase(
        "BatchNormReLU",
        "several pieces",
        lambda i: ml.BatchNormReLU(16, i, name="bn"),
        (2, 48, 48, 16),
        large=True,
        add=True,
    ),
    *_all(
        "ReLU",
        ("rows", lambda i: ml.ReLU(name="relu"), (4, 6)),
        ("images", lambda i: ml.ReLU(name="relu"), (2, 3, 4, 3)),
        ("several pieces", lambda i: ml.ReLU(name="relu"), (2, 40, 50, 20)),
    ),
    *_all(
        "MaxPool",
        ("2×2", lambda i: ml.MaxPool(2), (2, 6, 4, 3)),
        ("3×3, stride 2, overlapping", lambda i: ml.MaxPool(3, 2), (2, 7, 8, 2)),
        ("2×2, a last row left out", lambda i: ml.MaxPool(2), (2, 5, 7, 2)),
        ("3×3, stride 1", lambda i: ml.MaxPool(3, 1), (1, 5, 4, 2)),
        ("2×2, gaps", lambda i: ml.MaxPool(2, 3), (2, 8, 6, 2)),
    ),
    *_all(
        "AveragePool",
        ("2×2", lambda i: ml.AveragePool(2), (2, 6, 4, 3)),
        ("3×3, stride 2, overlapping", lambda i: ml.AveragePool(3, 2), (2, 7, 8, 2)),
        ("8×8, the whole map", lambda i: ml.AveragePool(8), (2, 8, 8, 3)),
        ("2×2, a last row left out", lambda i: ml.AveragePool(2), (2, 5, 7, 2)),
    ),
    *_all(
        "GlobalAveragePool",
        ("4×3", lambda i: ml.GlobalAveragePool(), (2, 4, 3, 5)),
        ("1×1", lambda i: ml.GlobalAveragePool(), (3, 1, 1, 4)),
    ),
    *_all(
        "AdaptiveAveragePool",
        ("7×5 to 1×1", lambda i: ml.AdaptiveAveragePool(1), (2, 7, 5, 3)),
        ("7×5 to 3×3, bins overlap", lambda i: ml.AdaptiveAveragePool(3), (2, 7, 5, 3)),
        ("8×4 to 2×2", lambda i: ml.AdaptiveAveragePool(2), (2, 8, 4, 2)),
        ("7×10 to 2×3", lambda i: ml.AdaptiveAveragePool(2, 3), (2, 7, 10, 2)),
        ("2×3 to 4×4, more bins than pixels", lambda i: ml.AdaptiveAveragePool(4), (2, 2, 3, 2)),
    ),
    *_all(
        "Resize",
        ("4×3 to 7×8", lambda i: ml.Resize(7, 8), (2, 4, 3, 2)),
        ("7×6 to 3×4", lambda i: ml.Resize(3, 4), (2, 7, 6, 2)),
        ("1×2 to 5×5", lambda i: ml.Resize(5, 5), (2, 1, 2, 3)),
        ("6×5 to 1×5", lambda i: ml.Resize(1, 5), (2, 6, 5, 2)),
        ("the size it has", lambda i: ml.Resize(3, 4), (2, 3, 4, 2)),
    ),
    *_all(
        "Patch",
        ("the last of 2×2", lambda i: ml.Patch(1, 1, 2), (2, 4, 6, 3)),
        ("of odd sides", lambda i: ml.Patch(1, 0, 2), (2, 5, 7, 2)),
        ("the middle of 3×3", lambda i: ml.Patch(1, 1, 3), (2, 7, 4, 2)),
        ("the whole map", lambda i: ml.Patch(0, 0, 1), (2, 3, 3, 2)),
    ),
    *_all(
        "BlockAverage",
        ("2×3 blocks", lambda i: ml.BlockAverage(2, 3), (2, 6, 6, 2)),
        ("smaller blocks at the edges", lambda i: ml.BlockAverage(3, 2), (2, 7, 5, 2)),
        ("one block", lambda i: ml.BlockAverage(9, 9), (2, 4, 5, 3)),
    ),
    *_all(
        "Dropout",
        ("rate 0.5", lambda i: ml.Dropout(0.5, name="drop"), (6, 9)),
        ("rate 0.2, images", lambda i: ml.Dropout(0.2, name="drop"), (2, 4, 3, 3)),
        ("rate 0", lambda i: ml.Dropout(0.0, name="drop"), (3, 4)),
    ),
    *_all("Dropout", ("evaluation", lambda i: ml.Dropout(0.5, name="drop"), (6, 9)), training=False),
    *_all(
        "Flatten",
        ("images", lambda i: ml.Flatten(), (2, 3, 4, 5)),
        ("rows", lambda i: ml.Flatten(), (3, 4)),
    ),
    *_all(
        "Residual",
        ("identity", lambda i: ml.Residual(4, 4, 1, i, name="block"), (3, 5, 4, 4)),
        ("option B", lambda i: ml.Residual(3, 6, 2, i, option="B", name="block"), (3, 6, 5, 3)),
        ("option B, stride 1", lambda i: ml.Residual(3, 5, 1, i, option="B", name="block"), (3, 4, 4, 3)),
        ("option A-both", lambda i: ml.Residual(4, 8, 2, i, option="A-both", name="block"), (3, 6, 5, 4)),
        ("option A-end", lambda i: ml.Residual(4, 8, 2, i, option="A-end", name="block"), (3, 6, 5, 4)),
    ),
    *_all(
        "Residual",
        ("evaluation", lambda i: ml.Residual(3, 6, 2, i, option="B", name="block"), (3, 6, 5, 3)),
        training=False,
    ),
    *_all(
        "PreActivation",
        ("identity", lambda i: ml.PreActivation(4, 4, 1, i, name="block"), (3, 5, 4, 4)),
        ("1×1 shortcut, stride 2", lambda i: ml.PreActivation(3, 6, 2, i, name="block"), (3, 6, 5, 3)),
        ("1×1 shortcut, stride 1", lambda i: ml.PreActivation(3, 5, 1, i, name="block"), (3, 4, 4, 3)),
    ),
    *_all(
        "PreActivation",
        ("evaluation", lambda i: ml.PreActivation(3, 6, 2, i, name="block"), (3, 6, 5, 3)),
        training=False,
    ),
    *_all(
        "Sequential",
        (
            "convolution to logits",
            lambda i: ml.Sequential(
                [
                    ml.Conv(3, 6, 3, i, pad=1, name="features.0"),
                    ml.BatchNormReLU(6, i, name="features.1"),
                    ml.MaxPool(2),
                    ml.Flatten(),
                    ml.Dropout(0.3, name="classifier.0"),
                    ml.Linear(36, 4, i, name="classifier.1"),
                ]
            ),
            (3, 4, 6, 3),
        ),
    ),
]
