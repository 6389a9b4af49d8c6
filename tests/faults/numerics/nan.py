"""Where one number that is NaN or infinite goes: through every layer, forward and backward, with both kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import minilocal as ml
from minilocal import layers as of
from minilocal.layers import Initializer, Layer, PassContext
from minilocal.ops.kinds import using
from tests.helpers.host import host

Array = np.ndarray[Any, Any]
ROW, COLUMN, CHANNEL = 5, 4, 2  # of the number, in image 1 of 3
SHAPE = (3, 12, 12, 16)
LAYERS: dict[str, Callable[[Initializer], Layer]] = {
    "Conv, 3×3, stride 1 (Winograd)": lambda i: of.Conv(16, 16, 3, i, pad=1, name="conv"),
    "Conv, 3×3, stride 2": lambda i: of.Conv(16, 16, 3, i, stride=2, pad=1, name="conv"),
    "Conv, 1×1": lambda i: of.Conv(16, 16, 1, i, name="conv"),
    "BatchNorm": lambda i: of.BatchNorm(16, i, name="bn"),
    "BatchNormReLU": lambda i: of.BatchNormReLU(16, i, name="bn"),
    "ReLU": lambda i: of.ReLU(name="relu"),
    "MaxPool, 2×2": lambda i: of.MaxPool(2),
    "AveragePool, 2×2": lambda i: of.AveragePool(2),
    "GlobalAveragePool": lambda i: of.GlobalAveragePool(),
    "AdaptiveAveragePool, 3×3": lambda i: of.AdaptiveAveragePool(3),
    "Patch, of 2×2": lambda i: of.Patch(0, 0, 2),
    "Resize, to 6×6": lambda i: of.Resize(6, 6),
    "BlockAverage, 4×4": lambda i: of.BlockAverage(4, 4),
    "Dropout": lambda i: of.Dropout(0.5, name="drop"),
    "Flatten": lambda i: of.Flatten(),
    "Flatten, Linear": lambda i: of.Sequential([of.Flatten(), of.Linear(12 * 12 * 16, 8, i, name="fc")]),
}  # fmt: skip
BLOCKS = {  # of fast forms: {result: (axis, numbers side by side that share a NaN)}
    "Conv, 3×3, stride 1 (Winograd)": {"y": (1, 4), "dx": (1, 4), "conv.weight": (0, 3), "dx of dy": (1, 4)},
    "Conv, 3×3, stride 2": {"dx of dy": (2, 2)},  # kernels/cpu/strided.py: pairs of pixels
}
FORMS = ("reference", "numpy", "numba")


@dataclass(frozen=True)
class NotFinite:
    """What is not finite: of y after a number in x; of dx and each gradient after it; and after a number in dy."""

    y: Array
    dx: Array
    gradients: dict[str, Array]
    dx_of_dy: Array
    gradients_of_dy: dict[str, Array]

    def all(self) -> dict[str, Array]:
        """By name."""
        after = {f"{name} of dy": a for name, a in self.gradients_of_dy.items()}
        return {"y": self.y, "dx": self.dx, **self.gradients, "dx of dy": self.dx_of_dy, **after}


def after_one(layer: Layer, number: float, form: str) -> NotFinite:
    """Put `number` into one pixel of one image, and, apart from that, into one number of the error of the output."""
    rng, ctx = ml.rng(0), PassContext(key=1)
    x = rng.standard_normal(SHAPE).astype("float32")
    bad = x.copy()
    bad[1, ROW, COLUMN, CHANNEL] = number
    with np.errstate(all="ignore"), ml.ops.reference() if form == "reference" else using(form):
        y, cache = layer.forward(x, ctx)
        dy = rng.standard_normal(y.shape).astype("float32")
        bad_y, bad_cache = layer.forward(bad, ctx)
        dx, gradients = layer.backward(dy, bad_cache)
        bad_dy = dy.copy()
        at = (1, ROW // 2, COLUMN // 2, CHANNEL) if y.ndim == 4 else (1, CHANNEL)
        bad_dy[tuple(min(i, side - 1) for i, side in zip(at, y.shape, strict=True))] = number
        dx_of_dy, gradients_of_dy = layer.backward(bad_dy, cache)
    return NotFinite(_not(bad_y), _not(dx), _each(gradients), _not(dx_of_dy), _each(gradients_of_dy))


def _not(a: Any) -> Array:
    return ~np.isfinite(host(a))


def _each(gradients: dict[str, Any]) -> dict[str, Array]:
    return {name: _not(a) for name, a in gradients.items()}


def beyond(name: str, ours: NotFinite, plain: NotFinite) -> list[str]:
    """The results of a layer in which a fast form is not finite elsewhere than the plain code is.

    Where BLOCKS says so it may, and must, be so in all numbers of a block that the plain code reaches.
    """
    wrong = []
    for result, a in ours.all().items():
        axis, size = BLOCKS.get(name, {}).get(result, (0, 1))
        least = plain.all()[result]
        reached = np.logical_or.reduceat(least, range(0, least.shape[axis], size), axis)
        most = np.repeat(reached, size, axis).take(range(least.shape[axis]), axis)
        if (a & ~most).any() or (least & ~a).any():
            wrong.append(result)
    return wrong


AXES = {  # of an array, one and several
    4: (("image", "images"), ("row", "rows"), ("column", "columns"), ("channel", "channels")),
    2: (("image", "images"), ("number", "numbers")),
    1: (("channel", "channels"),),
    0: (),
}
OF_WEIGHTS = {
    4: (("row", "rows"), ("column", "columns"), ("channel in", "channels in"), ("channel out", "channels out")),
    2: (("input", "inputs"), ("output", "outputs")),
    1: (("channel", "channels"),),
}


def words(a: Array, axes: tuple[tuple[str, str], ...] = ()) -> str:
    """What is not finite of an array, axis by axis."""
    if not a.any():
        return "none"
    if a.all():
        return "all"
    words_of = []
    for axis, ((one, many), side) in enumerate(zip(axes or AXES[a.ndim], a.shape, strict=True)):
        number = int(a.any(axis=tuple(i for i in range(a.ndim) if i != axis)).sum())
        if side > 1:
            words_of.append(f"all {many}" if number == side else f"1 {one}" if number == 1 else f"{number} {many}")
    return ", ".join(words_of)
