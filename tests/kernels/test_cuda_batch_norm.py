"""Batch norm's CUDA kernels, run on the host, beside the plain forms; in two orders of threads, to the same bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilocal import streams
from minilocal.kernels import cuda
from minilocal.kernels.cuda import reduce_rows
from minilocal.kernels.cuda.running_stats import TABLE
from minilocal.ops.batch_norm import RunningUpdate, Statistics
from tests.fake import cuda_on_host
from tests.fake.device import counting, fake, fetch
from tests.helpers.host import host
from tests.helpers.on_device import on_device
from tests.helpers.plain import plain

pytestmark = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))

SHAPES = [
    (5, 3),
    (1, 1),
    (1, 7, 16),
    (3, 4, 5, 2),
    (17, 3, 3, 16),
    (3, 2, 2, 600),
    (2, 2100),
    (300, 260),
    (40, 9, 9, 12),
]
EPS = {"float32": float(np.finfo("f4").eps), "float64": float(np.finfo("f8").eps)}


def numbers(shape, dtype="float64", seed=0):
    rng, C = streams.rng(seed), shape[-1]
    arrays = [rng.standard_normal(s).astype(dtype) for s in (shape, shape, shape, C, C)]
    return dict(zip(("z", "dy", "add", "gamma", "beta"), arrays, strict=True))


def close(ours, theirs, limit=1e-13):
    if not isinstance(theirs, np.ndarray):
        return ours == theirs
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    return np.abs(ours - theirs).max() <= limit * (1 + np.abs(theirs).max())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_kernels_are_the_plain_forms(shape):
    n = numbers(shape)
    seen, exact = on_device(cuda.batch_norm_stats, n["z"], 1e-5), plain.batch_norm_stats(n["z"], 1e-5)
    assert all(close(a, b) for a, b in zip(seen, exact, strict=True))
    operands = (n["z"], exact.mean, exact.r, n["gamma"], n["beta"])
    for add in (None, n["add"]):
        for relu in (False, True):
            assert close(
                on_device(cuda.batch_norm_apply, *operands, add, relu), plain.batch_norm_apply(*operands, add, relu)
            )
    for a in (None, plain.batch_norm_apply(*operands, None, True)):
        for both in (False, True):
            ours = on_device(cuda.batch_norm_backward, n["dy"], *operands[:4], a, both)
            theirs = plain.batch_norm_backward(n["dy"], *operands[:4], a, both)
            assert all(close(mine, other) for mine, other in zip(ours[:3], theirs[:3], strict=True))
            assert ours[3] is theirs[3] is None or np.array_equal(ours[3], theirs[3])


@given(st.tuples(*[st.integers(1, high) for high in (18, 6, 6, 24)]), st.integers(0, 99), st.booleans())
@settings(deadline=None, derandomize=True, max_examples=25)
def test_any_batch(shape, seed, relu):
    n = numbers(shape, seed=seed)
    seen = plain.batch_norm_stats(n["z"], 1e-5)
    assert all(close(a, b) for a, b in zip(on_device(cuda.batch_norm_stats, n["z"], 1e-5), seen, strict=True))
    operands = (n["z"], seen.mean, seen.r, n["gamma"])
    a = plain.batch_norm_apply(*operands, n["beta"], n["add"], relu)
    assert close(on_device(cuda.batch_norm_apply, *operands, n["beta"], n["add"], relu), a)
    ours = on_device(cuda.batch_norm_backward, n["dy"], *operands, a if relu else None)
    theirs = plain.batch_norm_backward(n["dy"], *operands, a if relu else None)
    assert all(close(mine, other) for mine, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("shape", [(40, 9, 9, 12), (1100, 3), (64, 600)], ids=str)
def test_float32_is_off_by_its_own_rounding(shape):
    """A thread adds k rows in float32: its sum is off by k roundings, half an eps at most each; the rest is double."""
    n, eps, axes = numbers(shape, "float32"), EPS["float32"], tuple(range(len(shape) - 1))
    wide = {name: a.astype("float64") for name, a in n.items()}
    work, z = reduce_rows.RowGrid(n["z"]), wide["z"]
    k = -(-work.rows // (work.parts * work.block[1])) + 3
    mean, variance, r = on_device(cuda.batch_norm_stats, n["z"], 1e-5)[:3]
    d = z - z.reshape(-1, shape[-1])[0]
    assert (np.abs(mean - z.mean(axes)) <= k * eps * (np.abs(z.mean(axes)) + np.abs(d).mean(axes))).all()
    assert (np.abs(variance - z.var(axes)) <= 2 * k * eps * (d * d).mean(axes)).all()

    mu, by = mean.astype("float64"), wide["gamma"] * r
    y = on_device(cuda.batch_norm_apply, n["z"], mean, r, n["gamma"], n["beta"], n["add"], False)
    exact = (z - mu) * by + wide["beta"] + wide["add"]
    size = np.abs((z - mu) * by) + np.abs(wide["beta"]) + np.abs(wide["add"])
    assert y.dtype == np.float32 and (np.abs(y - exact) <= 3 * eps * size).all()

    g = wide["dy"] * (y > 0)
    dz, dgamma, dbeta, dadd = on_device(cuda.batch_norm_backward, n["dy"], n["z"], mean, r, n["gamma"], y)
    off = np.abs(g * (z - mu) * r)
    assert np.array_equal(dadd, g.astype("float32")) and dz.dtype == dgamma.dtype == np.float32
    assert (np.abs(dgamma - (g * (z - mu)).sum(axes) * r) <= k * eps * off.sum(axes)).all()
    assert (np.abs(dbeta - g.sum(axes)) <= k * eps * np.abs(g).sum(axes)).all()
    exact = plain.batch_norm_backward(g, z, mu, r.astype("float64"), wide["gamma"])[0]
    size = np.abs(g) + np.abs(g).mean(axes) + np.abs((z - mu) * r) * off.mean(axes)
    assert (np.abs(dz - exact) <= k * eps * np.abs(by) * size).all()


@pytest.mark.parametrize("shape", [(64, 4), (16, 8, 8, 16), (4, 24, 24, 10)], ids=str)
@pytest.mark.parametrize("deviations", [1e2, 1e4])
def test_the_variance_is_right_far_from_zero(shape, deviations):
    """float32 keeps 7 digits: of E[z²] - E[z]² nothing would be left at a mean of 1e4 deviations."""
    z = (streams.rng(0).standard_normal(shape) + deviations).astype("float32")
    truth = z.astype("float64").reshape(-1, shape[-1])
    mean, variance, _, _ = on_device(cuda.batch_norm_stats, z, 1e-5)
    assert np.abs(variance / truth.var(axis=0) - 1).max() < 1e-5
    assert np.abs(mean / truth.mean(axis=0) - 1).max() < 1e-6


def test_a_first_row_far_from_the_others_costs_few_digits():
    """z₀ is the origin of all sums: at 30 deviations from the mean the squares are 900 times the variance."""
    z = streams.rng(0).standard_normal((4000, 4)).astype("float32")
    z[0] = 30
    truth = z.astype("float64").var(axis=0)
    assert np.abs(on_device(cuda.batch_norm_stats, z, 1e-5)[1] / truth - 1).max() < 1e-5


def test_a_channel_that_never_changes_has_no_variance():
    z = np.full((8, 3, 3, 4), 7.25, "float32")
    mean, variance, r, _ = on_device(cuda.batch_norm_stats, z, 1e-5)
    assert np.array_equal(mean, [7.25] * 4) and np.array_equal(variance, [0] * 4)
    assert np.allclose(r, 1e-5**-0.5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("norms, launches", [(1, 1), (3, 1), (TABLE.most // 2, 1), (TABLE.most // 2 + 1, 2)])
def test_update_running_moves_the_statistics_of_all_norms_in_place(norms, launches, dtype):
    """To the bits of the plain form, which multiplies and adds in the same order."""
    ours, theirs = [], []
    for i in range(norms):
        n, momentum = numbers((1 if i % 2 else 50, 3 + 1200 * (i < 3)), dtype, seed=i), 0.1 + i / 100
        mean, variance, r, rows = plain.batch_norm_stats(n["z"], 1e-5)
        running = n["gamma"], np.abs(n["beta"])
        theirs.append(
            RunningUpdate(running[0].copy(), running[1].copy(), Statistics(mean, variance, r, rows), momentum)
        )
        batch = Statistics(fake.asarray(mean), fake.asarray(variance), fake.asarray(r), rows)
        ours.append(RunningUpdate(fake.asarray(running[0]), fake.asarray(running[1]), batch, momentum))
    with counting() as counts:
        cuda.batch_norm_update_running(ours)
    plain.batch_norm_update_running(theirs)
    assert (counts.launches, counts.syncs, counts.uploads) == (launches, 0, 0)
    for mine, other in zip(ours, theirs, strict=True):
        assert np.array_equal(fetch(mine.mean), host(other.mean))
        assert np.array_equal(fetch(mine.variance), host(other.variance))


def test_a_part_may_hold_any_number_of_rows(monkeypatch):
    n = numbers((700, 20))
    exact = plain.batch_norm_stats(n["z"], 1e-5)
    for parts in (1, 2, 3):
        monkeypatch.setattr(reduce_rows, "PARTS", parts)
        assert all(close(a, b) for a, b in zip(on_device(cuda.batch_norm_stats, n["z"], 1e-5), exact, strict=True))
        operands = n["dy"], n["z"], exact.mean, exact.r, n["gamma"]
        ours, theirs = on_device(cuda.batch_norm_backward, *operands), plain.batch_norm_backward(*operands)
        assert all(close(a, b) for a, b in zip(ours, theirs, strict=True))


def test_arrays_with_gaps_are_packed_first():
    n = numbers((6, 5, 4, 8))
    turned = fake.asarray(n["z"]).transpose(1, 0, 2, 3)
    seen = cuda.batch_norm_stats(turned, 1e-5)
    exact = plain.batch_norm_stats(n["z"].transpose(1, 0, 2, 3), 1e-5)
    affine = n["gamma"], n["beta"]
    y = cuda.batch_norm_apply(turned, seen.mean, seen.r, *map(fake.asarray, affine))
    assert close(fetch(y), plain.batch_norm_apply(n["z"].transpose(1, 0, 2, 3), exact.mean, exact.r, *affine))


def test_arrays_at_odd_addresses_are_moved_first():
    n = numbers((6, 5, 8), "float32")
    odd = {name: fake.asarray(np.append(0, a).astype("float32"))[1:].reshape(a.shape) for name, a in n.items()}
    exact = plain.batch_norm_stats(n["z"], 1e-5)
    assert close(fetch(cuda.batch_norm_stats(odd["z"], 1e-5).mean), exact.mean, 1e-6)
    operands = exact.mean, exact.r, n["gamma"], n["beta"], n["add"]
    mean, r = fake.asarray(exact.mean), fake.asarray(exact.r)
    y = cuda.batch_norm_apply(odd["z"], mean, r, odd["gamma"], odd["beta"], odd["add"])
    assert close(fetch(y), plain.batch_norm_apply(n["z"], *operands), 1e-6)
    statistics = exact.mean, exact.r, n["gamma"]
    dz = cuda.batch_norm_backward(odd["dy"], odd["z"], mean, r, fake.asarray(n["gamma"]), y)[0]
    assert close(fetch(dz), plain.batch_norm_backward(n["dy"], n["z"], *statistics, fetch(y))[0], 1e-6)


def test_nothing_waits_and_nothing_is_copied():
    n = {name: fake.asarray(a) for name, a in numbers((40, 8, 8, 16), "float32").items()}
    with counting() as counts:
        seen = cuda.batch_norm_stats(n["z"], 1e-5)
        a = cuda.batch_norm_apply(n["z"], seen.mean, seen.r, n["gamma"], n["beta"], n["add"], True)
        cuda.batch_norm_backward(n["dy"], n["z"], seen.mean, seen.r, n["gamma"], a)
        cuda.batch_norm_update_running([RunningUpdate(n["gamma"], n["beta"], seen, 0.1)])
    assert counts.syncs == counts.uploads == counts.downloads == 0
    assert counts.launches <= 1 + 1 + 2 + 1 + 8  # kernels, and memory
