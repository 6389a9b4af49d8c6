"""The fake device: each of its semantics, and that it is seen when it is broken."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from tests.fake import cuda_on_host
from tests.fake.device import counting, fake
from tests.helpers import as_cuda

needs_kernels = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))
HOST = np.arange(6, dtype="f4").reshape(2, 3)
COUNT = 'extern "C" __global__ void add(float *x, int n) { if (threadIdx.x < n) x[threadIdx.x] += 1; }'


@pytest.fixture
def x():
    return fake.asarray(HOST)


# ------------------------------------------------------------------ host and device do not mix


@pytest.mark.parametrize("convert", [np.asarray, np.array, np.concatenate, lambda x: np.zeros(2) @ np.array(x)])
def test_no_array_becomes_a_numpy_array_by_itself(x, convert):
    with pytest.raises(
        TypeError, match=r"Implicit conversion to a NumPy array is not allowed\. Please use `\.get\(\)`"
    ):
        convert(x)


@pytest.mark.parametrize(
    "meet",
    [
        lambda x: x + HOST,
        lambda x: HOST + x,
        lambda x: HOST @ x.T,
        lambda x: fake.maximum(x, HOST),
        lambda x: fake.where(x > 0, x, HOST),
        lambda x: fake.concatenate([x, HOST]),
        lambda x: x.clip(HOST, 2),
        lambda x: x.__setitem__(0, HOST[0]),
        lambda x: x.__iadd__(HOST),
    ],
)
def test_no_numpy_array_is_an_operand(x, meet):
    with pytest.raises(TypeError, match=r"Unsupported type <class 'numpy\.ndarray'>"):
        meet(x)


def test_lists_are_no_operands(x):
    for meet in (lambda: x * [1, 2, 3], lambda: fake.exp([1.0]), lambda: x.__setitem__(0, [1, 2, 3])):
        with pytest.raises(TypeError, match="Unsupported type <class 'list'>"):
            meet()


def test_numbers_are_and_they_promote_as_in_numpy(x):
    assert (x * 2 + np.float32(1)).dtype == "f4" and (x * np.float64(2)).dtype == "f8"
    assert (x.sum(dtype=fake.float64) * x).dtype == "f8" and (2**0.5 * x).dtype == "f4"


@pytest.mark.parametrize("ask", [lambda x: x.sum(), lambda x: x[1, 2], lambda x: x.reshape(-1)[0], lambda x: x.max()])
def test_numbers_in_an_array_are_arrays_without_dimensions(x, ask):
    number = ask(x)
    assert type(number) is fake.ndarray and number.shape == ()


def test_results_lie_in_c_order(x):
    assert (HOST.T + HOST.T).flags.f_contiguous and (x.T + x.T).flags.c_contiguous and x.T.flags.f_contiguous


@pytest.mark.parametrize("name", ["errstate", "block", "insert", "matrix", "random", "linalg", "geterr", "vecdot"])
def test_what_cupy_lacks_or_minilocal_leaves_alone_is_lacking(name):
    with pytest.raises(AttributeError, match=name):
        getattr(fake, name)


def test_ufuncs_reduce_by_addition_and_multiplication_and_have_no_at(x):
    assert fake.add.reduce(x, axis=0).get().tolist() == [3, 5, 7]
    for lacking in (lambda: fake.maximum.reduce(x), lambda: fake.add.at(x, 0, 1), lambda: np.add.at(x, 0, 1)):
        with pytest.raises(AttributeError):
            lacking()
    with pytest.raises(TypeError, match="Wrong arguments"):
        fake.exp(x, where=x > 0)


def test_assignments_that_a_gpu_leaves_to_chance_raise(x):
    twice, once = fake.asarray([0, 0]), fake.asarray([1, 0])
    x[once, once] = x[1, :2]
    assert x.get()[1, 1] == 3
    x[twice] = 7  # one value: no matter which
    with pytest.raises(IndexError, match="twice"):
        x[twice, once - once] = x[1, :2]
    with pytest.raises(IndexError, match="out of bounds"):
        x[fake.asarray([2])]


# ------------------------------------------------------------------ counts


@pytest.mark.parametrize(
    "wait, downloads",
    [
        (lambda x: x.get(), 1),
        (lambda x: float(x[0, 0]), 1),
        (lambda x: int(x[0, 0]), 1),
        (lambda x: bool(x[0, 0]), 1),
        (lambda x: x[0, 0].item(), 1),
        (lambda x: x.tolist(), 1),
        (lambda x: f"{x}", 1),
        (lambda x: 1 if (x > 0).all() else 0, 1),
        (lambda x: x[x > 1], 0),
        (lambda x: x.nonzero(), 0),
        (lambda x: fake.unique(x), 0),
        (lambda x: fake.where(x > 0), 0),
        (lambda x: fake.cuda.get_current_stream().synchronize(), 0),
    ],
)
def test_every_wait_is_counted(x, wait, downloads):
    with counting() as counts:
        wait(x)
    assert (counts.syncs, counts.downloads, counts.uploads) == (1, downloads, 0)


@pytest.mark.parametrize(
    "go", [lambda x: fake.asarray(HOST), lambda x: fake.array([1, 2]), lambda x: fake.asarray(3), lambda x: x[[0, 1]]]
)
def test_every_copy_to_the_device_is_counted(x, go):
    with counting() as counts:
        go(x)
    assert (counts.syncs, counts.uploads) == (0, 1)


def test_work_on_the_device_is_neither(x):
    with counting() as counts:
        y = fake.zeros((2, 3), fake.float32) + fake.arange(3) * x.T.reshape(3, 2).T
        y[:, 1] = fake.where(y > 2, x, 0).sum(axis=1)
        y[y > 4] = 0.5
        y /= fake.maximum(y.mean(), 1)
        for row in y:
            row.fill(2)
    assert (counts.syncs, counts.uploads) == (0, 0) and counts.launches == 15


def test_memory_is_counted_and_views_cost_nothing(x):
    with counting() as counts:
        y = x + 1
        z = y.T.reshape(-1)[:, None]  # to flatten a transpose is to copy it
        assert counts.live == counts.peak == 48
        view = y.reshape(3, 2)[::2].transpose()
        del y
        assert counts.live == 48
        del view, z
        assert counts.live == 0 and counts.peak == 48


def test_what_was_never_written_or_is_freed_is_nan():
    assert np.isnan(fake.empty(3).get()).all()
    zeros = fake.zeros(3)
    behind = zeros._array
    del zeros
    assert np.isnan(behind).all()


# ------------------------------------------------------------------ kernels


@needs_kernels
def test_a_kernel_works_on_the_device(x):
    with counting() as counts:
        fake.RawKernel(COUNT, "add")((1,), (32,), (x, np.int32(6)))
    assert (x.get() == HOST + 1).all() and counts.launches == 1 and counts.syncs == counts.uploads == 0


@needs_kernels
def test_a_kernel_takes_no_host_array(x):
    with pytest.raises(TypeError, match=r"a NumPy array of shape \(2, 3\) met a kernel"):
        fake.RawKernel(COUNT, "add")((1,), (32,), (HOST, np.int32(6)))


@needs_kernels
def test_a_pointer_in_a_structure_may_point_at_what_lives(x):
    source = 'struct S { float *at; }; extern "C" __global__ void one(S s) { s.at[threadIdx.x] = 1; }'
    structure = np.zeros(1, [("at", np.uint64)])
    structure["at"] = x.data.ptr
    fake.RawKernel(source, "one")((1,), (6,), (structure,))
    assert (x.get() == 1).all()
    structure["at"] = HOST.ctypes.data
    with pytest.raises(RuntimeError, match="a write outside of all arguments"):
        fake.RawKernel(source, "one")((1,), (6,), (structure,))


def test_without_kernels_there_is_no_rawkernel(monkeypatch):
    monkeypatch.setattr(fake, "kernels", False)
    assert not hasattr(fake, "RawKernel")


def test_cycles_of_others_that_end_while_it_counts_are_not_counted():
    cycle = [fake.zeros(1000, "f4")]
    cycle.append(cycle)
    del cycle
    with counting() as counts:
        gc.collect()
    assert counts.live == 0


def test_an_allocation_that_finds_no_memory_is_not_counted(monkeypatch):
    with counting() as counts, monkeypatch.context() as patch:
        as_cuda.failing(patch, 2)
        x = fake.zeros(10, "f4")
        with pytest.raises(MemoryError):
            fake.zeros(1000, "f4")
        assert counts.live == counts.peak == x.nbytes
