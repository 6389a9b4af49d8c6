"""Images: as PNG files, enlarged without smoothing, and as a figure of named rows."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib.image
import numpy as np

from minilocal.draw.style import INK, Figure, look
from minilocal.errors import UserError

SIDE = 0.62  # inches of an image's longer side
LETTER = 0.08  # inches of a letter of a row's name


def png(pixels: np.ndarray, enlarge: int = 3) -> bytes:
    """The bytes of a PNG file.        pixels uint8 (H, W, 1 or 3), each drawn enlarge×enlarge"""
    large = pixels.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    file = io.BytesIO()
    matplotlib.image.imsave(file, large.repeat(3, axis=2) if large.shape[2] == 1 else large, format="png")
    return file.getvalue()


def images(rows: Mapping[str, np.ndarray], *, columns: Sequence[str] = (), title: str = "") -> Figure:
    """A row of images for each name, top down.

    A row is (N, H, W, 1 or 3): uint8, or floats from 0 (black) to 1, which are cut off outside. All rows have one
    shape, but for the channels. `columns` names the images of a row.

    Raises: UserError for no rows, rows that are no such arrays or of different shapes, and another number of columns.
    """
    sheet = _sheet(rows)
    count, H, W = next(iter(rows.values())).shape[:3]
    if columns and len(columns) != count:
        raise UserError(f"images: {len(columns)} columns met rows of {count} images: give each image a name, or none.")
    inch = SIDE / max(H, W)
    wide, high = (inch * side for side in (sheet.shape[1], sheet.shape[0]))
    left, top, below = 0.25 + LETTER * max(map(len, rows)), 0.05 + 0.3 * bool(title), 0.05 + 0.25 * bool(columns)
    with look():
        figure = Figure(figsize=(left + wide + 0.1, top + high + below))
        figure.set_layout_engine("none")
        width, height = figure.get_size_inches()
        axes = figure.add_axes((left / width, below / height, wide / width, high / height), title=title)
        axes.imshow(sheet, interpolation="nearest")
        axes.set_yticks([n * (H + 1) + (H - 1) / 2 for n in range(len(rows))], list(rows))
        axes.set_xticks([n * (W + 1) + (W - 1) / 2 for n in range(len(columns))], list(columns))
        axes.tick_params(length=0, labelcolor=INK)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
    named = f" ({', '.join(columns)})" if columns else ""
    figure.alt = f"{title}{'. ' if title else ''}Rows of {count} images{named}: {', '.join(rows)}."
    return figure


def _sheet(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """All images, a white line between them.        →  float (·, ·, 3)"""
    if not rows:
        raise UserError("images: there is no row to draw: give one or more.")
    shapes = {np.shape(row)[:3] for row in rows.values()}
    for name, row in rows.items():
        if np.ndim(row) != 4 or row.shape[3] not in (1, 3) or not row.size or row.dtype.kind not in "uf":
            raise UserError(f"images: {name!r} is {_kind(row)}: give (N, H, W, 1 or 3), uint8 or floats from 0 to 1.")
    if len(shapes) > 1:
        raise UserError(f"images: the rows have {sorted(shapes)} for (N, H, W): give all of them the same.")
    ((N, H, W),) = shapes
    sheet = np.ones((len(rows) * (H + 1) - 1, N * (W + 1) - 1, 3))
    for r, row in enumerate(rows.values()):
        levels = row / 255 if row.dtype.kind == "u" else np.clip(row, 0, 1)
        for n, image in enumerate(levels):
            top, left = r * (H + 1), n * (W + 1)
            sheet[top : top + H, left : left + W] = image
    return sheet


def _kind(row: np.ndarray) -> str:
    return f"{row.dtype} {row.shape}" if isinstance(row, np.ndarray) else f"a {type(row).__name__}"
