"""Crops and mirrors against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from minilocal import data
from minilocal.data.augmentation import crop_and_flip
from minilocal.errors import UserError
from minilocal.streams import stream
from tests.helpers.host import host


def plain(images, padding, mode, flip, rng):
    """The same, one image and one pixel at a time."""
    N, H, W, _ = images.shape
    top, left = rng.integers(0, 2 * padding + 1, size=(2, N))
    mirrored = rng.random(N) < 0.5 if flip else [False] * N
    out = np.zeros_like(images)
    for n in range(N):
        for i in range(H):
            for j in range(W):
                row, column = top[n] + i - padding, left[n] + (W - 1 - j if mirrored[n] else j) - padding
                if mode == "reflect":
                    row, column = (H - 1 - abs(H - 1 - abs(row))), (W - 1 - abs(W - 1 - abs(column)))
                if 0 <= row < H and 0 <= column < W:
                    out[n, i, j] = images[n, row, column]
    return out


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("mode", ["constant", "reflect"])
@pytest.mark.parametrize(
    ("padding", "shape"), [(0, (3, 4, 4, 1)), (1, (5, 6, 6, 1)), (4, (9, 8, 8, 3)), (2, (4, 3, 5, 2))]
)
def test_the_fast_form_is_the_plain_one(padding, shape, mode, flip):
    images = np.random.default_rng(0).integers(1, 256, shape, dtype=np.uint8)
    before = images.copy()
    fast = crop_and_flip(images, padding, mode, flip, stream(1, "augment"))
    assert np.array_equal(host(fast), plain(images, padding, mode, flip, stream(1, "augment")))
    assert fast.dtype == np.uint8 and np.array_equal(images, before)


def test_every_shift_and_both_mirrors_are_drawn():
    image = np.arange(1, 17, dtype=np.uint8).reshape(1, 4, 4, 1)
    out = crop_and_flip(image.repeat(2000, axis=0), 1, "constant", True, stream(2, "augment"))
    kinds, counts = np.unique(out.reshape(2000, -1), axis=0, return_counts=True)
    assert len(kinds) == 2 * 9 and counts.min() > 60  # 111 expected of each


def test_the_data_set_says_what_is_allowed():
    digits = data.load("digits")
    images = digits.train_x[:50]
    out = data.augment(images, digits, stream(0, "augment"))
    expected = crop_and_flip(images, 1, "constant", False, stream(0, "augment"))
    assert np.array_equal(host(out), host(expected))


def test_what_does_not_fit_is_refused():
    images = np.zeros((1, 4, 4, 1), np.uint8)
    with pytest.raises(UserError, match="pad mode 'wrap'"):
        crop_and_flip(images, 1, "wrap", False, stream(0, "augment"))
    with pytest.raises(UserError, match="padding 4 does not fit"):
        crop_and_flip(images, 4, "reflect", False, stream(0, "augment"))
