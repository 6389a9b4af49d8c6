"""Images at the ends of what a Learner takes, and networks of every kind of layer to give them to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minilocal as ml
from minilocal.inputs import LARGEST
from minilocal.nets import Net

CLASSES = 4
BOUND = LARGEST["float32"]
POWERS = (-130, -24, -14, 8, 15, 40)  # of 2: numbers below float32's normal ones, float16's range, and far above it

Images = tuple[np.ndarray, np.ndarray]

NETS: dict[str, Callable[[], Net]] = {  # batch norm behind each convolution, none at all, in front, and with dropout
    "resnet8": lambda: ml.nets.resnet(8, classes=CLASSES, size=8, rng=ml.rng(0)),
    "mlp": lambda: ml.nets.mlp((16, 16, 16), classes=CLASSES, size=8, rng=ml.rng(0)),
    "wrn10-1": lambda: ml.nets.wrn(10, 1, classes=CLASSES, size=8, rng=ml.rng(0)),
    "alexnet": lambda: ml.nets.alexnet(classes=CLASSES, size=32, rng=ml.rng(0)),
}


def images(size: int = 8, number: int = 8) -> dict[str, Images]:
    """(x, y) by what is special about them. x (N, size, size, 3) float32, from one seed."""
    rng = ml.rng(1)
    x, y = rng.standard_normal((number, size, size, 3)).astype("float32"), np.arange(number) % CLASSES
    levels = rng.standard_normal((number, 1, 1, 1)).astype("float32")
    collected: dict[str, Images] = {f"times 2^{power}": (x * np.float32(2.0**power), y) for power in POWERS}
    collected["±1e15"] = np.sign(x) * np.float32(BOUND), y
    collected["1e15 everywhere"] = np.full_like(x, BOUND), y
    collected["0 everywhere"] = np.zeros_like(x), y
    collected["constant images"] = np.broadcast_to(levels, x.shape).copy(), y
    collected["a constant channel"] = _with(x, np.s_[..., 1], 3.0), y
    collected["a channel of 1e15"] = _with(x, np.s_[..., 1], BOUND), y
    collected["a pixel of 1e15"] = _with(x, np.s_[0, 3, 3, 0], BOUND), y
    collected["one image"] = x[:1], y[:1]
    collected["one image of ±1e15"] = np.sign(x[:1]) * np.float32(BOUND), y[:1]
    collected["one class"] = x, np.zeros_like(y)
    collected["equal images"] = np.repeat(x[:1], number, axis=0), y
    return collected


def _with(x: np.ndarray, at: Any, number: float) -> np.ndarray:
    changed = x.copy()
    changed[at] = number
    return changed
