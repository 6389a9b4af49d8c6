"""SGD's CUDA kernel and that of two gradients' sum, run on the host: all in one launch, to the plain form's bits."""

import numpy as np
import pytest

from minilocal import streams
from minilocal.kernels import cuda
from minilocal.kernels.cuda.mix import TABLE as PAIRS
from minilocal.kernels.cuda.running_stats import TABLE as NORMS
from minilocal.kernels.cuda.sgd import TABLE
from tests.fake import cuda_on_host
from tests.fake.device import counting, fake
from tests.helpers.plain import plain

pytestmark = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))

MOST = TABLE.most
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


@pytest.mark.parametrize("table, numbers", [(TABLE, 3), (PAIRS, 2), (NORMS, 0)], ids=["sgd", "mix", "norms"])
def test_the_arguments_fit_into_what_every_driver_takes(table, numbers):
    """4 KB in all: the table, a count, an address, some numbers, a switch."""
    assert table.dtype.itemsize + 8 + 8 + 8 * numbers + 8 <= 4096


# ------------------------------------------------------------------ a g_loc + b g_glb


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("a, b", [(0.5, 0.5), (0.3**3, 0.7**3), (1.0, 0.0)])
def test_mix(order, a, b, dtype):
    """The host multiplies and adds separately, as the plain form does: equal bits."""
    theirs = [(w, g) for w, g, _ in updates(SHAPES, dtype, 0)]
    ours = moved(theirs)
    with counting() as counts:
        cuda.mix(ours, a, b)
    plain.mix([(g, above.copy()) for g, above in theirs], a, b)
    assert all(np.array_equal(g.get(), x) and g.dtype == dtype for (g, _), (x, _) in zip(ours, theirs, strict=True))
    assert (counts.launches, counts.syncs, counts.uploads) == (1, 0, 0)


def test_a_mix_of_more_parameters_than_a_launch_takes_and_of_arrays_with_gaps(order):
    theirs = [(w, g) for w, g, _ in updates([(7,)] * (PAIRS.most + 3), "float32", 0)]
    ours = moved(theirs)
    w, g = theirs[5] = updates([(6, 4)], "float32", 0)[0][:2]
    ours[5] = fake.asarray(w.T.copy()).T, fake.asarray(g)
    cuda.mix(ours, 0.25, 0.75)
    plain.mix([(g, above.copy()) for g, above in theirs], 0.25, 0.75)
    assert all(np.array_equal(g.get(), x) for (g, _), (x, _) in zip(ours, theirs, strict=True))


def test_a_mix_that_contracts_its_second_product_is_off_by_one_rounding():
    """A GPU computes fma(a, g_loc, b g_glb), one rounding less: both are within 3/2 eps of |a g_loc| + |b g_glb|."""
    g_loc, g_glb = (streams.rng(seed).standard_normal(5000).astype("f4") for seed in (0, 1))
    a, b, eps = np.float32(0.3), np.float32(0.7), float(np.finfo("f4").eps)
    wide = [g.astype("f8") for g in (g_loc, g_glb)]
    exact, size = float(a) * wide[0] + float(b) * wide[1], np.abs(float(a) * wide[0]) + np.abs(float(b) * wide[1])
    contracted = (float(a) * wide[0] + (b * g_glb).astype("f8")).astype("f4")  # exact in double: 48 bits
    separate = a * g_loc + b * g_glb
    assert not np.array_equal(contracted, separate)
    assert (np.abs(contracted - exact) <= eps * size).all() and (np.abs(separate - exact) <= 1.5 * eps * size).all()
