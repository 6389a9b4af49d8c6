"""The product that stays in registers, and rows of it: equation (1) of the file, and bits that no tile changes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="Numba is not installed (extra: fast)")

import minilocal
from minilocal import streams
from minilocal.kernels.numba.compiled import compiled
from minilocal.kernels.numba.register_tile import BROAD, TALL
from minilocal.kernels.numba.rows import in_strips, rows, strip_width
from minilocal.kernels.numba.vector import BYTES, load, store

TOP = Path(minilocal.__file__).parents[1]


def product(A: np.ndarray, B: np.ndarray, add: np.ndarray | None, at_once: int) -> np.ndarray:
    """Σ_ij A[r, i, j] B[i, j, v] [+ add], `at_once` rows in a call."""
    (R, I, J), width = A.shape, B.shape[2]
    out = np.full((R, width), 7, A.dtype) if add is None else add.copy()
    a_steps, b_steps = (I * J, J, 1), (J * width, width)
    for r in range(0, R, at_once):
        count = min(at_once, R - r)
        rows(
            count, out.reshape(-1), r * width, width, add is not None, A.reshape(-1), r * I * J, a_steps, B.reshape(-1),
            0, b_steps, (I, J), width,
        )  # fmt: skip
    return out


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 9), st.booleans(), st.booleans(), st.booleans())
@settings(deadline=None, derandomize=True, max_examples=80)
def test_it_is_the_sum_and_no_tile_changes_a_bit(R, I, J, wide, single, adds):
    dtype = np.dtype("float32" if single else "float64")
    lanes = BYTES // dtype.itemsize
    width, rng = 2 * lanes if wide and BROAD else lanes, streams.rng(0)
    A, B = rng.standard_normal((R, I, J)).astype(dtype), rng.standard_normal((I, J, width)).astype(dtype)
    add = rng.standard_normal((R, width)).astype(dtype) if adds else None
    exact = np.einsum("rij,ijv->rv", A.astype("f8"), B.astype("f8")) + (0 if add is None else add)
    terms = np.einsum("rij,ijv->rv", abs(A).astype("f8"), abs(B).astype("f8")) + (0 if add is None else abs(add))
    ours = product(A, B, add, R)
    assert (abs(ours - exact) <= (I * J + 1) * np.finfo(dtype).eps * terms).all()  # a rounding a term
    assert np.array_equal(ours, product(A, B, add, 1)) and np.array_equal(ours, product(A, B, add, 5))
    if wide and BROAD:
        halves = [product(A, np.ascontiguousarray(B[..., v]), None, R) for v in (slice(lanes), slice(lanes, None))]
        assert adds or np.array_equal(ours, np.concatenate(halves, axis=1))


def test_a_product_and_its_addition_round_once():
    """(1 + ε)(1 - ε) - 1 = -ε²; rounded in between it is 0 (1 - 2⁻²⁶ is no float32)."""
    eps = np.float32(2**-13)
    A = np.array([[[1, 1 + eps]]], "float32")
    B = np.stack([np.full(16, -1), np.full(16, 1 - eps)]).astype("float32")[None]
    assert (product(A, B, None, 1) == -(np.float64(eps) ** 2)).all()


@pytest.mark.parametrize("columns", [16, 32, 48, 64])
def test_strips_are_the_columns_in_order(columns):
    W = streams.rng(0).standard_normal((6, columns)).astype("float32")
    strips = in_strips(W)
    assert strips.shape == (columns // strip_width(columns, 4), 6, strip_width(columns, 4))
    assert strips.ctypes.data % BYTES == 0 and np.array_equal(strips.transpose(1, 0, 2).reshape(W.shape), W)


@compiled
def combined(x, y):
    for i in range(0, y.size, 16):
        a, b = load(x, i), load(x, i + y.size)
        store(y, i, 2.5 * a - b * a + b)


def test_vectors_have_the_bits_of_arrays():
    x, y = streams.rng(0).standard_normal(128).astype("float32"), np.empty(64, "float32")
    combined(x, y)
    a, b = x[:64], x[64:]
    assert np.array_equal(y, np.float32(2.5) * a - b * a + b)
    assert TALL >= 4


@pytest.mark.parametrize("setting, tiles", [("CPU_NAME=generic", "4 0"), ("CPU_FEATURES=+avx,+avx512f", "16 8")])
def test_tiles_are_those_of_the_processor_that_code_is_kept_for(setting, tiles):
    """With tiles of another size, code on disk would not fit how weights are cut: a loop without an end."""
    name, _, value = f"NUMBA_{setting}".partition("=")
    code = "from minilocal.kernels.numba.register_tile import BROAD, TALL; print(TALL, BROAD)"
    env = {**os.environ, name: value}
    assert (
        subprocess.run([sys.executable, "-c", code], env=env, cwd=TOP, capture_output=True, text=True).stdout
        == f"{tiles}\n"
    )
