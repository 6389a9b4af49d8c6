"""What compiled code may get wrong: float32, NaN, arrays that are not contiguous, numbers of threads, sizes.

That the forms are the plain ones in float64 is in test_batch_norm_kernel.py.
"""

from itertools import product
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import ops, streams
from minilocal.kernels import threads
from tests.helpers.plain import plain

pytest.importorskip("numba", reason="compiled by Numba: pip install 'minilocal[fast]'")

from minilocal.kernels.numba import batch_norm as numba
from minilocal.kernels.numba.channel_sums import add_sums, combine

EPS = 1e-5
U = 2.0**-24  # a rounding to float32 is off by at most U times the number
SHAPES = [(7, 10), (5, 3, 5, 20), (6, 9, 9, 16), (40, 32, 32, 32), (9, 1, 1, 300)]


def numbers(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> dict[str, np.ndarray]:
    rng, C = streams.rng(seed), shape[-1]
    n = {name: rng.standard_normal(shape).astype(dtype) for name in ("z", "s", "dy")}
    n |= {name: rng.standard_normal(C).astype(dtype) for name in ("mean", "gamma", "beta")}
    return n | {"r": rng.uniform(0.5, 2, C).astype(dtype), "a": np.maximum(rng.standard_normal(shape), 0).astype(dtype)}


def forms(n: dict[str, np.ndarray], of: Any = numba) -> dict[str, np.ndarray]:
    """All results of the three operations on these numbers, in the compiled forms or those `of` another kind."""
    each = n["z"], n["mean"], n["r"], n["gamma"]
    out = dict(zip(("μ", "σ²", "r"), of.batch_norm_stats(n["z"], EPS)[:3], strict=True))
    for s, relu in product(("", "s"), (False, True)):
        out[f"y {s} {relu}"] = of.batch_norm_apply(*each, n["beta"], n.get(s), relu)
    for a, both in product(("", "a"), (False, True)):
        results = zip(("dz", "dγ", "dβ", "dy"), of.batch_norm_backward(n["dy"], *each, n.get(a), both), strict=True)
        out |= {f"{name} {a} {both}": x for name, x in results if x is not None}
    return out


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_float32_beside_float64(shape):
    """An element of y or dz is rounded some six times, with terms of the sizes below.

    A sum has RUN terms of at most four roundings and as many additions in float32. The rest of it is in float64.
    """
    n = numbers(shape)
    seen, exact = forms(n), forms({name: a.astype("float64") for name, a in n.items()}, plain)
    assert {x.dtype for x in seen.values()} == {np.dtype("float32")} and seen.keys() == exact.keys()
    z, s, dy, d = (np.abs(x.astype("f8")).reshape(-1, shape[-1]) for x in (n["z"], n["s"], n["dy"], n["z"] - n["mean"]))
    off, scale = z + z.max(axis=0), np.abs(n["gamma"] * n["r"])  # |z - shift| is no larger than `off`
    limit = {
        "μ": 16 * U * off.mean(axis=0),
        "σ²": 32 * U * (off**2).mean(axis=0),
        "y": 6 * U * (d * scale + np.abs(n["beta"]) + s),
        "dγ": 16 * U * (dy * d).sum(axis=0) * n["r"],
        "dβ": 16 * U * dy.sum(axis=0),
        "dz": 16 * U * scale * (dy + dy.mean(axis=0) + d * (dy * d).mean(axis=0) * n["r"] ** 2),
        "dy": 0,
    }
    limit["r"] = limit["σ²"] * exact["r"] ** 3 + 3 * U * exact["r"]
    for name, x in seen.items():
        off = np.abs(x - exact[name]).reshape(-1, shape[-1])
        assert (off <= limit[name.split()[0]]).all(), name


def test_a_long_sum_keeps_its_digits():
    """Eight equal numbers are added in float32, seven roundings; all else is in float64."""
    dy = np.full((1 << 19, 2), 0.1, "float32")
    one = np.ones(2, "float32")
    dbeta = numba.batch_norm_backward(dy, np.zeros_like(dy), 0 * one, one, one)[2]
    assert np.abs(dbeta / dy.astype("f8").sum(axis=0) - 1).max() <= 8 * U


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 3, 5, 20), (40, 32, 32, 32)], ids=str)
def test_the_same_bits_for_any_number_of_threads(shape, dtype):
    n, before = numbers(shape, dtype), threads.threads()
    try:
        ml.use_threads(1)
        alone = forms(n)
        for number in (1, 2, 5):
            ml.use_threads(number)
            assert all(np.array_equal(x, alone[name]) for name, x in forms(n).items()), number
    finally:
        ml.use_threads(before)


