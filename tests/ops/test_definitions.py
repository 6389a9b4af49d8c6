"""The plain code of operations whose fast forms are what layers and batches run, against loops written out."""

from __future__ import annotations

import numpy as np
import pytest

import minilocal as ml
from minilocal.ops.augment import crop_flip_normalise
from minilocal.ops.dispatch import plain
from minilocal.ops.pool import max_pool, max_pool_backward
from tests.helpers.host import host


@pytest.mark.parametrize(("k", "stride"), [(2, 2), (3, 2), (2, 1), (1, 1), (1, 3)])
def test_pooling_takes_the_first_of_the_largest_and_its_error_goes_there(k, stride):
    """Whole numbers of a small range: many are equal, and sums are exact."""
    x = ml.rng(0).integers(-3, 3, (2, 7, 6, 3)).astype("f4")
    y, argmax = map(host, plain(max_pool)(x, k, stride))
    dy = ml.rng(1).integers(-9, 9, y.shape).astype("f4")
    expected = np.zeros_like(x)
    for n, p, q, c in np.ndindex(y.shape):
        window = x[n, stride * p : stride * p + k, stride * q : stride * q + k, c]
        assert argmax[n, p, q, c] == window.argmax() and y[n, p, q, c] == window.max()
        i, j = divmod(int(window.argmax()), k)
        expected[n, stride * p + i, stride * q + j, c] += dy[n, p, q, c]
    assert np.array_equal(host(plain(max_pool_backward)(dy, argmax, x.shape, k, stride)), expected)


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_a_crop_is_a_window_of_the_padded_image_and_may_be_mirrored(mode):
    rng = ml.rng(0)
    images = rng.integers(0, 256, (5, 6, 8, 3)).astype("u1")
    table = rng.standard_normal((256, 3), "f4")
    picks = np.array([(4, 0, 0, 0), (0, 4, 4, 1), (2, 1, 3, 0), (2, 3, 1, 1)], "i4")
    out = host(plain(crop_flip_normalise)(images, picks, table, 2, mode))
    for crop, (image, top, left, mirrored) in zip(out, picks, strict=True):
        padded = np.pad(images[image], ((2, 2), (2, 2), (0, 0)), mode=mode)
        window = padded[top : top + 6, left : left + 8]
        window = window[:, ::-1] if mirrored else window
        assert np.array_equal(crop, np.stack([table[window[..., c], c] for c in range(3)], axis=-1))
