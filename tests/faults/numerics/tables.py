"""The tables of this part: errors of convolutions by shape and by kind of input, and where a NaN goes."""

from __future__ import annotations

import numpy as np

from minilocal.layers import Initializer
from tests.faults.numerics.convolutions import INPUTS, RESULTS, SHAPES, Error, Shape, errors, form, numbers
from tests.faults.numerics.nan import LAYERS, OF_WEIGHTS, after_one, words
from tests.faults.page import table

WHO = ("im2col", "numpy", "numba")
Errors = dict[tuple[Shape, str, str], dict[str, Error]]  # by shape, kind of input and form

ABOVE = """### Winograd's round-off beside im2col's

NumPy's kernels take Winograd's form for every convolution 3×3 with stride 1 and padding 1 of images of even height,
with at least 8 channels in and out, and at most 2²⁰ numbers of one image. Tiles have 4 rows, or 2 where the height
does not divide by 4. Numba's kernels take it where the height divides by 4 and both numbers of channels by 16; images
less than 8 pixels across, and more than 2¹⁵ channels × channels out, go to NumPy's kernels. All others are im2col, or
windows read where they lie. Shapes alone decide, never numbers.

In float32 beside float64, on normal numbers, 4 images: the largest error, and in brackets its root mean square, in
10⁻⁷ of the largest number of the result.

"""
BY_KIND = """By what the inputs are: the largest error over all shapes that NumPy's kernels give to Winograd's form,
in 10⁻⁷ of the largest number. "Heavy tails" are Student's t with 2 degrees of freedom, a distribution without
variance.

"""
CONDITION = """The same, number by number, in units of eps Σ |x| |w| of the number itself. A small number beside a
large one in its tile has the large one's round-off, so Winograd's form loses digits of it on heavy tails:

"""
NAN = """### Where a NaN goes

One number of x (row 5, column 4, channel 2 of image 1 of 3, 12×12×16), or one of dy, is NaN. These are not finite
afterwards, with NumPy's kernels as with Numba's. Infinity goes the same ways.

"""


def measure(shapes: list[Shape] = SHAPES, kinds: tuple[str, ...] = INPUTS, who: tuple[str, ...] = WHO) -> Errors:
    """The errors of every shape, kind of input and form."""
    collected: Errors = {}
    for shape in shapes:
        for kind in kinds:
            arrays = numbers(shape, kind)
            collected |= {(shape, kind, each): errors(each, *arrays) for each in who}
    return collected


def winograd(collected: Errors) -> str:
    """The tables of errors."""
    shapes = list(dict.fromkeys(shape for shape, _, _ in collected))
    rows = []
    for shape in shapes:
        x, W, _ = numbers(shape, "normal")
        cells = [" / ".join(_cell(collected[shape, "normal", who][result]) for who in WHO) for result in RESULTS]
        rows.append((shape, form("numpy", x, W), form("numba", x, W), *cells))
    head = ("convolution", "NumPy", "Numba", *(f"{result}: im2col / NumPy / Numba" for result in RESULTS))
    text = ABOVE + table(head, rows)
    taken = [s for s in shapes if form("numpy", *numbers(s, "normal")[:2]) == "Winograd"]
    kinds = list(dict.fromkeys(kind for _, kind, _ in collected))
    names = ("inputs", *(f"{result}: im2col / NumPy / Numba" for result in RESULTS))
    for above, what, scale in ((BY_KIND, "largest", 1e7), (CONDITION, "of_condition", 1)):
        worst = [
            (
                kind,
                *(
                    " / ".join(_worst(collected, taken, kind, who, result, what, scale) for who in WHO)
                    for result in RESULTS
                ),
            )
            for kind in kinds
        ]
        text += above + table(names, worst)
    of_bound = {
        who: max(
            error.of_bound
            for (shape, _, by), each in collected.items()
            if by == who and shape in taken
            for error in each.values()
        )
        for who in WHO
    }
    shares = ", ".join(f"{100 * share:.0f} % by {who}" for who, share in of_bound.items())
    return text + f"Of the bound that is derived for each number, the largest errors are {shares}.\n\n"


def nan() -> str:
    """The table of NaN."""
    rows = []
    for name, make in LAYERS.items():
        collected = after_one(make(Initializer(0)), np.nan, "numpy")
        rows.append(
            (
                name,
                words(collected.y),
                words(collected.dx),
                _of(collected.gradients),
                words(collected.dx_of_dy),
                _of(collected.gradients_of_dy),
            )
        )
    head = ("layer", "NaN in x: y", "dx", "gradients", "NaN in dy: dx", "gradients")
    return NAN + table(head, rows)


def _of(gradients: dict[str, np.ndarray]) -> str:
    """What is not finite of each gradient. Weights (k, k, C, O) and (I, O) are said by their axes."""
    return (
        "; ".join(f"{name.partition('.')[2]}: {words(a, OF_WEIGHTS[a.ndim])}" for name, a in gradients.items()) or "-"
    )


def _cell(error: Error) -> str:
    return f"{1e7 * error.largest:.1f} ({1e7 * error.rms:.1f})"


def _worst(collected: Errors, shapes: list[Shape], kind: str, who: str, result: str, what: str, scale: float) -> str:
    return f"{scale * max(getattr(collected[shape, kind, who][result], what) for shape in shapes):.1f}"
