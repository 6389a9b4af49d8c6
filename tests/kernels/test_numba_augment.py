"""Compiled crops are the plain ones, bit for bit, and what no index may reach is refused as there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minilocal import streams
from minilocal.kernels import threads
from tests.helpers.plain import plain

pytest.importorskip("numba", reason="compiled by Numba: pip install 'minilocal[fast]'")

from minilocal.kernels.numba.augment import crop_flip_normalise


def operands(*shape: int, dtype: str = "float32") -> tuple[Any, ...]:
    """Of N images (H, W, C), and the padding."""
    N, H, W, C, padding = shape
    rng = streams.rng(0)
    images = rng.integers(256, size=(2 * N, H, W, C)).astype("uint8")
    picks = np.stack([rng.integers(most, size=N) for most in (2 * N, 2 * padding + 1, 2 * padding + 1, 2)], 1)
    return images, picks.astype("int32"), rng.standard_normal((256, C)).astype(dtype), padding


@pytest.mark.parametrize("mode", ["constant", "reflect"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape",
    [(40, 32, 32, 3, 4), (9, 5, 8, 1, 2), (20, 6, 6, 3, 0), (30, 3, 4, 2, 9), (30, 1, 2, 2, 3), (2, 3, 3, 2, 3)],
)
def test_the_bits_of_the_plain_code(shape, dtype, mode):
    images, picks, table, padding = operands(*shape, dtype=dtype)
    read_only = images.copy()
    read_only.flags.writeable = False
    picked = np.asfortranarray(picks)
    for each in (images, images[::-1], read_only):
        ours, theirs = (f(each, picked, table, padding, mode) for f in (crop_flip_normalise, plain.crop_flip_normalise))
        assert ours.dtype == theirs.dtype == dtype and ours.shape == theirs.shape
        assert ours.tobytes() == theirs.tobytes()


def test_any_number_of_threads_gives_the_same_bits():
    before, arguments = threads.threads(), (*operands(37, 8, 8, 3, 4), "constant")
    results = []
    try:
        for number in (1, 3):
            threads.use_threads(number)
            results.append(crop_flip_normalise(*arguments).tobytes())
    finally:
        threads.use_threads(before)
    assert results[0] == results[1] == plain.crop_flip_normalise(*arguments).tobytes()


@pytest.mark.parametrize("column, value", [(0, 100), (1, 9), (2, 9)])
def test_a_pick_outside_is_refused(column, value):
    images, picks, table, padding = operands(5, 8, 8, 3, 4)
    picks[2, column] = value
    with pytest.raises(IndexError):
        crop_flip_normalise(images, picks, table, padding, "constant")


def test_what_the_loop_does_not_know_takes_the_plain_code():
    images, picks, table, padding = operands(5, 8, 8, 3, 4)
    unusual = [
        (images, picks - [1, 0, 0, 0], table, padding, "constant"),  # Python's index -1
        (images, picks * [1, 0, 1, 1] - [0, 1, 0, 0], table, padding, "constant"),
        (images, picks, table, padding, "edge"),
        (images.astype("int64") % 20, picks, table[:20], padding, "reflect"),
        (images, picks[:0], table, padding, "reflect"),
    ]
    for arguments in unusual:
        assert np.array_equal(crop_flip_normalise(*arguments), plain.crop_flip_normalise(*arguments))
