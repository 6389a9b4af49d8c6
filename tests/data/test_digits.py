"""The embedded digits have the documented numbers, statistics and attribution."""

from __future__ import annotations

from importlib import resources

import numpy as np

from minilocal import data
from minilocal.data import digits


def test_shapes_split_and_recipe():
    dataset = data.load("digits")
    assert dataset.train_x.shape == (1437, 16, 16, 1) and dataset.test_x.shape == (360, 16, 16, 1)
    assert dataset.train_x.dtype == np.uint8 and dataset.train_y.dtype == np.int64
    assert dataset.classes == tuple("0123456789")
    assert (dataset.padding, dataset.pad_mode, dataset.flip) == (1, "constant", False)


def test_each_pixel_is_there_twice_and_the_levels_fill_0_to_255():
    x = data.load("digits").train_x
    assert np.array_equal(x[:, ::2], x[:, 1::2]) and np.array_equal(x[:, :, ::2], x[:, :, 1::2])
    assert np.array_equal(np.unique(x), np.floor(np.arange(17) * 255 / 16 + 0.5))


def test_the_constants_are_those_of_the_training_part():
    x = data.load("digits").train_x / 255
    assert abs(digits.MEAN[0] - x.mean()) < 1e-12 and abs(digits.STD[0] - x.std()) < 1e-12


def test_the_first_digits_are_the_known_ones():
    """The start of the set as everyone knows it: labels 0 to 9, 0 to 9, and the first image's second row."""
    dataset = data.load("digits")
    assert np.array_equal(dataset.train_y[:20], np.tile(np.arange(10), 2))
    assert np.array_equal(dataset.train_x[0, 2, ::2, 0], digits.grey(np.array([0, 0, 13, 15, 10, 15, 5, 0])))
    assert np.bincount(np.concatenate([dataset.train_y, dataset.test_y])).tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip


def test_the_file_carries_its_attribution():
    with resources.files("minilocal.data").joinpath("digits.npz").open("rb") as file, np.load(file) as archive:
        text, levels = str(archive["attribution"]), archive["images"]
    assert levels.dtype == np.uint8 and levels.max() == 16
    for words in ("Alpaydin", "UCI Machine Learning Repository", "CC BY 4.0", "https://doi.org/10.24432/C50P49"):
        assert words in text and words in data.load("digits").notes[0]


def test_the_nearest_training_digit_tells_a_test_digit():
    """Images and labels belong together: one nearest neighbour is right for more than 95 %."""
    dataset = data.load("digits")
    a, b = (dataset.normalise(x).reshape(len(x), -1) for x in (dataset.train_x, dataset.test_x))
    nearest = ((a * a).sum(axis=1) - 2 * b @ a.T).argmin(axis=1)
    assert (dataset.train_y[nearest] == dataset.test_y).mean() > 0.95
