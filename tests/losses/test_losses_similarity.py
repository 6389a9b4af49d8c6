"""Similarity matching: autograd, finite differences, by hand, and where a norm or a deviation is 0 or the clip acts."""

from __future__ import annotations

import numpy as np
import pytest

import minilocal as ml
from minilocal.losses import similarity, similarity_matrix
from minilocal.verify.compare import DOUBLE
from minilocal.verify.losses import SCALES, SHAPES
from minilocal.verify.losses import similarity as against_autograd
from tests.helpers.host import host

LABELS = np.array([0, 1, 1, 2, 0])


def slope(U, direction, step=1e-6, **options):
    up, down = (similarity(U + s * direction, LABELS, 3, **options)[0] for s in (step, -step))
    return (up - down) / (2 * step)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_error_against_autograd(shape, scale):
    assert max(against_autograd(shape, scale).values()) <= DOUBLE


@pytest.mark.parametrize("shape", [(5, 4, 3, 6), (5, 4, 4, 3), (5, 1, 4, 6), (5, 7), (5, 2, 1, 4)], ids=str)
def test_the_error_is_the_slope(shape):
    """Maps by their deviations; few channels, one row or vectors as they are."""
    rng = ml.rng(0)
    U, direction = rng.standard_normal((2, *shape))
    dU = similarity(U, LABELS, 3)[1]
    assert np.isclose((dU * direction).sum(), slope(U, direction), rtol=1e-7, atol=1e-10)


def test_the_error_of_a_vector_has_mean_0_however_far_from_0_the_vector_lies():
    """(6): without it the round-off of s_b - mean s_b, 10⁴ times that of s_b's spread, is in dU. Sums of F numbers."""
    F, eps = 20, float(np.finfo("f4").eps)
    U = ml.rng(0).standard_normal((5, F)).astype("f4") + np.float32(1e4)
    dU = host(similarity(U, LABELS, 3)[1]).astype("f8")
    assert (np.abs(dU.sum(axis=1)) <= F**2 * eps * np.abs(dU).max(axis=1)).all() and dU.any()


def test_the_target_in_closed_form():
    """1 for two samples of a class and -1/(classes - 1) otherwise: what one-hot vectors themselves have, but for ε."""
    for classes in (2, 10):
        labels = np.arange(classes).repeat(2)
        loss, dU = map(host, similarity(np.eye(classes)[labels], labels, classes))
        assert loss < 1e-30 and np.abs(dU).max() < 1e-15
        alike = host(ml.losses._alike(labels, classes, 1e-8))
        same = labels[:, None] == labels[None, :]
        np.testing.assert_allclose(alike, np.where(same, 1, -1 / (classes - 1)), rtol=1e-7)


def test_of_two_samples_by_hand():
    """Deviations (1, 0, 0, 0) and (0, 1, 0, 0) have cosine -1/3; labels that differ want -1 of two classes."""
    U = np.zeros((2, 2, 1, 4))
    U[0, :, 0, 0] = U[1, :, 0, 1] = [-(0.5**0.5), 0.5**0.5]
    assert np.isclose(host(similarity(U, np.array([0, 1]), 2)[0]), 2 * (2 / 3) ** 2 / 4, rtol=1e-7)
    assert np.isclose(host(similarity(U, np.array([1, 1]), 2)[0]), 2 * (4 / 3) ** 2 / 4, rtol=1e-7)


def test_a_constant_channel_and_a_sample_without_deviations_get_no_error():
    U = ml.rng(0).standard_normal((5, 3, 3, 6))
    U[1, :, :, 2] = 7.0  # s_bc = 0
    U[3] = 1.0  # every s_bc = 0, so n_b = 0
    loss, dU = map(host, similarity(U, LABELS, 3))
    assert np.isfinite(loss) and np.isfinite(dU).all()
    assert not dU[1, :, :, 2].any() and not dU[3].any() and dU[1, :, :, 1].any()
    direction = ml.rng(1).standard_normal(U.shape)
    direction[1, :, :, 2] = direction[3] = 0
    assert np.isclose((dU * direction).sum(), slope(U, direction), rtol=1e-6)


