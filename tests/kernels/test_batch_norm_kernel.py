"""Batch norm's fast forms beside its plain ones, and a variance that stays right far from zero."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilocal import streams
from minilocal.array import Array
from tests.helpers.host import host
from tests.helpers.plain import plain

SHAPES = [(5, 3), (1, 1), (3, 4, 5, 2), (17, 3, 3, 16), (2, 48, 48, 16), (3, 2, 2, 600), (2, 7, 7, 1)]


@pytest.fixture(scope="module", params=["cpu", "numba"])
def fast(request):
    """The forms of one table, by name."""
    if request.param == "numba":
        pytest.importorskip("numba", reason="compiled by Numba: pip install 'minilocal[fast]'")
    return SimpleNamespace(**import_module(f"minilocal.kernels.{request.param}").FORMS)


def numbers(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> dict[str, np.ndarray]:
    rng, C = streams.rng(seed), shape[-1]
    arrays = {"z": rng.standard_normal(shape), "dy": rng.standard_normal(shape), "add": rng.standard_normal(shape)}
    arrays |= {"gamma": rng.standard_normal(C), "beta": rng.standard_normal(C)}
    return {name: a.astype(dtype) for name, a in arrays.items()}


def near(a: Array | None, b: Array | None, limit: float = 1e-12) -> bool:
    ours, theirs = host(a), host(b)
    return ours.shape == theirs.shape and np.abs(ours - theirs).max() <= limit * (1 + np.abs(theirs).max())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_fast_forms_are_the_plain_ones(fast, shape):
    n = numbers(shape)
    seen, exact = fast.batch_norm_stats(n["z"], 1e-5), plain.batch_norm_stats(n["z"], 1e-5)
    assert all(near(np.asarray(a), np.asarray(b)) for a, b in zip(seen, exact, strict=True))
    operands = (n["z"], exact.mean, exact.r, n["gamma"], n["beta"])
    for add in (None, n["add"]):
        for relu in (False, True):
            assert near(fast.batch_norm_apply(*operands, add, relu), plain.batch_norm_apply(*operands, add, relu))
    for a in (None, fast.batch_norm_apply(*operands, None, True)):
        ours = fast.batch_norm_backward(n["dy"], n["z"], exact.mean, exact.r, n["gamma"], a)
        theirs = plain.batch_norm_backward(n["dy"], n["z"], exact.mean, exact.r, n["gamma"], a)
        assert all(near(mine, other) for mine, other in zip(ours, theirs, strict=True))


@given(st.tuples(*[st.integers(1, high) for high in (18, 6, 6, 20)]), st.integers(0, 99))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_statistics_of_any_batch(fast, shape, seed):
    z = numbers(shape, seed=seed)["z"]
    seen, rows = fast.batch_norm_stats(z, 1e-5), z.reshape(-1, shape[-1])
    assert near(seen.mean, rows.mean(axis=0)) and near(seen.variance, rows.var(axis=0)) and seen.rows == len(rows)


@pytest.mark.parametrize("shape", [(64, 4), (16, 8, 8, 16), (4, 48, 48, 16)], ids=str)
@pytest.mark.parametrize("deviations", [1e2, 1e4])
def test_the_variance_is_right_far_from_zero(fast, shape, deviations):
    """float32 keeps 7 digits: of E[z²] - E[z]² nothing would be left at a mean of 1e4 deviations."""
    z = (streams.rng(0).standard_normal(shape) + deviations).astype("float32")
    truth = z.astype("float64").reshape(-1, shape[-1])
    seen = fast.batch_norm_stats(z, 1e-5)
    assert seen.mean.dtype == seen.variance.dtype == np.float32
    assert np.abs(seen.variance / truth.var(axis=0) - 1).max() < 1e-5
    assert np.abs(seen.mean / truth.mean(axis=0) - 1).max() < 1e-6


def test_a_channel_that_never_changes_has_no_variance(fast):
    z = np.full((8, 3, 3, 2), 7.25, "float32")
    seen = fast.batch_norm_stats(z, 1e-5)
    assert np.array_equal(host(seen.mean), [7.25, 7.25]) and np.array_equal(host(seen.variance), [0, 0])


@pytest.mark.parametrize("deviations", [1e2, 1e4])
def test_the_error_is_right_far_from_zero(fast, deviations):
    """dz hangs on z - μ: made as z k - μ k it would lose the digits that the mean has and the deviation has not.

    The reference is float64 on the same float32 numbers, μ and r too, so only the computation of dz is checked.
    """
    n = numbers((8, 4, 4, 16), "float32")
    z = n["z"] + np.float32(deviations)
    seen = fast.batch_norm_stats(z, 1e-5)
    operands = n["dy"], z, host(seen.mean), host(seen.r), n["gamma"]
    dz, truth = (
        fast.batch_norm_backward(*operands)[0],
        plain.batch_norm_backward(*(a.astype("f8") for a in operands))[0],
    )
    assert np.abs(dz - truth).max() <= 16 * np.finfo("f4").eps * np.abs(truth).max()  # a few roundings, not 1e4 of them
