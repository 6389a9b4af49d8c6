"""The convolutions of ResNet-32 and VGG16 in float32: each form's error beside float64, and which form is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import minilocal as ml
from minilocal import ops
from minilocal.kernels.cpu import winograd as in_numpy
from minilocal.ops.kinds import using
from tests.faults.numerics import round_off
from tests.helpers.host import host
from tests.helpers.plain import plain

Array = np.ndarray[Any, Any]
RESULTS = ("z", "dx", "dW")


@dataclass(frozen=True)
class Shape:
    """A convolution 3×3, stride 1, padding 1, of `images` images of side × side pixels."""

    net: str
    side: int
    C: int
    O: int
    images: int = 4

    def __str__(self) -> str:
        return f"{self.net}, {self.side}²: {self.C} → {self.O}"


SHAPES = [
    Shape("both", 32, 3, 16),
    Shape("ResNet-32", 32, 16, 16),
    Shape("ResNet-32", 16, 32, 32),
    Shape("ResNet-32", 8, 64, 64),
    Shape("VGG16", 32, 64, 64),
    Shape("VGG16", 16, 128, 128),
    Shape("VGG16", 8, 256, 256),
    Shape("VGG16", 4, 512, 512),
    Shape("VGG16", 2, 512, 512),
]
INPUTS = ("normal", "mean 10", "mean 100", "mean 1000", "heavy tails")


def numbers(shape: Shape, kind: str) -> tuple[Array, Array, Array]:
    """x, W and dz of a convolution, float32. Heavy tails: Student's t, 2 degrees of freedom, no variance."""
    rng = ml.rng(0)
    size = shape.images, shape.side, shape.side
    x = rng.standard_t(2, (*size, shape.C)) if kind == "heavy tails" else rng.standard_normal((*size, shape.C))
    x += float(kind.removeprefix("mean ")) if kind.startswith("mean") else 0.0
    W = rng.standard_normal((3, 3, shape.C, shape.O)) * (2 / (9 * shape.O)) ** 0.5
    dz = rng.standard_t(2, (*size, shape.O)) if kind == "heavy tails" else rng.standard_normal((*size, shape.O))
    return x.astype("float32"), W.astype("float32"), dz.astype("float32")


def form(kernels: str, x: Array, W: Array) -> str:
    """Which form these kernels take: by shapes alone."""
    if kernels == "numba":
        from minilocal.kernels.numba import conv, winograd

        if conv.fits(W.shape[3], x, W, x.shape[2]):
            return "Winograd" if winograd.fits(x.shape, W, 1, 1) else "windows"
    return "Winograd" if in_numpy.fits(x.shape, W, 1, 1) else "im2col"


def results(kernels: str, x: Array, W: Array, dz: Array) -> tuple[Array, Array, Array]:
    """z, dx and dW by "im2col", which is the definition, or by "numpy" or "numba" kernels."""
    if kernels == "im2col":
        dx, dW = plain.conv2d_backward(dz, x, W, 1, 1)
        return host(plain.conv2d(x, W, 1, 1)), host(dx), host(dW)
    with using(kernels):
        dx, dW = ops.conv2d_backward(dz, x, W, 1, 1)
        return host(ops.conv2d(x, W, 1, 1)), host(dx), host(dW)


@dataclass(frozen=True)
class Error:
    """Of one result: the largest error and its root mean square over the largest number, and over its bound."""

    largest: float
    rms: float
    of_condition: float  # the largest error over eps Σ |x| |w|, number by number
    of_bound: float  # and over the bound that is derived


def errors(kernels: str, x: Array, W: Array, dz: Array) -> dict[str, Error]:
    """{z, dx, dW: its error}"""
    exact = results("im2col", *(a.astype("float64") for a in (x, W, dz)))
    ours = results(kernels, x, W, dz)
    by_condition = round_off.by_im2col(x, W, dz)
    bound = (
        by_condition if form(kernels, x, W) != "Winograd" or kernels == "im2col" else round_off.by_winograd(x, W, dz)
    )
    collected, inner = {}, (9 * W.shape[2], 9 * W.shape[3], dz.size // dz.shape[3])
    eps = float(np.finfo("float32").eps)
    for name, a, b, condition, most, n in zip(RESULTS, ours, exact, by_condition, bound, inner, strict=True):
        off, scale = np.abs(a - b), np.abs(b).max()
        of_condition = (off / (condition / round_off.gamma(n) * eps)).max()
        rms = float(np.sqrt((off**2).mean()))
        collected[name] = Error(
            float(off.max() / scale), rms / float(scale), float(of_condition), float((off / most).max())
        )
    return collected
