"""Captured streams: a capture executes nothing, a graph repeats what was recorded, in the same memory."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fake import cuda_on_host
from tests.fake.device import counting, fake

needs_kernels = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))


def captured(work, *args):
    """(the graph of work(*args), what it returned)."""
    stream = fake.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        result = work(*args)
        return stream.end_capture(), result


def test_a_capture_executes_nothing():
    x = fake.ones(3)

    def work():
        x[...] = 5
        return x + 1

    graph, y = captured(work)
    assert x.get().tolist() == [1, 1, 1] and np.isnan(y.get()).all()
    graph.launch()
    assert x.get().tolist() == [5, 5, 5] and y.get().tolist() == [6, 6, 6]


def test_a_launch_repeats_every_kind_of_work_in_the_same_memory():
    x, v, places = fake.ones((2, 3)), fake.zeros((2, 3)), fake.asarray([1, 0])

    def work():
        nonlocal v
        v *= 0.5
        v += fake.maximum(x, 2) * x.sum(axis=1, keepdims=True)
        part = x.T[1:]  # a view: nothing to repeat
        part[...] = part + v[0, 0]
        x[places] = x.copy()
        x[0, 0] = 3
        y = fake.zeros(3)
        y[:2] = fake.exp(x)[:, 1]
        return y

    eager = [a.copy() for a in (x, v)]
    graph, y = captured(work)
    for _ in range(3):
        graph.launch()
    repeated = [a.get() for a in (x, v, y)]
    x[...], v[...] = eager
    for _ in range(3):
        y = work()
    for ours, theirs in zip(repeated, (x, v, y), strict=True):
        np.testing.assert_array_equal(ours, theirs.get())


def test_a_number_is_baked_into_the_graph_and_an_array_is_not():
    x, rate = fake.zeros(1), fake.ones(1)
    number = 1.0

    def work():
        nonlocal x
        x += number + rate

    graph, _ = captured(work)
    number = 100.0
    rate.fill(10.0)
    graph.launch()
    assert x.item() == 11


@needs_kernels
def test_a_kernel_is_repeated():
    source = 'extern "C" __global__ void add(double *x, const double *y, int n) { x[threadIdx.x] += y[0] + n; }'
    x, y = fake.zeros(2), fake.ones(1)
    graph, _ = captured(fake.RawKernel(source, "add"), (1,), (2,), (x, y, np.int32(3)))
    for value in (1.0, 2.0):
        y.fill(value)
        graph.launch()
    assert x.get().tolist() == [9, 9]


@pytest.mark.parametrize(
    "work", [lambda x: x.get(), lambda x: float(x[0]), lambda x: fake.asarray([1.0]), lambda x: x[x > 0]]
)
def test_a_wait_or_a_copy_breaks_the_capture(work):
    x, stream = fake.ones(3), fake.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        x.fill(2)
        with pytest.raises(RuntimeError, match="cudaErrorStreamCaptureUnsupported"):
            work(x)
        with pytest.raises(RuntimeError, match="cudaErrorStreamCaptureInvalidated"):
            stream.end_capture()
    assert x.get().tolist() == [1, 1, 1]


def test_cublas_is_not_captured():
    x = fake.ones((2, 2))
    with pytest.raises(NotImplementedError, match="cuBLAS"):
        captured(lambda: x @ x)


def test_the_default_stream_is_not_captured():
    with pytest.raises(RuntimeError, match="cannot capture on the default"):
        fake.cuda.get_current_stream().begin_capture()


def test_a_graph_that_reads_freed_memory_shows_it():
    x, out = fake.ones(3), fake.zeros(3)

    def work(x):
        out[...] = x * 2

    graph, _ = captured(work, x)
    del x
    graph.launch()
    assert np.isnan(out.get()).all()


def test_a_launch_is_one_launch_and_no_wait():
    x = fake.ones(3)
    graph, _ = captured(lambda: [x.fill(2), x.fill(3)])
    with counting() as counts:
        graph.launch()
    assert (counts.launches, counts.syncs) == (1, 0)
