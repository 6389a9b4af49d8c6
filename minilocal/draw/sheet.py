"""Contact sheets as figures: rows of images with their names, enlarged without smoothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minilocal.draw.style import INK, Figure, look

GAP = 8  # pixels between a name and its row


def sheet(pixels: np.ndarray, names: Sequence[str], enlarge: int = 3) -> Figure:
    """The figure of a contact sheet, pixel for pixel.

    pixels   uint8 (H, W, C), C of 1 (grey), 3 or 4 (with opacity), in len(names) rows of one height; each pixel is
             drawn enlarge×enlarge, and the sheet ends at the figure's right edge
    names    of the rows, top to bottom
    """
    large = pixels.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    height, width = large.shape[:2]
    with look():
        figure = Figure()
        figure.set_layout_engine("none")
        labels = [
            figure.text(0, 0, name, ha="right", va="center", color=INK, parse_math=False, transform=None)
            for name in names
        ]
        margin = GAP + int(np.ceil(max(label.get_window_extent().width for label in labels))) + GAP
        size = np.array([margin + width + 0.5, height + 0.5])  # matplotlib rounds down to whole pixels
        figure.set_size_inches(*size / figure.dpi)
        for row, label in enumerate(labels):
            label.set_position((margin - GAP, height * (1 - (row + 0.5) / len(names))))
        figure.figimage(large.repeat(3, axis=2) if large.shape[2] == 1 else large, xo=margin)
    return figure
