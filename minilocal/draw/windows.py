"""Windows of an image beside the matrix of im2col: which pixel goes to which row and column."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle

from minilocal.draw.style import INK, Figure, look
from minilocal.errors import UserError, whole
from minilocal.ops.conv import conv_out_size, im2col

PLAIN, PADDING, WINDOW, PIXEL = range(4)
FILLS = ListedColormap(["#ffffff", "#e4e4e4", "#cbe3f6", "#ffca6b"])
EDGE = "#2b7fc4"  # around the window, and around its row
SIDE = 0.26  # inches of a cell


def windows(
    shape: tuple[int, int],
    k: int,
    *,
    stride: int = 1,
    pad: int = 0,
    window: tuple[int, int] = (0, 0),
    pixel: tuple[int, int] | None = None,
    title: str = "",
) -> Figure:
    """Left, an image of (H, W) pixels, numbered by row from 1, in its padding of zeros; right, im2col of it.

    The matrix has a row for each k×k window [p, q] and a column for each place [i, j] in a window. The window
    `window`, (p, q) counted from 0, is blue in the image, and so is its row. `pixel`, (row, column) counted from 0
    without the padding, is orange wherever it stands: col2im adds the errors at these places.

    Raises: UserError for windows that do not fit the image, and for a window or a pixel outside.
    """
    (H, W), k = _pair("shape", shape, (None, None), least=1), whole("windows: k", k)
    stride, pad = whole("windows: stride", stride), whole("windows: pad", pad, 0)
    P, Q = (conv_out_size(side, k, stride, pad) for side in (H, W))
    if k > min(H, W) + 2 * pad:
        raise UserError(f"windows: {k}×{k} windows with padding {pad} do not fit {H}×{W} pixels: give a smaller k.")
    p, q = _pair("window", window, (P, Q))
    numbers = np.arange(1, H * W + 1).reshape(1, H, W, 1)
    image = np.pad(numbers[0, :, :, 0], pad)
    matrix = np.asarray(im2col(numbers, k, stride, pad)).reshape(P * Q, k * k)
    marked = 0
    if pixel is not None:
        row, column = _pair("pixel", pixel, (H, W))
        marked = int(numbers[0, row, column, 0])

    inside = np.zeros(image.shape, bool)
    inside[p * stride : p * stride + k, q * stride : q * stride + k] = True
    with look():
        width, height = image.shape[1] + k * k, max(len(image), P * Q)
        figure = Figure(figsize=(SIDE * width + 1.9, SIDE * height + 1.25))
        left, right = figure.subplots(1, 2, width_ratios=[image.shape[1], k * k])
        _cells(left, image, inside, marked)
        left.set_title(title)
        left.add_patch(_frame(q * stride, p * stride, k, k))
        left.set_axis_off()
        _cells(right, matrix, (np.arange(P * Q) == p * Q + q)[:, None] | np.zeros(matrix.shape, bool), marked)
        right.add_patch(_frame(0, p * Q + q, k * k, 1))
        right.set_xticks(np.arange(k * k) + 0.5, [f"{i},{j}" for i in range(k) for j in range(k)])
        right.set_yticks(np.arange(P * Q) + 0.5, [f"{a},{b}" for a in range(P) for b in range(Q)])
        right.tick_params(length=0, labelsize=7, labelcolor=INK)
        right.xaxis.tick_top()
        right.set_xlabel("place i, j in the window")
        right.xaxis.set_label_position("top")
        right.set_ylabel("window p, q")
    figure.alt = (
        f"{title}{'. ' if title else ''}An image of {H}×{W} pixels, numbered by row, and its {k}×{k} windows, stride "
        f"{stride}, padding {pad}, as a matrix of {P * Q} rows and {k * k} columns. Window {p},{q} is row "
        f"{p * Q + q + 1}: {' '.join(map(str, matrix[p * Q + q]))}."
    )
    if marked:
        times = int((matrix == marked).sum())
        figure.alt += f" Pixel {marked} stands in {times} {'row' if times == 1 else 'rows'} of the matrix."
    return figure


def _pair(name: str, pair: tuple[int, int], below: tuple[int | None, int | None], least: int = 0) -> tuple[int, int]:
    """Two whole numbers, each below its bound.

    Raises: UserError for anything else.
    """
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise UserError(f"windows: {name} = {pair!r}: give two whole numbers, (row, column).")
    bounds = [None if side is None else side - 1 for side in below]
    one, other = (whole(f"windows: {name}", place, least, most) for place, most in zip(pair, bounds, strict=True))
    return one, other


def _cells(axes: Axes, numbers: np.ndarray, inside: np.ndarray, marked: int) -> None:
    """A table of pixel numbers; 0 is padding."""
    fill = np.where(inside, WINDOW, np.where(numbers == 0, PADDING, PLAIN))
    fill[(numbers == marked) & (numbers > 0)] = PIXEL
    axes.pcolormesh(fill, cmap=FILLS, vmin=PLAIN, vmax=PIXEL, edgecolors="#b5b5b5", linewidth=0.5, clip_on=False)
    for (row, column), number in np.ndenumerate(numbers):
        axes.text(column + 0.5, row + 0.52, str(number), ha="center", va="center", size=7.5, color=INK)
    axes.set_aspect("equal", anchor="NW")
    axes.invert_yaxis()
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _frame(column: int, row: int, width: int, height: int) -> Rectangle:
    return Rectangle((column, row), width, height, fill=False, edgecolor=EDGE, linewidth=2, zorder=3, clip_on=False)
