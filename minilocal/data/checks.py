"""Checks of a data set's images, labels and padding. Each error names the data set and the array."""

from __future__ import annotations

from typing import Any

import numpy as np

from minilocal.errors import UserError

PAD_MODES = ("constant", "reflect")


def shape_text(shape: tuple[int, ...]) -> str:
    """(32, 32, 3) as `32×32×3`."""
    return "×".join(map(str, shape))


def check_images(name: str, key: str, x: Any, hint: str = "") -> tuple[int, ...]:
    """The shape of one image, when `x` is uint8 (N, H, W, C) with at least one image; UserError otherwise.

    `hint` ends the message about another dtype.
    """
    shape: tuple[int, ...] = getattr(x, "shape", ())
    if not isinstance(x, np.ndarray) or len(shape) != 4 or 0 in shape:
        raise UserError(f"{name}: {key} has shape {shape}; images must be (N, H, W, C), channels last, none of them 0.")
    if x.dtype != np.uint8:
        raise UserError(
            f"{name}: {key} is {x.dtype}; images must be uint8, grey levels 0 to 255: {_cast(key, x)}.{hint}"
        )
    if _channels_first(*shape[1:]):
        raise UserError(
            f"{name}: {key} has images of {shape_text(shape[1:])}; they must be H×W×C. This looks like channels first: "
            "x.transpose(0, 2, 3, 1)."
        )
    return shape[1:]


def _channels_first(first: int, second: int, third: int) -> bool:
    """Whether an image of this shape is C×H×W: square behind C, or colours before two sides that are no channels."""
    return third > 4 and (first != second == third or first in (3, 4))


def _cast(key: str, x: np.ndarray) -> str:
    """The expression that casts these numbers to uint8, inferred from their range."""
    if x.dtype.kind not in "biuf":
        return "numbers, scaled and then cast"
    low, high = x.min(), x.max()
    if low >= 0 and high <= 1:
        return f"(255 * {key}).round().astype('uint8')" if x.dtype.kind == "f" else f"255 * {key}.astype('uint8')"
    if low >= 0 and high <= 255:
        return f"{key}.round().astype('uint8')" if x.dtype.kind == "f" else f"{key}.astype('uint8')"
    return f"these run from {low:g} to {high:g}, so scale, round and then cast them"


def check_labels(name: str, key: str, y: Any, images: int, classes: int) -> None:
    """Check that `y` is int64 (images,) with labels from 0 to classes - 1; UserError otherwise."""
    check_count(name, key, y, images)
    if y.dtype != np.int64:
        raise UserError(f"{name}: {key} is {y.dtype}; labels must be int64.")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        raise UserError(f"{name}: {key} holds the label {wrong}; {classes} classes have labels 0 to {classes - 1}.")


def check_count(name: str, key: str, y: Any, images: int) -> None:
    """Check that `y` is an array of one label an image; UserError otherwise."""
    if not isinstance(y, np.ndarray) or y.shape != (images,):
        shape = getattr(y, "shape", ())
        raise UserError(f"{name}: {key} has shape {shape}, but {images} images need ({images},), one label each.")


def check_padding(name: str, padding: int, mode: str, size: int) -> None:
    """Check that an image whose shorter side is `size` can be padded like this; UserError otherwise."""
    if mode not in PAD_MODES:
        raise UserError(f"{name}: pad mode {mode!r} is not known. Known: {', '.join(PAD_MODES)}.")
    most = size - 1 if mode == "reflect" else size
    if not 0 <= padding <= most:
        raise UserError(f"{name}: padding {padding} does not fit images of side {size} ({mode}: 0 to {most}).")
