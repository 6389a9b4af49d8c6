"""Winograd's form of the convolution beside the plain one: by parts of the batch and point by point, in any size."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minilocal import streams
from minilocal.array import Array
from minilocal.kernels import threads
from minilocal.kernels.cpu import winograd
from tests.helpers.host import host
from tests.helpers.plain import plain


@st.composite
def shapes(draw: st.DrawFn) -> tuple[tuple[int, ...], int]:
    """Of images of an even height, and the channels out."""
    height, width, C, O = (draw(st.integers(low, high)) for low, high in ((1, 6), (1, 20), (1, 9), (1, 9)))
    return (draw(st.integers(1, 20)), 2 * height, width, C), O


def numbers(shape: tuple[int, ...], O: int, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, W and dz."""
    rng = streams.rng(0)
    arrays = rng.standard_normal(shape), rng.standard_normal((3, 3, shape[3], O)), rng.standard_normal((*shape[:3], O))
    x, W, dz = (a.astype(dtype) for a in arrays)
    return x, W, dz


def relative_error(a: Array | None, b: Array | None) -> float:
    """The largest difference, as a part of the largest number."""
    ours, theirs = host(a), host(b)
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def same(ours: Iterable[Array | None], theirs: Iterable[Array | None]) -> bool:
    """Whether all arrays are equal, bit for bit."""
    return all(np.array_equal(host(a), host(b)) for a, b in zip(ours, theirs, strict=True))


@given(shapes(), st.booleans())
@settings(deadline=None, derandomize=True, max_examples=150)
@example(((2, 8, 32, 16), 16), False)
@example(((40, 4, 4, 3), 5), True)
@example(((1, 40, 36, 70), 3), False)
def test_it_is_the_plain_convolution(shape, point_by_point):
    (shape, O), usual = shape, winograd.WIDE
    x, W, dz = numbers(shape, O)
    try:
        winograd.WIDE = 0 if point_by_point else usual
        z, (dx, dW) = winograd.conv2d(x, W), winograd.conv2d_backward(dz, x, W, True, True)
        only_dx, only_dW = (winograd.conv2d_backward(dz, x, W, *which) for which in ((True, False), (False, True)))
    finally:
        winograd.WIDE = usual
    plain_dx, plain_dW = plain.conv2d_backward(dz, x, W, 1, 1)
    assert (
        relative_error(z, plain.conv2d(x, W, 1, 1)) < 1e-12
        and relative_error(dx, plain_dx) < 1e-12
        and relative_error(dW, plain_dW) < 1e-12
    )
    assert only_dx[1] is None and same([only_dx[0]], [dx])
    assert only_dW[0] is None and same([only_dW[1]], [dW])


@pytest.mark.parametrize("m", winograd.POINTS)
def test_equation_1_is_a_filter_of_three_taps_and_its_gradient(m):
    _, T, A, G, Bt = winograd.transforms(np.zeros((1, m, 1, 1)))
    rng = streams.rng(0)
    d, g, dy = rng.standard_normal(m + 2), rng.standard_normal(3), rng.standard_normal(m)
    windows = np.stack([d[i : i + 3] for i in range(m)])
    assert m + 2 == T and np.allclose(A.T @ ((G @ g) * (Bt @ d)), windows @ g, rtol=0, atol=1e-13)
    assert np.allclose(G.T @ ((A @ dy) * (Bt @ d)), windows.T @ dy, rtol=0, atol=1e-13)


@pytest.mark.parametrize("O, rows", [(16, 32), (64, 8), (160, 4)], ids=str)
def test_float32_loses_no_more_than_a_few_times_what_im2col_loses(O, rows):
    """The points are chosen for this: with 0, ±1, ±2 and ∞ the loss is twice as large."""
    x, W, dz = numbers((8, rows, rows, O), O, "float32")
    wide = tuple(a.astype("float64") for a in (x, W, dz))
    exact = plain.conv2d(*wide[:2], 1, 1), *plain.conv2d_backward(wide[2], *wide[:2], 1, 1)
    ours = winograd.conv2d(x, W), *winograd.conv2d_backward(dz, x, W, True, True)
    assert {host(a).dtype for a in ours} == {np.dtype("float32")}
    assert max(relative_error(a, b) for a, b in zip(ours, exact, strict=True)) < 3e-6


