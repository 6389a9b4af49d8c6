"""The figure of im2col: the numbers in its cells are the pixels of the windows, and its marks stand on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minilocal import UserError, draw
from minilocal.draw.windows import PADDING, PIXEL, WINDOW


def table(axes, columns):
    return np.array([int(text.get_text()) for text in axes.texts]).reshape(-1, columns)


def fills(axes, columns):
    (mesh,) = axes.collections
    return np.asarray(mesh.get_array()).reshape(-1, columns)


def pixel(row, column, H, W):
    """The number of a pixel, 0 in the padding."""
    return row * W + column + 1 if 0 <= row < H and 0 <= column < W else 0


@pytest.mark.parametrize(("shape", "k", "stride", "pad"), [((5, 5), 3, 1, 0), ((4, 5), 3, 2, 1), ((6, 4), 2, 2, 0)])
def test_a_row_has_the_pixels_of_its_window(shape, k, stride, pad):
    H, W = shape
    figure = draw.windows(shape, k, stride=stride, pad=pad, window=(1, 0), pixel=(1, 1))
    left, right = figure.axes
    P, Q = ((side + 2 * pad - k) // stride + 1 for side in shape)
    expected = [
        [pixel(stride * p + i - pad, stride * q + j - pad, H, W) for i in range(k) for j in range(k)]
        for p in range(P)
        for q in range(Q)
    ]
    matrix = table(right, k * k)
    assert matrix.tolist() == expected
    filled, marked = fills(right, k * k), matrix == W + 2
    assert np.array_equal(filled == PIXEL, marked) and (filled[Q][~marked[Q]] == WINDOW).all()
    assert ((filled == PADDING) == (matrix == 0))[np.arange(len(matrix)) != Q].all()
    blue = table(left, W + 2 * pad)[fills(left, W + 2 * pad) == WINDOW]
    assert blue.tolist() == [number for number in expected[Q] if number != W + 2]
    frames: Any = [axes.patches[0] for axes in (left, right)]
    assert [(f.get_x(), f.get_y(), f.get_width(), f.get_height()) for f in frames] == [
        (0, stride, k, k),
        (0, Q, k * k, 1),
    ]


def test_its_text_states_what_it_shows():
    alt = draw.windows((4, 4), 3, stride=2, pad=1, window=(0, 1), pixel=(1, 1), title="stride 2").alt
    assert alt == (
        "stride 2. An image of 4×4 pixels, numbered by row, and its 3×3 windows, stride 2, padding 1, as a matrix of 4 "
        "rows and 9 columns. Window 0,1 is row 2: 0 0 0 2 3 4 6 7 8. Pixel 6 stands in 4 rows of the matrix."
    )
    assert draw.windows((2, 2), 2).alt.endswith("Window 0,0 is row 1: 1 2 3 4.")
    assert draw.windows((2, 2), 2, pixel=(0, 0)).alt.endswith("Pixel 1 stands in 1 row of the matrix.")


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("4×4 windows with padding 0 do not fit 3×5 pixels", {"shape": (3, 5), "k": 4}),
        ("windows: window = 3: give a whole number, 0 to 2", {"shape": (5, 5), "k": 3, "window": (3, 0)}),
        ("windows: pixel = 5: give a whole number, 0 to 4", {"shape": (5, 5), "k": 3, "pixel": (0, 5)}),
        (r"windows: pixel = \(1,\): give two whole numbers", {"shape": (5, 5), "k": 3, "pixel": (1,)}),
        ("windows: shape = 5: give two whole numbers", {"shape": 5, "k": 3}),
        ("windows: stride = 0", {"shape": (5, 5), "k": 3, "stride": 0}),
    ],
)
def test_what_does_not_fit_is_one_line(message, arguments):
    with pytest.raises(UserError, match=message):
        draw.windows(**arguments)