def test_equal_deviations_have_no_direction():
    """n_b = 0 with s_b > 0: all channels deviate alike."""
    U = np.repeat(ml.rng(0).standard_normal((5, 3, 3, 1)), 4, axis=3)
    U[0] = ml.rng(1).standard_normal((3, 3, 4))
    loss, dU = map(host, similarity(U, LABELS, 3))
    assert np.isfinite(loss) and np.isfinite(dU).all() and dU[0].any() and not dU[1:].any()


def test_where_the_clip_acts_no_error_comes_back():
    """In float32 a sample's cosine with itself may round to above 1; then R is 1 there and its slope 0."""
    U = (1e3 * ml.rng(0).standard_normal((64, 9))).astype("f4")
    t = U - U.mean(axis=1, keepdims=True)
    x = t / np.sqrt((t * t).sum(axis=1, keepdims=True))
    assert ((x @ x.T) > 1).any()
    loss, dU = map(host, similarity(U, np.arange(64) % 3, 3))
    exact, exact_dU = map(host, similarity(U.astype("f8"), np.arange(64) % 3, 3))
    assert np.isclose(loss, exact, rtol=1e-5) and np.abs(dU - exact_dU).max() < 1e-4 * np.abs(exact_dU).max()


def test_float32_stays_float32_and_nothing_is_written():
    U = ml.rng(0).standard_normal((5, 4, 4, 6)).astype("f4")
    U.flags.writeable = False
    loss, dU = map(host, similarity(U, LABELS, 3))
    assert dU.dtype == np.float32 and dU.shape == U.shape and loss.dtype == np.float64 and loss.shape == ()


@pytest.mark.parametrize("shape", [(5, 4, 3, 6), (5, 4, 4, 3), (5, 7)], ids=str)
def test_the_loss_is_the_distance_of_the_similarity_matrix_from_its_target(shape):
    U = ml.rng(0).standard_normal(shape)
    R, target = host(similarity_matrix(U)), host(ml.losses._alike(LABELS, 3, 1e-8))
    assert R.shape == (5, 5) and np.abs(R).max() <= 1 and np.allclose(np.diag(R), 1)
    assert similarity(U, LABELS, 3)[0] == ((R - target) ** 2).mean()


def test_the_similarity_matrix_of_two_samples_by_hand():
    """Deviations (1, 0, 0, 0) and (0, 1, 0, 0) have cosine -1/3, and the scale of a sample does not count."""
    U = np.zeros((2, 2, 1, 4), "f4")
    U[0, :, 0, 0], U[1, :, 0, 1] = [-(0.5**0.5), 0.5**0.5], [-3, 3]
    R = host(similarity_matrix(U))
    assert R.dtype == np.float32
    np.testing.assert_allclose(R, [[1, -1 / 3], [-1 / 3, 1]], rtol=1e-6)


def written_out(U):
    """R from the docstring's equations (1) to (3), sample by sample."""
    by_maps = U.ndim == 4 and U.shape[3] > 3 and U.shape[1] > 1
    s = [u.reshape(-1, u.shape[-1]).std(axis=0, ddof=1) if by_maps else u.ravel() for u in U]
    centred = [row - row.mean() for row in s]
    x = np.array([row / (np.linalg.norm(row) + 1e-8) for row in centred])
    return np.clip(x @ x.T, -1, 1)


@pytest.mark.parametrize(
    "shape",
    [(5, 4, 3, 6), (5, 4, 4, 4), (5, 4, 4, 3), (5, 1, 4, 6), (5, 2, 1, 4), (1, 4, 3, 6), (1, 1, 2, 4), (5, 7)],
    ids=str,
)
def test_maps_of_more_than_three_channels_and_one_row_are_taken_by_their_deviations(shape):
    U, labels = ml.rng(3).standard_normal(shape), LABELS[: shape[0]]
    R = written_out(U)
    np.testing.assert_allclose(host(similarity_matrix(U)), R, rtol=1e-12, atol=1e-12)
    target = host(ml.losses._alike(labels, 3, 1e-8))
    np.testing.assert_allclose(host(similarity(U, labels, 3)[0]), ((R - target) ** 2).mean(), rtol=1e-11)


def test_the_inverse_of_0_is_0():
    inverse = host(ml.losses._inverse(np.array([0.0, 0.5, 4.0], "f4")))
    assert inverse.dtype == np.float32 and inverse.tolist() == [0, 2, 0.25]


def test_the_names_of_the_losses():
    assert dir(ml.losses) == sorted(ml.losses.__all__) and "similarity" in dir(ml.losses)
