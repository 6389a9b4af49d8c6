"""The supervised contrast: autograd, finite differences, by hand, and batches without a pair."""

from __future__ import annotations

import numpy as np
import pytest

import minilocal as ml
from minilocal.losses import supervised_contrast
from minilocal.verify.compare import DOUBLE
from minilocal.verify.losses import SCALES, SHAPES
from minilocal.verify.losses import supervised_contrast as against_autograd
from tests.helpers.host import host

LABELS = np.array([0, 1, 1, 2, 0, 1])  # 2 stands alone


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_error_against_autograd(shape, scale):
    assert max(against_autograd(shape, scale).values()) <= DOUBLE


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
def test_the_error_is_the_slope(temperature):
    z, direction = ml.rng(0).standard_normal((2, 6, 5))
    up, down = (supervised_contrast(z + s * direction, LABELS, temperature)[0] for s in (1e-6, -1e-6))
    dz = host(supervised_contrast(z, LABELS, temperature)[1])
    assert np.isclose((dz * direction).sum(), host(up - down) / 2e-6, rtol=1e-7)


def test_three_on_two_axes_by_hand():
    """Two of a class in one direction, one of another across: each of the pair prefers the other by e^(1/τ)."""
    z, labels = np.array([[2.0, 0.0], [5.0, 0.0], [0.0, 1.0]]), np.array([0, 0, 1])
    expected = 2 / 3 * np.log(1 + np.exp(-2.0))
    assert np.isclose(host(supervised_contrast(z, labels, 0.5)[0]), expected, rtol=1e-14)


def test_an_anchor_without_positives_gives_0_but_is_pushed_by_the_others():
    z = ml.rng(0).standard_normal((6, 5))
    dz = host(supervised_contrast(z, LABELS)[1])
    assert dz[3].any()
    loss, dz = map(host, supervised_contrast(z, np.arange(6)))
    assert loss == 0 and not dz.any()


def test_a_batch_of_one_and_a_vector_of_zeros():
    loss, dz = map(host, supervised_contrast(np.ones((1, 4)), np.array([0])))
    assert loss == 0 and not dz.any()
    z = ml.rng(0).standard_normal((6, 5))
    z[2] = 0
    loss, dz = map(host, supervised_contrast(z, LABELS))
    assert np.isfinite(loss) and np.isfinite(dz).all() and not dz[2].any()


def test_a_length_of_1e_12_is_no_direction_yet():
    z = ml.rng(0).standard_normal((6, 5))
    z[2] = [0, 0, 1e-12, 0, 0]
    assert np.sqrt((z[2] * z[2]).sum()) == 1e-12 and not host(supervised_contrast(z, LABELS)[1])[2].any()
    z[2] *= 1.001
    assert host(supervised_contrast(z, LABELS)[1])[2].any()


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
def test_of_two_alone_each_chooses_the_other_however_far(temperature):
    """Opposite vectors in a hundred directions: by round-off S may lie a little below -1/τ."""
    for a in ml.rng(0).standard_normal((100, 5)):
        loss, dz = map(host, supervised_contrast(np.array([a, -3 * a]), np.array([1, 1]), temperature))
        assert loss == 0 and not dz.any()


def test_only_directions_count():
    z = ml.rng(0).standard_normal((6, 5))
    loss, dz = map(host, supervised_contrast(z, LABELS))
    assert np.isclose(host(supervised_contrast(z * 7.0, LABELS)[0]), loss, rtol=1e-13)
    assert np.abs((dz * z).sum(axis=1)).max() < 1e-14


def test_float32_stays_float32_at_a_low_temperature_too():
    z = ml.rng(0).standard_normal((6, 5)).astype("f4")
    for temperature in (0.07, 0.005):
        loss, dz = supervised_contrast(z, LABELS, temperature)
        exact, exact_dz = map(host, supervised_contrast(z.astype("f8"), LABELS, temperature))
        assert dz.dtype == np.float32 and loss.dtype == np.float64 and loss.shape == ()
        assert np.isclose(host(loss), exact, rtol=1e-4)
        assert np.abs(host(dz) - exact_dz).max() < 1e-3 * np.abs(exact_dz).max()
