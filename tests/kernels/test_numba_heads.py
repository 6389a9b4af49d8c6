"""The compiled forms that a classifier needs beside the plain ones."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="Numba is not installed (extra: fast)")

from minilocal import streams
from minilocal.kernels import threads
from minilocal.kernels.numba.heads import global_average_pool_backward, sum_rows
from tests.helpers.plain import plain


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 4, 5, 7), (20, 16, 16, 16), (0, 4, 4, 3)], ids=str)
def test_a_mean_goes_back_with_the_bits_of_the_plain_code(shape, dtype):
    dy = streams.rng(0).standard_normal((shape[0], 1, 1, shape[3])).astype(dtype)
    dx = global_average_pool_backward(dy, shape)
    assert dx.dtype == dtype and np.array_equal(dx, plain.global_average_pool_backward(dy, shape))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 3), (128, 10), (5000, 33), (0, 4)], ids=str)
def test_rows_are_summed(shape, dtype):
    """Few rows: one rounding to the type. Many: a part of the rows in the type, a rounding a row of a part."""
    dy = streams.rng(0).standard_normal(shape).astype(dtype)
    before, sums = threads.threads(), []
    try:
        for number in (1, 2, 3):
            threads.use_threads(number)
            sums.append(sum_rows(dy))
    finally:
        threads.use_threads(before)
    exact, terms = dy.astype("longdouble").sum(axis=0), abs(dy).astype("f8").sum(axis=0)
    roundings = 2 if dy.size < 1 << 15 else len(dy) // 16 + 17
    assert sums[0].dtype == dtype and all(np.array_equal(s, sums[0]) for s in sums)
    assert (abs(sums[0] - exact) <= roundings * np.finfo(dtype).eps * terms + (len(dy) * 1e-16) * terms).all()
