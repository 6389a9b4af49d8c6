"""The update in pieces beside the plain one: the same bits, with and without each of its terms."""

import numpy as np
import pytest

from minilocal import streams
from minilocal.kernels import cpu, threads
from tests.helpers.host import host
from tests.helpers.plain import plain


@pytest.mark.parametrize("shape", [(7,), (3, 3, 90, 100), (300, 1001)], ids=str)
@pytest.mark.parametrize("momentum, nesterov", [(0.0, False), (0.9, False), (0.9, True)])
@pytest.mark.parametrize("decay", [0.0, 1e-3])
@pytest.mark.parametrize("rate", [0.1, np.array([0.1], "float32")], ids=["number", "array"])
def test_the_fast_form_is_the_plain_one(shape, momentum, nesterov, decay, rate):
    rng = streams.rng(0)
    w, g, v = (rng.standard_normal(shape).astype("float32") for _ in range(3))
    updated = []
    for kernel, number in ((plain.sgd, 1), (cpu.sgd, 1), (cpu.sgd, 3)):
        mine, before = (w.copy(), g.copy(), v.copy() if momentum else None), threads.threads()
        threads.use_threads(number)
        try:
            kernel([mine], rate, momentum, decay, nesterov)
        finally:
            threads.use_threads(before)
        updated.append(mine)
    for w_, _, v_ in updated[1:]:
        assert w_.dtype == np.float32 and np.array_equal(w_, updated[0][0])
        assert v_ is None or np.array_equal(v_, host(updated[0][2]))


def test_parameters_that_are_a_view_are_moved_where_they_lie():
    rng = streams.rng(0)
    w, g = rng.standard_normal((600, 300)), rng.standard_normal((300, 600))
    expected = w.T - 0.1 * g
    cpu.sgd([(w.T, g, None)], 0.1, 0.0, 0.0, False)
    assert np.allclose(w.T, expected, rtol=0, atol=1e-15)
