"""The compiled mask is NumPy's own stream, bit for bit, wherever it is cut into parts."""

from __future__ import annotations

import numpy as np
import pytest

from minilocal import streams
from minilocal.kernels import threads
from tests.helpers.plain import plain

pytest.importorskip("numba", reason="compiled by Numba: pip install 'minilocal[fast]'")

from minilocal.kernels.numba.dropout import PART, RUN, dropout_mask

SHAPES = [(0, 3), (1,), (7,), (8,), (9,), (3, 5, 7), (8 * RUN + 3,), (2, 8 * PART + 5)]


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_the_bits_of_the_plain_code(rate, dtype, number):
    before = threads.threads()
    threads.use_threads(number)
    try:
        for key in (streams.stream_key(5, "dropout of a test", 2, 3, 4), streams.stream_key(2**63 - 1, "another")):
            for shape in SHAPES:
                x = np.zeros(shape, dtype)
                ours, theirs = dropout_mask(x, rate, key), plain.dropout_mask(x, rate, key)
                assert ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()
    finally:
        threads.use_threads(before)


def test_a_number_that_is_the_rate_is_kept():
    """u ≥ rate, where u and the rate are the same float32: the sixth number, as it happens to be drawn."""
    key, x = streams.stream_key(1, "equal"), np.zeros(9, "float32")
    rate = float(key.stream().random(9, dtype=np.float32)[5])
    mask = dropout_mask(x, rate, key)
    assert mask[5] > 0 and mask.tobytes() == plain.dropout_mask(x, rate, key).tobytes()
