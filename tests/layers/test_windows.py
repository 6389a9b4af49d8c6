"""Windows and maps of any size. A window that does not fit is refused in a line, by out_shape and by forward."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import minilocal as ml
from minilocal.layers import AveragePool, Conv, Initializer, MaxPool, PassContext

sides = st.integers(1, 20)
geometries = st.tuples(sides, st.integers(1, 4), sides, sides)


def refused(layer, x, words):
    """Both ways to ask say the same, in one line."""
    messages = []
    for ask in (lambda: layer.out_shape(x.shape[1:]), lambda: layer.forward(x, PassContext())):
        with pytest.raises(ml.UserError, match=words) as caught:
            ask()
        messages.append(str(caught.value))
    assert messages[0] == messages[1] and "\n" not in messages[0]


def windows(x, k, stride):
    """Every window, (N, P, Q, C, k, k): NumPy's own view."""
    return np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(1, 2))[:, ::stride, ::stride]


@pytest.mark.parametrize("kind", [MaxPool, AveragePool])
@given(geometries, st.integers(0, 99))
@example((17, 1, 20, 18), 0)  # more places than a byte numbers
@example((16, 1, 16, 16), 0)  # as many
@example((3, 3, 2, 2), 0)
@settings(deadline=None, derandomize=True)
def test_pooling(kind, geometry, seed):
    (k, stride, H, W), rng = geometry, ml.rng(seed)
    x, layer = rng.integers(-9, 9, (2, H, W, 3)).astype("float32"), kind(k, stride)
    if min(H, W) < k:
        return refused(layer, x, rf"{kind.__name__}\({k}\) .*at least {k}×{k}")
    y, cache = layer.forward(x, PassContext())
    seen = windows(x, k, stride)
    assert y.shape[1:] == layer.out_shape(x.shape[1:])
    if kind is MaxPool:
        assert np.array_equal(y, seen.max(axis=(4, 5)))
    else:
        np.testing.assert_allclose(y, seen.mean(axis=(4, 5)), rtol=1e-6, atol=9 * k * k * 2**-24)
    dy = rng.integers(-9, 9, y.shape).astype("float32")
    dx, _ = layer.backward(dy, cache)
    if kind is MaxPool:  # whole numbers: sums are exact
        first, wanted = seen.reshape(*y.shape, -1).argmax(axis=4), np.zeros_like(x)
        for n, p, q, c in np.ndindex(y.shape):
            i, j = divmod(int(first[n, p, q, c]), k)
            wanted[n, stride * p + i, stride * q + j, c] += dy[n, p, q, c]
        assert np.array_equal(dx, wanted)
    else:  # <dy, A x> = <Aᵀ dy, x>
        assert np.isclose((dy * y).sum(dtype="float64"), (dx * x).sum(dtype="float64"), rtol=1e-4, atol=1e-2)


@given(geometries, st.integers(0, 3), st.integers(0, 99))
@example((3, 1, 2, 2), 0, 0)
@settings(deadline=None, derandomize=True)
def test_convolution(geometry, pad, seed):
    (k, stride, H, W), rng = geometry, ml.rng(seed)
    layer = Conv(2, 3, k, Initializer(seed), stride=stride, pad=pad, name="conv")
    x = rng.integers(-9, 9, (2, H, W, 2)).astype("float64")
    if min(H, W) + 2 * pad < k:
        return refused(layer, x, rf"a {k}×{k} window with padding {pad} does not fit an image of {H}×{W}")
    z, _ = layer.forward(x, PassContext(), {"conv.weight": np.round(9 * rng.standard_normal((k, k, 2, 3)))})
    assert z.shape[1:] == layer.out_shape(x.shape[1:])


def test_a_convolution_takes_its_own_channels():
    refused(Conv(2, 3, 1, Initializer(0), name="conv"), np.zeros((1, 4, 4, 3), "float32"), r"takes images \(H, W, 2\)")
