"""The compiled convolution beside the plain one: windows where they lie, by Winograd's form, and what is neither."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="Numba is not installed (extra: fast)")

from minilocal import streams
from minilocal.array import Array
from minilocal.kernels import threads
from minilocal.kernels.cpu import conv as in_numpy
from minilocal.kernels.numba import conv, winograd
from minilocal.kernels.numba.conv import conv2d, conv2d_backward
from minilocal.kernels.numba.conv_stats import conv2d_stats
from tests.helpers.host import host
from tests.helpers.plain import plain


@pytest.fixture(autouse=True, scope="module")
def _any_size():
    """Maps of any size go to the compiled form, those too that are faster in NumPy's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "NARROWEST", 1)
        yield


EXACT = 1e-12  # of float64, relative to the largest number: a thousand times the round-off of a sum


Geometry = tuple[tuple[int, ...], tuple[int, ...], int, int]


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """(x's shape, W's shape, stride, pad): channels in whole vectors of float64, 8, and others; any legal rest."""
    k, stride, pad = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(0, 5))
    smallest = max(1, k - 2 * pad)
    H, B = (draw(st.integers(smallest, smallest + 9)) for _ in range(2))
    C, O = draw(st.sampled_from((1, 3, 8, 16, 24))), draw(st.sampled_from((5, 8, 16, 24, 48)))
    return (draw(st.integers(1, 5)), H, B, C), (k, k, C, O), stride, pad


