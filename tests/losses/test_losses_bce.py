"""Binary cross entropy: autograd, by hand, at both ends; behind the bilinear resize, by finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import PassContext, Resize
from minilocal.losses import binary_cross_entropy as bce
from minilocal.verify.compare import DOUBLE
from minilocal.verify.losses import SCALES, SHAPES, binary_cross_entropy
from tests.helpers.host import host


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_error_against_autograd(shape, scale):
    assert max(binary_cross_entropy(shape, scale).values()) <= DOUBLE


def test_by_hand():
    a, t = np.array([[0.0, np.log(3)]]), np.array([[0.25, 1.0]])
    loss, da = map(host, bce(a, t))
    assert np.isclose(loss, (np.log(2) - np.log(0.75)) / 2) and np.allclose(da, [[0.125, -0.125]])


def test_certain_and_wrong_is_finite_and_linear():
    a, t = np.array([[1e4, -1e4, 1e4, -1e4]], "f4"), np.array([[0, 1, 1, 0]], "f4")
    loss, da = bce(a, t)
    assert loss == 5e3 and da.tolist() == [[0.25, -0.25, 0, 0]] and da.dtype == np.float32 and loss.dtype == np.float64


def test_behind_a_resize_the_error_is_the_slope():
    rng, layer, run = ml.rng(0), Resize(8, 8), PassContext()
    h, direction = rng.standard_normal((2, 3, 4, 4, 3))
    target = rng.random((3, 8, 8, 3))
    y, cache = layer.forward(h, run)
    dh = layer.backward(bce(y, target)[1], cache)[0]
    up, down = (bce(layer.forward(h + s * direction, run)[0], target)[0] for s in (1e-6, -1e-6))
    assert np.isclose(host((dh * direction).sum()), host(up - down) / 2e-6, rtol=1e-8)