@pytest.mark.parametrize("where", ["z", "s", "dy", "a"])
@pytest.mark.parametrize("shape", [(7, 10), (6, 9, 9, 16)], ids=str)
def test_nan_is_where_plain_code_has_it(shape, where):
    n = numbers(shape)
    for i in (0, n["z"].size // 2 + 1, -1):
        n[where].reshape(-1)[i] = np.nan
    seen, exact = forms(n), forms(n, plain)
    assert any(np.isnan(x).any() for x in exact.values()) == (where != "a")
    assert all(np.array_equal(np.isnan(x), np.isnan(exact[name])) for name, x in seen.items())
    assert all(np.allclose(x, exact[name], rtol=1e-4, atol=1e-4, equal_nan=True) for name, x in seen.items())


def test_arrays_that_are_not_contiguous():
    n = numbers((6, 9, 8, 16))
    lie = {
        "z": np.asfortranarray(n["z"]),
        "s": np.repeat(n["s"], 2, axis=2)[:, :, ::2],
        "dy": np.concatenate([n["dy"]] * 2, axis=3)[..., :16],
        "a": np.ascontiguousarray(n["a"].transpose(1, 0, 2, 3)).transpose(1, 0, 2, 3),
        "mean": np.repeat(n["mean"], 3)[::3],
    }
    assert not any(a.flags.c_contiguous for a in lie.values())
    expected = forms(n)
    assert all(np.array_equal(x, expected[name]) for name, x in forms(n | lie).items())


def test_without_both_dz_is_the_same_and_nothing_else_is_written():
    n = numbers((6, 9, 9, 16))
    before = {name: a.copy() for name, a in n.items()}
    out = forms(n)
    assert np.array_equal(out["dz a False"], out["dz a True"]) and np.array_equal(out["dz  False"], out["dz  True"])
    assert all(np.array_equal(n[name], a) for name, a in before.items())


def test_a_convolution_adds_sums_image_by_image():
    """Each image has a shift of its own, up to 3 deviations off; the mean is 1000 of them from zero."""
    z = numbers((9, 5, 5, 10))["z"] + np.float32(1000)
    totals, shifts = np.zeros((9, 2, 10)), z[:, 0, 0].copy()
    rows = np.ascontiguousarray(z).reshape(-1, 10)
    for i in range(9):
        add_sums(rows, 25 * i, 25 * i + 11, shifts[i], totals[i])
        add_sums(rows, 25 * i + 11, 25 * (i + 1), shifts[i], totals[i])
    seen, exact = combine(list(totals), list(shifts), [25] * 9, EPS), plain.batch_norm_stats(z.astype("float64"), EPS)
    assert seen.rows == 225 and seen.mean.dtype == seen.variance.dtype == seen.r.dtype == np.float32
    largest = np.abs(z - shifts[:, None, None].astype("f8")).max()
    assert np.abs(seen.mean - exact.mean).max() <= U * 1001 + 16 * U * largest
    assert np.abs(seen.variance - exact.variance).max() <= 32 * U * largest**2


def test_sizes_that_differ_are_refused():
    """No bound is checked in compiled code: what is not refused here would be read from other memory."""
    n = numbers((6, 5, 5, 16))
    apply, backward = ("z", "mean", "r", "gamma", "beta", "s"), ("dy", "z", "mean", "r", "gamma", "a")
    cases: list[tuple[Any, tuple[str, ...]]] = [(numba.batch_norm_apply, apply), (numba.batch_norm_backward, backward)]
    for form, names in cases:
        for name in set(names) - {"z"}:
            wrong = n | {name: n[name][:5]}
            with pytest.raises(ValueError):
                form(*(wrong[each] for each in names))


def test_operations_choose_the_compiled_forms():
    n, before = numbers((7, 10)), ml.kernels.choice.kernels()
    try:
        ml.use_kernels("numba")
        seen = forms(n, ops)
    finally:
        ml.use_kernels(before)
    assert all(np.array_equal(x, seen[name]) for name, x in forms(n).items())
