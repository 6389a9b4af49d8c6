"""dx of a 3×3 convolution of stride 2, two pixels at a time, beside the plain one."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minilocal import streams
from minilocal.kernels import threads
from minilocal.kernels.cpu import strided
from minilocal.kernels.cpu.conv import conv2d_backward
from tests.helpers.host import host
from tests.helpers.plain import plain


def numbers(N: int, P: int, Q: int, C: int, O: int, dtype: str = "float64") -> tuple[np.ndarray, ...]:
    """dz, x and W."""
    rng = streams.rng(0)
    shapes = (N, P, Q, O), (N, 2 * P, 2 * Q, C), (3, 3, C, O)
    dz, x, W = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    return dz, x, W


@given(st.tuples(*[st.integers(1, high) for high in (20, 7, 12, 5, 5)]))
@settings(deadline=None, derandomize=True, max_examples=80)
@example((3, 40, 30, 9, 32))  # an image that is more than a block
@example((40, 8, 8, 8, 16))
def test_it_is_the_plain_dx(sizes):
    """By numbers of order 1, 9 O products a number: round-off is some 1e-14."""
    dz, x, W = numbers(*sizes)
    exact = host(plain.conv2d_backward(dz, x, W, 2, 1)[0])
    assert np.abs(strided.conv2d_dx(dz, x, W) - exact).max() <= 1e-12
    flipped = dz[:, ::-1]
    exact = host(plain.conv2d_backward(flipped, x, W, 2, 1)[0])
    assert np.abs(strided.conv2d_dx(flipped, x, W) - exact).max() <= 1e-12, "an error that is a view"


def test_float32_loses_what_sums_of_this_length_lose():
    """A number is a sum of at most 4·64 products: 256 roundings at most, √256 of them as a rule."""
    dz, x, W = numbers(8, 8, 8, 32, 64, "float32")
    dx = strided.conv2d_dx(dz, x, W)
    exact = host(plain.conv2d_backward(*(a.astype("float64") for a in (dz, x, W)), 2, 1)[0])
    assert dx.dtype == np.float32
    assert np.abs(dx - exact).max() <= 16 * np.finfo("f4").eps * np.abs(exact).max()


def test_threads_change_no_bit():
    dz, x, W = numbers(19, 5, 6, 9, 11, "float32")
    before, results = threads.threads(), []
    try:
        for number in (1, 2, 5):
            threads.use_threads(number)
            results.append(strided.conv2d_dx(dz, x, W))
    finally:
        threads.use_threads(before)
    assert all(np.array_equal(other, results[0]) for other in results[1:])


def test_what_an_earlier_call_left_behind_is_never_read():
    """The padded image is used again: its last row and column must still be 0."""
    dz, x, W = numbers(4, 5, 6, 3, 4)
    first = strided.conv2d_dx(dz, x, W)
    strided.conv2d_dx(dz * 1e200, x, W)
    assert np.array_equal(strided.conv2d_dx(dz, x, W), first)


@pytest.mark.parametrize(
    "shape, size, channels, stride, pad",
    [
        ((1, 7, 8, 4), 3, 4, 2, 1),
        ((1, 8, 7, 4), 3, 4, 2, 1),
        ((1, 8, 8, 4), 3, 4, 1, 1),
        ((1, 8, 8, 4), 3, 4, 2, 0),
        ((1, 8, 8, 4), 5, 4, 2, 1),
        ((1, 8, 8, 80), 3, 80, 2, 1),
    ],
    ids=str,
)
def test_where_it_goes_is_a_question_of_shapes_alone(shape, size, channels, stride, pad):
    assert strided.fits((1, 8, 6, 4), np.zeros((3, 3, 4, 4)), 2, 1)
    assert not strided.fits(shape, np.zeros((size, size, shape[3], channels)), stride, pad)


def test_conv2d_backward_goes_this_way(monkeypatch):
    dz, x, W = numbers(2, 4, 4, 3, 5)
    monkeypatch.setattr(strided, "conv2d_dx", lambda dz, x, W: np.full(x.shape, 7.0))
    assert (host(conv2d_backward(dz, x, W, 2, 1, "input")[0]) == 7).all()
