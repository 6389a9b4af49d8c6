"""A data set's checks, its normalisation, and its parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilocal import data
from minilocal.data.subset import balanced, quotas
from minilocal.errors import UserError
from minilocal.streams import stream
from tests.helpers.host import host


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


# normalisation


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normalise_is_the_formula_and_keeps_its_dtype(dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (5, 7, 7, 3), dtype=np.uint8)
    mean, std = (125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255)
    y = np.zeros(5, np.int64)
    before = x.copy()
    z = data.DataSet("some", x, y, x, y, ("a",), mean, std).normalise(x, dtype)
    expected = (x / 255 - np.array(mean)) / np.array(std)
    assert z.dtype == dtype and z.shape == x.shape and np.array_equal(x, before)
    assert abs(z - expected).max() < (2e-6 if dtype == "float32" else 1e-13)


def test_normalised_digits_have_mean_0_and_deviation_1(digits):
    z = digits.normalise(digits.train_x, "float64")
    assert abs(z.mean()) < 1e-9 and abs(z.std() - 1) < 1e-9


def test_normalise_refuses_what_is_normalised_already(digits):
    with pytest.raises(UserError, match="raw images"):
        digits.normalise(digits.normalise(digits.test_x))
    with pytest.raises(UserError, match="raw images"):
        digits.normalise(digits.test_x[0])


# checks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_x": np.zeros((4, 8, 8, 1))}, "float64"),
        ({"test_x": np.zeros((4, 8, 8, 1), np.int16)}, "int16"),
        ({"train_y": np.zeros(3, np.int64)}, "train_y has shape (3,)"),
        ({"train_y": np.zeros(4, np.int32)}, "int32"),
        ({"test_y": np.array([0, 1, 2, 2])}, "the label 2"),
        ({"test_y": np.array([0, 1, -3, 1])}, "the label -3"),
        ({"test_x": np.zeros((4, 9, 9, 1), np.uint8)}, "one shape"),
        ({"validation_x": np.zeros((4, 8, 8, 1), np.uint8)}, "validation_y has shape ()"),
        ({"mean": (0.0, 0.0)}, "one number per channel"),
        ({"std": (0.0,)}, "std above 0"),
        ({"pad_mode": "wrap"}, "pad mode 'wrap' is not known"),
        ({"padding": 8, "pad_mode": "reflect"}, "padding 8 does not fit"),
        ({"padding": -1}, "padding -1 does not fit"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    x, y = np.zeros((4, 8, 8, 1), np.uint8), np.array([0, 1, 0, 1])
    good = data.DataSet("some", x, y, x, y, ("a", "b"), (0.5,), (0.5,))
    with pytest.raises(UserError) as caught:
        replace(good, **changes)
    assert message in str(caught.value) and "some" in str(caught.value)


# parts


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.data())
@settings(deadline=None, max_examples=60)
def test_quotas_are_as_even_as_the_sizes_allow(sizes, choices):
    count = choices.draw(st.integers(1, sum(sizes)))
    shares = quotas(np.array(sizes), count, np.random.default_rng(0).permutation(len(sizes)))
    assert shares.sum() == count and (shares >= 0).all() and (shares <= sizes).all()
    for share, size in zip(shares, sizes, strict=True):
        assert share == size or share >= shares.max() - 1  # only an exhausted class gives less


def test_a_part_is_balanced_in_order_and_named_by_its_seed():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 50))
    chosen = balanced(labels, 100, stream(3, "limit"), "part")
    assert (np.bincount(labels[chosen]) == 10).all() and (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, balanced(labels, 100, stream(3, "limit"), "part"))
    assert not np.array_equal(chosen, balanced(labels, 100, stream(4, "limit"), "part"))
    assert set(chosen) < set(balanced(labels, 200, stream(3, "limit"), "part"))  # a smaller part lies in a larger one


def test_limits_and_validation(digits):
    part = data.load("digits", limit_train=500, limit_test=50, validation=200, seed=1)
    assert (np.bincount(part.train_y) == 50).all() and (np.bincount(part.test_y) == 5).all()
    assert (np.bincount(host(part.validation_y)) == 20).all()
    everyone = {image.tobytes(): n for n, image in enumerate(digits.train_x)}
    train = [everyone[image.tobytes()] for image in part.train_x]
    validation = [everyone[image.tobytes()] for image in host(part.validation_x)]
    assert sorted(train) == train and sorted(validation) == validation and not set(train) & set(validation)
    assert np.array_equal(digits.train_y[train], part.train_y) and np.array_equal(
        digits.train_y[validation], host(part.validation_y)
    )


def test_the_validation_part_does_not_depend_on_the_limit():
    many, few = (data.load("digits", limit_train=n, validation=100) for n in (1000, 100))
    assert np.array_equal(host(many.validation_x), host(few.validation_x))


def test_without_limits_nothing_is_copied(digits):
    assert digits.reduced() is digits
    whole = digits.reduced(limit_train=1437)
    assert np.array_equal(whole.train_x, digits.train_x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit_train": 1438}, "limit_train = 1438: give 1 to 1437, the number of images"),
        ({"limit_train": 0}, "limit_train = 0"),
        ({"limit_test": -5}, "limit_test = -5"),
        ({"limit_test": 2.5}, "limit_test = 2.5"),
        ({"limit_test": True}, "limit_test = True"),
        ({"validation": -1}, "validation = -1"),
        ({"validation": 1437}, "takes all 1437"),
        ({"validation": 1400, "limit_train": 100}, "limit_train = 100: give 1 to 37"),
        ({"seed": -1}, "the seed = -1"),
        ({"seed": 1.5}, "the seed = 1.5"),
    ],
)
def test_numbers_that_do_not_fit(options, message):
    with pytest.raises(UserError) as caught:
        data.load("digits", **options)
    assert message in str(caught.value) and str(caught.value).startswith("digits")


def test_validation_is_split_off_once():
    part = data.load("digits", validation=100)
    with pytest.raises(UserError, match="already"):
        part.reduced(validation=100)
