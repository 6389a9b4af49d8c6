"""A data set's checks, its normalisation, and its parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilocal import data
from minilocal.data.subset import balanced, long_tail, quotas, stratified
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


# images that are not square


def test_sides_of_any_length():
    x, y = np.zeros((4, 6, 9, 1), np.uint8), np.array([0, 1, 0, 1])
    wide = data.DataSet("some", x, y, x, y, ("a", "b"), (0.5,), (0.5,), padding=5, pad_mode="reflect")
    assert wide.size == (6, 9) and replace(wide, train_x=x[:, :, :6], test_x=x[:, :, :6]).size == 6
    images, _ = next(wide.batches(0, 4, augment=True))
    assert images.shape == (4, 6, 9, 1)
    with pytest.raises(UserError, match=r"padding 6 does not fit images of side 6 \(reflect: 0 to 5\)"):
        replace(wide, padding=6)


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


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.data())
@settings(deadline=None, max_examples=60)
def test_a_stratified_part_has_each_classs_share(sizes, choices):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    count = choices.draw(st.integers(1, len(labels)))
    chosen = stratified(labels, count, stream(3, "limit"), "part")
    assert len(chosen) == count and (np.diff(chosen) > 0).all()
    exact = np.array(sizes) * count / len(labels)
    assert (abs(np.bincount(labels[chosen], minlength=len(sizes)) - exact) < len(sizes)).all()
    assert set(chosen) <= set(stratified(labels, min(count + 1, len(labels)), stream(3, "limit"), "part"))


def test_where_classes_are_equal_a_stratified_part_is_balanced():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 50))
    for count in (100, 203):
        counts = np.bincount(labels[stratified(labels, count, stream(3, "limit"), "part")])
        assert counts.max() - counts.min() <= count % 10
    assert not np.array_equal(
        stratified(labels, 100, stream(3, "limit"), "part"), stratified(labels, 100, stream(4, "limit"), "part")
    )


def test_the_long_tail_of_the_papers_table_iv():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 5_000))
    chosen = long_tail(labels, 1.3, stream(0, "long tail"), "cifar10")
    published = [5_000, 3_846, 2_958, 2_275, 1_750, 1_346, 1_035, 796, 612, 471]
    assert np.bincount(labels[chosen]).tolist() == published and len(chosen) == 20_089
    assert (np.diff(chosen) > 0).all()


def test_a_long_tailed_data_set_keeps_its_test_images_and_its_shares(digits):
    tail = digits.long_tailed(seed=3)
    largest = np.bincount(digits.train_y).max()
    sizes = np.bincount(tail.train_y)
    assert sizes.tolist() == [min(n, int(largest / 1.3**c)) for c, n in enumerate(np.bincount(digits.train_y))]
    assert tail.name == "digits-lt" and np.array_equal(tail.test_y, digits.test_y)
    assert tail.notes[-1] == f"training classes fall by a ratio of 1.3, drawn with seed 3: {sizes.sum()} images"
    assert np.array_equal(tail.train_x, digits.long_tailed(seed=3).train_x)
    assert not np.array_equal(tail.train_x, digits.long_tailed(seed=4).train_x)
    half = tail.reduced(limit_train=len(tail.train_y) // 2, validation=50)
    assert (abs(np.bincount(half.train_y) - sizes / 2) <= 1.5).all()
    assert (abs(np.bincount(host(half.validation_y), minlength=10) - 50 * sizes / sizes.sum()) <= 1.5).all()


def test_long_tailed_digits_by_name(digits):
    named, tail = data.load("digits-lt", seed=5), digits.long_tailed()
    assert named.name == "digits-lt" and np.array_equal(named.train_x, tail.train_x)
    assert np.bincount(named.train_y).tolist() == [143, 112, 86, 66, 51, 39, 30, 23, 17, 13]


@pytest.mark.parametrize(
    ("ratio", "message"), [(0.9, "the ratio 0.9 is outside"), (30, "leaves class 2 of 10 without")]
)
def test_a_long_tail_that_is_none(digits, ratio, message):
    with pytest.raises(UserError, match=message):
        digits.long_tailed(ratio)


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


def test_names_of_classes_hold_nothing_that_a_terminal_obeys():
    """A file may name them: of another person, or a damaged one."""
    x, y = np.zeros((2, 2, 2, 1), np.uint8), np.array([0, 1])
    dataset = data.from_arrays(x, y, x, y, classes=["\x1b[2J", "chat à\nneuf"])
    assert dataset.classes == ("\\x1b[2J", "chat à\\nneuf")
    assert "\x1b" not in data.describe(dataset)