def numbers(geometry: Geometry, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x, W, dz, and an error of another branch."""
    shape, of_W, stride, pad = geometry
    rng, k = streams.rng(0), of_W[0]
    P, Q = ((size + 2 * pad - k) // stride + 1 for size in shape[1:3])
    shapes = shape, of_W, (shape[0], P, Q, of_W[3]), shape
    x, W, dz, add = (rng.standard_normal(s).astype(dtype) for s in shapes)
    return x, W, dz, add


def off(ours: Array | None, theirs: Array | None) -> float:
    """The largest difference, as a part of the largest number."""
    a, b = host(ours), host(theirs)
    assert a.shape == b.shape and a.flags.c_contiguous
    return np.abs(a - b).max() / max(np.abs(b).max(), 1e-300)


def same(ours: Iterable[Array | None], theirs: Iterable[Array | None]) -> bool:
    return all(np.array_equal(host(a), host(b), equal_nan=True) for a, b in zip(ours, theirs, strict=True))


@given(geometries())
@settings(deadline=None, derandomize=True, max_examples=200)
@example(((2, 8, 8, 16), (3, 3, 16, 16), 1, 1))  # Winograd
@example(((9, 12, 5, 8), (3, 3, 8, 24), 1, 1))
@example(((3, 8, 8, 64), (3, 3, 64, 128), 2, 1))
@example(((40, 4, 4, 8), (3, 3, 8, 8), 1, 1))  # more rows of tiles than lie in a group
@example(((2, 8, 8, 16), (1, 1, 16, 16), 2, 0))  # pixels that no window meets
@example(((2, 8, 8, 16), (2, 2, 16, 16), 3, 5))  # windows that lie outside
def test_it_is_the_plain_convolution(geometry):
    _, _, stride, pad = geometry
    x, W, dz, add = numbers(geometry)
    assert off(conv2d(x, W, stride, pad), plain.conv2d(x, W, stride, pad)) < EXACT
    dx, dW = conv2d_backward(dz, x, W, stride, pad)
    plain_dx, plain_dW = plain.conv2d_backward(dz, x, W, stride, pad)
    assert off(dx, plain_dx) < EXACT and off(dW, plain_dW) < EXACT
    with_add, same_dW = conv2d_backward(dz, x, W, stride, pad, "both", add)
    assert off(with_add, host(dx) + add) < EXACT and same([same_dW], [dW])
    only_dx, none = conv2d_backward(dz, x, W, stride, pad, "input")
    nothing, only_dW = conv2d_backward(dz, x, W, stride, pad, "weights")
    assert none is None and nothing is None and same((only_dx, only_dW), (dx, dW))


@given(geometries())
@settings(deadline=None, derandomize=True, max_examples=60)
@example(((2, 8, 8, 16), (3, 3, 16, 16), 1, 1))
def test_statistics_are_those_of_its_result(geometry):
    _, _, stride, pad = geometry
    x, W, _, _ = numbers(geometry)
    z, stats = conv2d_stats(x, W, stride, pad, 1e-5)
    exact = plain.batch_norm_stats(z, 1e-5)
    assert same([z], [conv2d(x, W, stride, pad)]) and stats.rows == exact.rows
    scale = np.abs(z).max()
    assert np.abs(stats.mean - exact.mean).max() <= EXACT * scale
    assert np.abs(stats.variance - exact.variance).max() <= EXACT * scale**2 and off(stats.r, exact.r) < 1e-6


SHAPES = {
    "Winograd, one vector": ((21, 8, 12, 16), (3, 3, 16, 16), 1, 1),
    "Winograd, two": ((6, 8, 8, 32), (3, 3, 32, 64), 1, 1),
    "windows": ((21, 7, 9, 16), (3, 3, 16, 32), 1, 1),
    "stride 2": ((6, 9, 8, 32), (3, 3, 32, 16), 2, 1),
    "a stem": ((6, 8, 8, 3), (3, 3, 3, 16), 1, 1),
    "5 x 5": ((4, 9, 9, 16), (5, 5, 16, 16), 1, 2),
    "a shortcut": ((6, 8, 8, 16), (1, 1, 16, 32), 2, 0),
    "columns that are no vectors": ((6, 8, 8, 10), (3, 3, 10, 5), 1, 1),
}
shapes = pytest.mark.parametrize("geometry", SHAPES.values(), ids=SHAPES)


@shapes
def test_threads_and_runs_change_no_bit(geometry):
    _, _, stride, pad = geometry
    x, W, dz, add = numbers(geometry, "float32")
    before, results = threads.threads(), []
    try:
        for number in (1, 2, 3, 5, 2):
            threads.use_threads(number)
            z, stats = conv2d_stats(x, W, stride, pad)
            results.append((z, *stats[:3], *conv2d_backward(dz, x, W, stride, pad, "both", add)))
    finally:
        threads.use_threads(before)
    assert all(same(other, results[0]) for other in results[1:])


@shapes
def test_float32_stays_float32_and_loses_no_more_than_in_numpy(geometry):
    """Twice its loss at most: the two add the same numbers in another order."""
    _, _, stride, pad = geometry
    x, W, dz, _ = numbers(geometry, "float32")
    wide = [a.astype("float64") for a in (x, W, dz)]
    exact = plain.conv2d(*wide[:2], stride, pad), *plain.conv2d_backward(wide[2], *wide[:2], stride, pad)
    ours, theirs = (
        (form.conv2d(x, W, stride, pad), *form.conv2d_backward(dz, x, W, stride, pad)) for form in (conv, in_numpy)
    )
    assert {host(a).dtype for a in ours} == {np.dtype("float32")}
    for a, b, e in zip(ours, theirs, exact, strict=True):
        assert off(a, e) < 2 * off(b, e) + 1e-7


@pytest.mark.parametrize("name", ["windows", "Winograd, one vector", "stride 2"])
def test_what_an_earlier_call_left_behind_is_never_read(name):
    """Frames are used again: what lies around the images must be 0 each time."""
    (N, H, B, C), of_W, stride, pad = SHAPES[name]
    for images, factor in ((N, 1e150), (2, 1.0), (N, 1e100), (2, 1.0)):
        x, W, dz, _ = numbers(((images, H, B, C), of_W, stride, pad))
        x, dz = x * factor, dz * factor
        ours = conv2d(x, W, stride, pad), *conv2d_backward(dz, x, W, stride, pad)
        theirs = plain.conv2d(x, W, stride, pad), *plain.conv2d_backward(dz, x, W, stride, pad)
        assert all(off(a, b) < EXACT for a, b in zip(ours, theirs, strict=True))


@shapes
def test_arrays_that_are_views_are_read_as_they_are_and_only_read(geometry):
    _, _, stride, pad = geometry
    x, W, dz, add = numbers(geometry)
    wide = [np.repeat(a, 2, axis=-1)[..., ::2] for a in (x, dz, add)]
    for a in (*wide, W):
        a.flags.writeable = False
    assert not wide[0].flags.c_contiguous
    assert same([conv2d(wide[0], W, stride, pad)], [conv2d(x, W, stride, pad)])
    ours = conv2d_backward(wide[1], wide[0], W, stride, pad, "both", wide[2])
    assert same(ours, conv2d_backward(dz, x, W, stride, pad, "both", add))


@pytest.mark.parametrize("hot", [np.inf, np.nan])
@pytest.mark.parametrize("name, row, reached", [("windows", 3, range(2, 5)), ("Winograd, one vector", 5, range(4, 8))])
def test_a_pixel_that_is_not_finite_reaches_its_windows_alone(name, row, reached, hot):
    """Where windows are read as they lie. Winograd's form spreads it over the rows of its tiles."""
    x, W, _, _ = numbers(SHAPES[name], "float32")
    spoilt, others = x.copy(), np.ones((*x.shape[:3], W.shape[3]), bool)
    spoilt[1, row, 4, 2], others[1, reached, 3:6] = hot, False
    z, clean = conv2d(spoilt, W, 1, 1), conv2d(x, W, 1, 1)
    assert winograd.fits(x.shape, W, 1, 1) == name.startswith("Winograd")
    assert np.array_equal(z[others], clean[others]) and not np.isfinite(z[1, row - 1 : row + 2, 3:6]).any()


def test_shapes_that_do_not_fit_are_refused():
    """No bound is checked in compiled code: what is not refused here would be read from other memory."""
    x, W, dz, add = numbers(SHAPES["windows"], "float32")
    for wrong in (x[..., :8], x[:, :1], x[:, :, :1]):  # too small is refused as NumPy's form refuses it
        for form in (conv2d, conv2d_stats):
            with pytest.raises(ValueError, match=r"met|negative"):
                form(wrong, W, 1, 0)
    cases = (dz[:, :-1], x, add), (dz[:3], x, add), (dz[..., :16], x, add), (dz, x[..., :8], add), (dz, x, add[:2])
    for bad in cases:
        with pytest.raises(ValueError, match=r"an error|met"):
            conv2d_backward(bad[0], bad[1], W, 1, 1, "both", bad[2])


def test_arrays_of_two_types_are_computed_as_in_numpy():
    x, W, dz, _ = numbers(SHAPES["windows"], "float32")
    wide = W.astype("float64")
    for a, b in ((x, wide), (x.astype(">f4"), W)):
        assert same([conv2d(a, b, 1, 1)], [in_numpy.conv2d(a, b, 1, 1)])
        assert off(conv2d(a, b, 1, 1), plain.conv2d(x, W, 1, 1)) < 1e-5
        assert same(conv2d_backward(dz, a, b, 1, 1), in_numpy.conv2d_backward(dz, a, b, 1, 1))
    assert same(conv2d_backward(dz.astype("f8"), x, W, 1, 1), in_numpy.conv2d_backward(dz.astype("f8"), x, W, 1, 1))


def test_where_it_goes_is_a_question_of_shapes_alone(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(conv, "NARROWEST", 8)
    x, W = np.zeros((1, 8, 8, 16), "float32"), np.zeros((3, 3, 16, 32), "float32")
    assert conv.fits(32, x, W, 8) and not conv.fits(24, x, W, 8) and conv.fits(24, x.astype("f8"), W.astype("f8"), 8)
    assert not conv.fits(32, x, W, 7), "narrow"
    assert not conv.fits(32, x, np.zeros((1, 1, 256, 256), "float32"), 8), "much of W"
    assert winograd.fits(x.shape, W, 1, 1) and not winograd.fits((1, 6, 8, 16), W, 1, 1), "rows in fours"
    assert not winograd.fits(x.shape, W, 2, 1) and not winograd.fits((1, 8, 8, 3), W[:, :, :3], 1, 1)


def test_an_empty_batch_has_an_empty_result():
    x, W, dz, _ = numbers(((1, 8, 8, 16), (3, 3, 16, 16), 1, 1))
    assert conv2d(x[:0], W, 1, 1).shape == (0, 8, 8, 16)
    dx, dW = conv2d_backward(dz[:0], x[:0], W, 1, 1)
    assert host(dx).shape == (0, 8, 8, 16) and not host(dW).any()
