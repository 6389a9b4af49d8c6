"""Abstract arrays: the shapes, types and bytes that NumPy and CuPy would give."""

from __future__ import annotations

import gc
from typing import Any
from weakref import ref

import numpy as np
import pytest

from minilocal.memory.abstract_array import AbstractNamespace


def test_an_abstract_array_has_the_shape_and_type_that_numpy_would_give():
    library, rng = AbstractNamespace(), np.random.default_rng(0)
    real = {"x": rng.standard_normal((4, 6, 6, 3)).astype("f4"), "W": rng.standard_normal((3, 5)).astype("f4")}
    abstract = {name: library.array(a) for name, a in real.items()}
    for make in (
        lambda x, W: x + 1,
        lambda x, W: x * x.mean(axis=0, dtype=np.float64),
        lambda x, W: x @ W,
        lambda x, W: x.reshape(-1, 3).T @ x.reshape(-1, 3),
        lambda x, W: (x > 0) * x,
        lambda x, W: x == 3,
        lambda x, W: x // 2,
        lambda x, W: -x + np.sqrt(x * x) + abs(x),
        lambda x, W: 1 / x.max(axis=1),
        lambda x, W: x.sum(axis=(1, 2), keepdims=True),
        lambda x, W: x[:, ::2, 1:, None, :2],
        lambda x, W: x[..., 0],
        lambda x, W: x[0].copy(),
        lambda x, W: x.transpose(0, 3, 1, 2).reshape(4, -1),
        lambda x, W: W.T,
        lambda x, W: x.astype("f8") - x,
        lambda x, W: x.clip(0),
    ):
        result, expected = make(**abstract), make(**real)
        assert (result.shape, result.dtype) == (expected.shape, expected.dtype)


def test_views_take_nothing_and_keep_what_they_look_into():
    library = AbstractNamespace()
    x: Any = library.zeros((4, 6), "f4")
    for view in (lambda: x[1:], lambda: x.T, lambda: x.reshape(-1), lambda: x[:, None], lambda: x.T[2]):
        assert view().base is x and library.live == 96
    x = x.T[1:]
    assert library.live == 96  # the view holds it
    copied = x.reshape(-1)  # not contiguous: a copy
    assert library.live == 96 + copied.nbytes == 96 + 80
    x += 1
    x = None
    assert library.live == 80


def test_an_abstract_array_cannot_be_read():
    array = AbstractNamespace().zeros(3)
    for read in (bool, float, list, lambda a: a.item(), lambda a: a.get()):
        with pytest.raises(TypeError, match="no numbers"):
            read(array)
    with pytest.raises(AttributeError, match="have no fft yet"):
        array.__array_namespace__().fft()


def test_a_gpus_arrays_take_multiples_of_512_bytes():
    library = AbstractNamespace(gpu=True)
    a = library.zeros(3, "f4")
    assert library.live == 512 and a.nbytes == 12


def counts(work):
    """(launches, numbers of 4 bytes that are moved) of `work` on a library and its array of 6 numbers."""
    library = AbstractNamespace(gpu=True)
    a = library.empty((2, 3), "float32")
    before = library.launches, library.moved
    work(library, a)
    return library.launches - before[0], (library.moved - before[1]) / 4


def _add_in_place(xp, a):
    a += a


def _assign(xp, a):
    a[0] = a[1]


@pytest.mark.parametrize("work, launches, moved", [
    (lambda xp, a: xp.empty((2, 3), "float32"), 0, 0), (lambda xp, a: a[0].reshape(3, 1).T, 0, 0),
    (lambda xp, a: xp.zeros((2, 3), "float32"), 1, 6), (lambda xp, a: a.fill(1), 1, 6), (_assign, 1, 6),
    (lambda xp, a: a + 1, 1, 12), (lambda xp, a: a + a[0], 1, 15), (_add_in_place, 1, 18),
    (lambda xp, a: a.sum(axis=0), 1, 9), (lambda xp, a: xp.broadcast_to(a[:1], (5, 3)) * 1, 1, 18),
    (lambda xp, a: a.T.reshape(6), 1, 12), (lambda xp, a: a.copy(), 1, 12), (lambda xp, a: xp.copyto(a, a), 1, 12),
    (lambda xp, a: a[xp.empty(2, int)], 1, 12), (lambda xp, a: xp.concatenate([a, a]), 1, 24),
])  # fmt: skip
def test_what_a_gpu_would_launch_and_move_is_counted(work, launches, moved):
    assert counts(work) == (launches, moved)


def test_a_kernel_is_counted_by_the_library_that_has_built_it():
    """Arrays that it finds by addresses are not seen, its launch is; and it keeps no library alive."""
    first, second = AbstractNamespace(gpu=True), AbstractNamespace(gpu=True)
    kernel = second.RawKernel("source", "name")
    kernel((1,), (1,), (second.empty((4,), "float32"), None, 3))
    kernel((1,), (1,), (3,))
    assert (first.launches, second.launches, second.moved) == (0, 2, 16)
    gone = ref(second)
    del second
    gc.collect()
    assert gone() is None
    kernel((1,), (1,), (3,))
