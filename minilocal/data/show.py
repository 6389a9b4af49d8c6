"""A data set described in a few lines of text, and its images as a contact sheet."""

from __future__ import annotations

import textwrap

import numpy as np

from minilocal.data.checks import shape_text
from minilocal.data.dataset import DataSet
from minilocal.errors import UserError


def describe(dataset: DataSet) -> str:
    """A few lines of text: contents, normalisation, augmentation, and which checks were made."""
    sizes = [f"{len(dataset.train_y)} training"]
    if dataset.validation_y is not None:
        sizes.append(f"{len(dataset.validation_y)} validation")
    sizes.append(f"{len(dataset.test_y)} test")
    shape = shape_text(dataset.train_x.shape[1:])
    names = ", ".join(dataset.classes[:10]) + (", ..." if len(dataset.classes) > 10 else "")
    count = len(dataset.classes)
    notes = textwrap.wrap("; ".join(dataset.notes), 100)
    lines = [
        f"{dataset.name}: {', '.join(sizes[:-1])} and {sizes[-1]} images, {shape}, {count} classes",
        f"  classes        {names}",
        f"  per class      {_counts(dataset.train_y, count)} training, {_counts(dataset.test_y, count)} test",
        f"  normalisation  mean {_numbers(dataset.mean)}, deviation {_numbers(dataset.std)} (on 0 to 1)",
        f"  augmentation   {_augmentation(dataset)}",
        *(f"  {'' if i else 'files':<13}  {line}" for i, line in enumerate(notes)),
    ]
    return "\n".join(lines)


def _counts(labels: np.ndarray, classes: int) -> str:
    counts = np.bincount(labels, minlength=classes)
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{v:.4f}" for v in values)


def _augmentation(dataset: DataSet) -> str:
    behind = {"constant": "black", "reflect": "reflection"}[dataset.pad_mode]
    pixels = "pixel" if dataset.padding == 1 else "pixels"
    shift = f"shift by up to {dataset.padding} {pixels} ({behind} behind)" if dataset.padding else "no shift"
    return f"{shift}, {'mirror' if dataset.flip else 'no mirror'}"


def contact_sheet(images: np.ndarray, columns: int = 10) -> np.ndarray:
    """Images in rows of `columns`, with white lines between them.        uint8 (N, H, W, C)  →  uint8 (·, ·, C)

    Raises: UserError for anything but uint8 (N, H, W, C) with N > 0, and for fewer than one column.
    """
    if getattr(images, "dtype", None) != np.uint8 or images.ndim != 4 or not len(images):
        got = f"{images.dtype} {images.shape}" if hasattr(images, "dtype") else f"a {type(images).__name__}"
        raise UserError(f"a contact sheet needs uint8 images (N, H, W, C), not {got}.")
    if columns < 1:
        raise UserError(f"a contact sheet needs at least one column, not {columns}.")
    N, H, W, C = images.shape
    columns = min(columns, N)
    sheet = np.full((-(-N // columns) * (H + 1) - 1, columns * (W + 1) - 1, C), 255, np.uint8)
    for n, image in enumerate(images):
        top, left = n // columns * (H + 1), n % columns * (W + 1)
        sheet[top : top + H, left : left + W] = image
    return sheet
