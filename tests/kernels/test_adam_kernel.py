"""Adam's update in chunks beside the plain one: the same bits, on any number of threads, where arrays lie."""

import numpy as np
import pytest

from minilocal import streams
from minilocal.kernels import cpu, threads
from minilocal.kernels.cpu.adam import CHUNK
from tests.helpers.plain import plain

NUMBERS = 0.9, 0.999, 1e-8
SHAPES = [(7,), (3, CHUNK), (300, 1001)]


def moved(adam, update, *numbers):
    """(w, m, s) after the update of copies."""
    w, g, m, s, t = (a.copy() if isinstance(a, np.ndarray) else a for a in update)
    adam([(w, g, m, s, t)], *numbers)
    return w, m, s


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("decay", [0.0, 1e-3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("array", [False, True])
def test_the_fast_form_is_the_plain_one(shape, decay, dtype, array, number):
    rng = streams.rng(0)
    update = *(rng.random(shape).astype(dtype) for _ in range(4)), 3
    rate, before = np.array([0.1], dtype) if array else 0.1, threads.threads()
    threads.use_threads(number)
    try:
        ours = moved(cpu.adam, update, rate, *NUMBERS, decay)
    finally:
        threads.use_threads(before)
    for a, b in zip(ours, moved(plain.adam, update, rate, *NUMBERS, decay), strict=True):
        assert a.dtype == dtype and a.tobytes() == b.tobytes()


def test_parameters_that_are_a_view_are_moved_where_they_lie():
    w, g, m, s = (streams.rng(0).random((600, 300)) for _ in range(4))
    expected = moved(plain.adam, (w.T, g.T, m.T, s.T, 2), 0.1, *NUMBERS, 0.0)
    cpu.adam([(w.T, g.T, m.T, s.T, 2)], 0.1, *NUMBERS, 0.0)
    assert all(map(np.array_equal, (w.T, m.T, s.T), expected))
