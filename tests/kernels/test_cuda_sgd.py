"""SGD's CUDA kernel, run on the host: all parameters in one launch, to the bits of the plain form."""

import numpy as np
import pytest

from minilocal import streams
from minilocal.kernels import cuda
from minilocal.kernels.cuda.sgd import MOST, TABLE
from tests.fake import cuda_on_host
from tests.fake.device import counting, fake
from tests.helpers.plain import plain

pytestmark = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))

SHAPES = [(3, 3, 16, 16), (16,), (1,), (1025,), (7, 5), (2, 1024)]
RULES = [(0.0, 0.0, False), (0.9, 0.0, False), (0.9, 1e-4, False), (0.9, 1e-4, True), (0.0, 1e-4, False)]


def updates(shapes, dtype, momentum, seed=0):
    rng = streams.rng(seed)
    several = [[rng.standard_normal(shape).astype(dtype) for _ in range(3)] for shape in shapes]
    return [(w, g, v if momentum else None) for w, g, v in several]


def moved(on_host):
    return [tuple(None if a is None else fake.asarray(a) for a in update) for update in on_host]


def same(ours, theirs):
    """w and v are; g is nobody's any more."""
    for (w, _, v), (x, _, u) in zip(ours, theirs, strict=True):
        if not np.array_equal(w.get(), x) or (v is not None and not np.array_equal(v.get(), u)):
            return False
    return True


@pytest.fixture(params=["forward", "reverse"])
def order(request, monkeypatch):
    monkeypatch.setattr(cuda_on_host, "order", request.param)


@pytest.mark.parametrize("momentum, decay, nesterov", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("in_memory", [False, True], ids=["a number", "an array"])
def test_two_steps(order, momentum, decay, nesterov, dtype, in_memory):
    theirs = updates(SHAPES, dtype, momentum)
    ours = moved(theirs)
    for lr in (0.1, 0.03):
        rate = fake.asarray(np.array([lr], dtype)) if in_memory else lr
        cuda.sgd(ours, rate, momentum, decay, nesterov)
        plain.sgd([(w, g.copy(), v) for w, g, v in theirs], lr, momentum, decay, nesterov)
    assert same(ours, theirs)


@pytest.mark.parametrize("many, launches", [(MOST, 1), (MOST + 1, 2), (2 * MOST + 3, 3)])
def test_more_parameters_than_a_launch_takes(order, many, launches):
    sizes = [*streams.rng(1).integers(1, 20, many - 2), 2100, 1024]
    theirs = updates([(int(size),) for size in sizes], "float32", 0.9)
    ours = moved(theirs)
    with counting() as counts:
        cuda.sgd(ours, 0.1, 0.9, 1e-4, True)
    plain.sgd(theirs, 0.1, 0.9, 1e-4, True)
    assert same(ours, theirs)
    assert (counts.launches, counts.syncs, counts.uploads) == (launches, 0, 0)


def test_arrays_with_gaps_go_the_plain_way(order):
    theirs = updates([(6, 4), (8, 3), (5,)], "float32", 0.9)
    ours = moved(theirs)
    w, g, v = theirs[1]
    ours[1] = fake.asarray(w.T.copy()).T, fake.asarray(g), fake.asarray(v)
    assert not ours[1][0].flags.c_contiguous
    cuda.sgd(ours, 0.1, 0.9, 1e-4, False)
    plain.sgd(theirs, 0.1, 0.9, 1e-4, False)
    assert same(ours, theirs)


def test_the_arguments_fit_into_what_every_driver_takes():
    """4 KB in all: the table, a count, an address, three numbers, a switch."""
    assert TABLE.itemsize + 8 + 8 + 3 * 8 + 8 <= 4096
