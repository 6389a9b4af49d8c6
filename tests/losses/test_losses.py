"""The losses against autograd, by hand where a hand can, and where numbers are extreme."""

import numpy as np
import pytest

from minilocal import losses, streams
from minilocal.verify.compare import DOUBLE
from minilocal.verify.losses import SCALES, SHAPES, cross_entropy, squared_error
from tests.helpers.host import host


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("check", [cross_entropy, squared_error])
def test_value_and_error_against_autograd(check, shape, scale):
    assert max(check(shape, scale).values()) <= DOUBLE


def test_cross_entropy_of_a_pair_by_hand():
    loss, dz = map(host, losses.cross_entropy(np.array([[0.0, np.log(3.0)]]), np.array([1])))
    assert np.isclose(loss, -np.log(0.75), rtol=1e-15) and np.allclose(dz, [[0.25, -0.25]], rtol=1e-15)


def test_squared_error_of_a_pair_by_hand():
    loss, dz = losses.squared_error(np.array([[3.0, 1.0], [0.0, 0.0]]), np.array([[1.0, 2.0], [0.0, 4.0]]))
    assert loss == (4 + 1 + 16) / 4 and np.array_equal(host(dz), [[1.0, -0.5], [0.0, -2.0]])


def test_enormous_logits_stay_finite():
    z = np.array([[1e4, -1e4], [-1e4, 1e4]], "float32")
    loss, dz = map(host, losses.cross_entropy(z, np.array([0, 0])))
    assert np.isclose(loss, 1e4) and np.isfinite(dz).all() and np.allclose(dz, [[0.0, 0.0], [-0.5, 0.5]])


def test_the_errors_of_a_sample_add_to_nothing():
    z = streams.rng(0).standard_normal((6, 9))
    assert np.abs(host(losses.cross_entropy(z, np.arange(6))[1]).sum(axis=1)).max() < 1e-16


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.squared_error])
def test_a_loss_writes_into_nothing_and_keeps_its_type(loss):
    z = streams.rng(0).standard_normal((4, 3)).astype("float32")
    target = np.arange(4) % 3 if loss is losses.cross_entropy else z + np.float32(1)
    z.flags.writeable = target.flags.writeable = False
    value, dz = loss(z, target)
    assert dz.dtype == np.float32 and np.asarray(value).dtype == np.float64 and np.shape(value) == ()
