"""Compiled max pooling is the plain one, bit for bit: among equals, at NaN and infinities, where windows overlap."""

from __future__ import annotations

import numpy as np
import pytest

from minilocal import streams
from minilocal.kernels import threads
from tests.helpers.plain import plain
from tests.kernels.test_pool_kernel import NO_WINDOWS, WINDOWS

pytest.importorskip("numba", reason="compiled by Numba: pip install 'minilocal[fast]'")

from minilocal.kernels.numba.pool import max_pool, max_pool_backward


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """The signs of zeros too. Any two NaN are the same."""
    nan = np.isnan(a)
    return a.dtype == b.dtype and np.array_equal(nan, np.isnan(b)) and a[~nan].tobytes() == b[~nan].tobytes()


def images(shape: tuple[int, ...], dtype: str, special: float = 0.1) -> np.ndarray:
    """Some numbers are NaN or infinite. No number is 0: of which sign the larger of 0 and -0 is, NumPy leaves open."""
    rng = streams.rng(0)
    draw = rng.choice([np.nan, np.inf, -np.inf], shape)
    return np.where(rng.random(shape) < special, draw, rng.standard_normal(shape)).astype(dtype)


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("shape, k, stride", [*WINDOWS, ((9, 8, 8, 600), 3, 2), ((0, 4, 4, 2), 2, 2)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore:invalid value")  # plain: inf · 0, inf - inf
def test_the_bits_of_the_plain_code(shape, k, stride, dtype, number):
    before, x = threads.threads(), images(shape, dtype)
    threads.use_threads(number)
    try:
        for each in (x, np.asfortranarray(x)):
            for ours, theirs in zip(max_pool(each, k, stride), plain.max_pool(each, k, stride), strict=True):
                assert same_bits(ours, theirs)
        argmax = plain.max_pool(x, k, stride)[1]
        for special in (0, 0.01):
            dy = images(argmax.shape, dtype, special)
            for each in (dy, np.asfortranarray(dy)):
                ours = max_pool_backward(each, argmax, shape, k, stride)
                assert same_bits(ours, plain.max_pool_backward(each, argmax, shape, k, stride))
    finally:
        threads.use_threads(before)


def test_a_window_with_nan_has_the_largest_in_front_of_it():
    """Its number is that of the largest pixel before the first NaN, as the plain code has it."""
    x = np.array([[[1, 3], [np.nan, 5]], [[1, np.nan], [3, 5]]], "float32")[..., None]
    y, argmax = max_pool(x, 2, 2)
    assert np.isnan(y).all() and argmax.ravel().tolist() == [1, 0]


def test_errors_of_other_windows_are_refused():
    dy, argmax = np.zeros((2, 3, 3, 4)), np.zeros((2, 3, 3, 4), "uint8")
    for shape in ((2, 5, 6, 4), (2, 6, 6, 3), (1, 6, 6, 4)):
        with pytest.raises(ValueError, match=r"dy \(2, 3, 3, 4\)"):
            max_pool_backward(dy, argmax, shape, 2, 2)
    with pytest.raises(ValueError, match=r"argmax \(2, 2, 3, 4\)"):
        max_pool_backward(dy, argmax[:, 1:], (2, 6, 6, 4), 2, 2)


@pytest.mark.parametrize("shape, k, stride", NO_WINDOWS, ids=str)
def test_images_that_are_smaller_than_a_window_are_refused(shape, k, stride):
    x, one = np.ones(shape, "float32"), np.ones((1, 1, 1, 2), "float32")
    with pytest.raises(ValueError, match="met windows of"):
        max_pool(x, k, stride)
    with pytest.raises(ValueError, match="met windows of"):
        max_pool_backward(one, one.astype("uint8"), shape, k, stride)