@pytest.mark.parametrize("shape, O", [((5, 8, 12, 16), 16), ((19, 4, 4, 120), 110)], ids=str)
def test_threads_change_no_bit(shape, O):
    x, W, dz = numbers(shape, O, "float32")
    before, results = threads.threads(), []
    try:
        for number in (1, 2, 3, 5):
            threads.use_threads(number)
            results.append((winograd.conv2d(x, W), *winograd.conv2d_backward(dz, x, W, True, True)))
    finally:
        threads.use_threads(before)
    assert all(same(other, results[0]) for other in results[1:])


def test_what_an_earlier_call_left_behind_is_never_read():
    """Buffers are used again for other shapes; the places beside the image must be 0 each time."""
    small, large = numbers((3, 4, 11, 8), 9), numbers((16, 12, 17, 20), 8)
    for x, W, dz in (large, small, large):
        x, dz = x * np.float64(1e200), dz * np.float64(1e100)
        plain_dx, plain_dW = plain.conv2d_backward(dz, x, W, 1, 1)
        dx, dW = winograd.conv2d_backward(dz, x, W, True, True)
        assert relative_error(dx, plain_dx) < 1e-12 and relative_error(dW, plain_dW) < 1e-12


def test_images_that_are_a_view():
    x, W, dz = numbers((4, 8, 6, 8), 8)
    for view in (x[::2], x[:, ::-1]):
        whole = np.ascontiguousarray(view)
        assert np.array_equal(winograd.conv2d(view, W), winograd.conv2d(whole, W))
        ours, theirs = (winograd.conv2d_backward(dz[: len(whole)], a, W, True, True) for a in (view, whole))
        assert same(ours, theirs)


def test_where_it_goes_is_a_question_of_shapes_alone():
    W = np.zeros((3, 3, 16, 16))
    assert winograd.fits((1, 8, 5, 16), W, 1, 1) and winograd.fits((1, 2, 5, 16), W, 1, 1)
    assert not winograd.fits((1, 7, 8, 16), W, 1, 1), "an odd height"
    assert not winograd.fits((1, 8, 8, 16), W, 2, 1) and not winograd.fits((1, 8, 8, 16), W, 1, 0)
    assert not winograd.fits((1, 8, 8, 16), np.zeros((1, 1, 16, 16)), 1, 1)
    assert not winograd.fits((1, 8, 8, 3), np.zeros((3, 3, 3, 16)), 1, 1), "too few channels"
    assert not winograd.fits((1, 512, 512, 16), W, 1, 1), "an image that is no block"


@pytest.mark.parametrize("m, H", [(4, 16), (2, 14)])
@pytest.mark.parametrize("hot", [1e6, np.inf, np.nan])
@pytest.mark.parametrize("row", [0, 4, 6, 7])
def test_a_hot_pixel_reaches_the_rows_of_its_tiles_and_no_other(m, H, hot, row):
    """Tile t makes rows m t to m t + m - 1 of rows m t - 1 to m t + m. Elsewhere every bit stays."""
    x, W, _ = numbers((2, H, 8, 8), 8, "float32")
    spoilt = x.copy()
    spoilt[0, row, 3, 0] = hot
    assert winograd.transforms(x)[0] == m
    tiles = [t for t in range(H // m) if m * t - 1 <= row <= m * t + m]
    reached = [m * t + i for t in tiles for i in range(m)]
    others = [i for i in range(H) if i not in reached]
    with np.errstate(invalid="ignore"):
        z, dx = winograd.conv2d(spoilt, W), host(winograd.conv2d_backward(spoilt, x, W, True, False)[0])
        exact = plain.conv2d(spoilt.astype("float64"), W.astype("float64"), 1, 1)
    assert np.array_equal(z[0][others], winograd.conv2d(x, W)[0][others])
    assert np.array_equal(dx[0][others], host(winograd.conv2d_backward(x, x, W, True, False)[0])[0][others])
    assert np.array_equal(z[1], winograd.conv2d(x, W)[1]), "another image"
    if np.isfinite(hot):  # by norm, all of it is round-off
        assert relative_error(z, exact) < 1e-6
    else:
        assert not np.isfinite(z[0, reached, 3]).any()
