"""Images as PNG files, enlarged without smoothing."""

from __future__ import annotations

import io

import matplotlib.image
import numpy as np


def png(pixels: np.ndarray, enlarge: int = 3) -> bytes:
    """The bytes of a PNG file.        pixels uint8 (H, W, 1 or 3), each drawn enlarge×enlarge"""
    large = pixels.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    file = io.BytesIO()
    matplotlib.image.imsave(file, large.repeat(3, axis=2) if large.shape[2] == 1 else large, format="png")
    return file.getvalue()
