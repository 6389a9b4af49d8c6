"""Abstract arrays: a shape and a type without memory. A step on them counts its bytes and computes nothing.

An `AbstractNamespace` takes the place of NumPy or CuPy. The engine, the layers, the losses and the optimisers run on it
unchanged, and allocate and free what they always do. So `live` and `peak` are the bytes of a real step, and no second
description of a rule or layer exists that could differ from the first. What a GPU would launch is counted too.

An abstract array is the header of a NumPy array (shape, strides, type) without its memory. NumPy makes the views of
that header, so each view has the right shape and owner. Numbers are never read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from math import prod
from types import SimpleNamespace
from typing import Any
from weakref import ref

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.lib.stride_tricks import as_strided

Key = Any
NO_MEMORY = SimpleNamespace(ptr=0)  # the `data` of an abstract array, for kernels that pass addresses


class AbstractArray(NDArrayOperatorsMixin):
    """An array without numbers. `base` is the array that a view belongs to; an array without one owns its memory."""

    __slots__ = ("__weakref__", "base", "frame", "held", "library")

    def __init__(
        self, library: AbstractNamespace, frame: np.ndarray, base: AbstractArray | None = None, times: int = 1
    ) -> None:
        self.library, self.frame, self.base = library, frame, base
        self.held = 0 if base is not None else times * library.rounded(frame.nbytes)
        library.allocated(self.held)

    def __del__(self) -> None:
        if hasattr(self, "held"):  # a signal may end `__init__` before
            self.library.live -= self.held

    shape = property(lambda self: self.frame.shape)
    dtype = property(lambda self: self.frame.dtype)
    strides = property(lambda self: self.frame.strides)
    flags = property(lambda self: self.frame.flags)
    ndim = property(lambda self: self.frame.ndim)
    size = property(lambda self: self.frame.size)
    nbytes = property(lambda self: self.frame.nbytes)
    itemsize = property(lambda self: self.frame.itemsize)
    T = property(lambda self: self._view(self.frame.T))
    data = property(lambda self: NO_MEMORY)

    @property
    def touched(self) -> int:
        """Bytes of the array's numbers, each counted once: an array that was broadcast repeats some."""
        strides = self.frame.strides
        if 0 not in strides:
            return self.frame.nbytes
        distinct = (n for n, stride in zip(self.shape, strides, strict=True) if stride)
        return prod(distinct) * self.itemsize if self.size else 0

    def __array_namespace__(self, api_version: str | None = None) -> AbstractNamespace:
        return self.library

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return f"abstract {self.shape} {self.dtype}"

    def _unreadable(self) -> Any:
        raise TypeError("an abstract array has a shape and no numbers: reading one would make a GPU wait here.")

    __bool__ = __float__ = __int__ = __index__ = __iter__ = item = get = _unreadable

    def _view(self, frame: np.ndarray) -> AbstractArray:
        return AbstractArray(self.library, frame, self if self.base is None else self.base)

    def _like(self, shape: tuple[int, ...], dtype: Any = None) -> AbstractArray:
        return self.library.empty(shape, self.dtype if dtype is None else dtype)

    def _result(self, shape: tuple[int, ...], dtype: Any = None) -> AbstractArray:
        """A new array, which one launch makes of this one."""
        return self.library.launched(self, result=self._like(shape, dtype))

    # ------------------------------------------------------------------ views, and copies where a view cannot be

    def reshape(self, *shape: Any) -> AbstractArray:
        shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        if self.frame.flags.c_contiguous:
            return self._view(self.frame.reshape(shape))
        return self._result(np.broadcast_to(np.zeros((), bool), self.shape).reshape(shape).shape)

    def transpose(self, *axes: int) -> AbstractArray:
        return self._view(self.frame.transpose(*axes))

    def view(self, dtype: Any) -> AbstractArray:
        return self._view(self.frame.view(dtype))

    def __getitem__(self, key: Key) -> AbstractArray:
        key = key if isinstance(key, tuple) else (key,)
        if any(isinstance(k, AbstractArray) for k in key):  # indexing by an array copies
            indices = tuple(np.zeros(k.shape, int) if isinstance(k, AbstractArray) else k for k in key)
            taken = self._like(np.broadcast_to(np.zeros((), bool), self.shape)[indices].shape)
            return self.library.launched(taken, result=taken)  # it reads as many numbers as it writes
        return self._view(self.frame[key if Ellipsis in key else (*key, ...)])  # never a scalar

    def __setitem__(self, key: Key, value: Any) -> None:
        """An assignment allocates no memory, and is one launch."""
        by_array = any(isinstance(k, AbstractArray) for k in (key if isinstance(key, tuple) else (key,)))
        self.library.launched(value, result=value if by_array else self[key])

    def astype(self, dtype: Any) -> AbstractArray:
        return self._result(self.shape, dtype)

    def copy(self) -> AbstractArray:
        return self._result(self.shape)

    def fill(self, value: Any) -> None:
        """As an assignment."""
        self.library.launched(result=self)

    # ------------------------------------------------------------------ arithmetic

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if method != "__call__":
            return NotImplemented
        if out is not None:
            return self.library.launched(*inputs, result=out[0])
        kinds = tuple(a.dtype if hasattr(a, "dtype") else a if isinstance(a, bool) else type(a) for a in inputs)
        shapes = [getattr(a, "shape", ()) for a in inputs]
        shape = _product_shape(*shapes) if ufunc is np.matmul else np.broadcast_shapes(*shapes)
        result = self._like(shape, options.get("dtype") or _result_type(ufunc, kinds))
        return self.library.launched(*inputs, result=result)

    def _reduced(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> AbstractArray:
        axes = range(self.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
        reduced = {a % self.ndim for a in axes}
        shape = [1 if i in reduced else n for i, n in enumerate(self.shape) if keepdims or i not in reduced]
        return self._result(tuple(shape), dtype)

    sum = mean = max = min = _reduced

    def clip(self, low: Any, high: Any = None) -> AbstractArray:
        return self.copy()


def _product_shape(x: tuple[int, ...], y: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of x @ y."""
    rows, columns = x[-2:-1], y[-1:] if len(y) > 1 else ()
    return (*np.broadcast_shapes(x[:-2], y[:-2]), *rows, *columns)


@cache
def _result_type(ufunc: np.ufunc, kinds: tuple[Any, ...]) -> np.dtype:
    """The type of a ufunc's result: NumPy applies it to empty arrays."""
    empty = [np.zeros((1, 0), k) if isinstance(k, np.dtype) else k(1) if isinstance(k, type) else k for k in kinds]
    if ufunc is np.matmul:
        return np.result_type(*kinds)
    dtype: np.dtype = ufunc(*empty).dtype
    return dtype


def _launch(library: ref[AbstractNamespace], grid: tuple[int, ...], block: tuple[int, ...], args: Any) -> None:
    """A kernel that does nothing but be counted. Kernels are kept for a library as long as it lives, and not longer."""
    if (counting := library()) is not None:
        counting.launched(*args)


class AbstractNamespace:
    """The library of abstract arrays on one device. `live` is their bytes now, `peak` the most since `reset_peak`.

    `scratch` is the part of `live` that kernels keep for their next call. On a `gpu`, kernels are launched that do
    nothing, and each array takes a multiple of 512 bytes, as in CuPy's pool.

    `launches` counts what CuPy starts on a GPU for the same calls: kernels, copies and fills. `moved` is the bytes of
    the arrays that they are given and of those that they write, each array whole and once a launch. Not in it are
    arrays that a kernel finds by addresses in a table (SGD's).
    """

    __name__ = "abstract arrays"
    linalg = SimpleNamespace(inv=lambda a: a.copy())

    def __init__(self, gpu: bool = False) -> None:
        self.live = self.peak = self.scratch = self.launches = self.moved = 0
        self.grain = 512 if gpu else 1
        self.is_device = gpu
        self.fast_ops: Mapping[str, Callable[..., Any]] = {}  # what `ops.dispatch` runs on arrays of this library
        if gpu:
            this = ref(self)
            self.RawKernel = lambda *source, **options: partial(_launch, this)

    def __getattr__(self, name: str) -> Any:
        """NumPy's ufuncs, which call `__array_ufunc__` of an abstract array, and its types.

        Raises: AttributeError for any other function of NumPy.
        """
        attribute = getattr(np, name)
        if isinstance(attribute, (np.ufunc, type)) or attribute is None:
            return attribute
        raise AttributeError(
            f"abstract arrays have no {name} yet: give its shape in minilocal/memory/abstract_array.py."
        )

    def rounded(self, nbytes: int) -> int:
        return -(-nbytes // self.grain) * self.grain

    def allocated(self, nbytes: int) -> None:
        """Count bytes that are allocated, or freed where `nbytes` is below 0. `add` is NumPy's."""
        self.live += nbytes
        self.peak = max(self.peak, self.live)

    def memory(self) -> tuple[int, int]:
        """(live, peak) in bytes."""
        return self.live, self.peak

    def reset_peak(self) -> None:
        self.peak = self.live

    def launched(self, *arguments: Any, result: Any = None) -> Any:
        """Count one launch, on arrays among these arguments, that writes `result`. Returns the result."""
        self.launches += 1
        for a in (*arguments, result):
            if isinstance(a, AbstractArray):
                self.moved += a.touched
        return result

    # ------------------------------------------------------------------ functions that allocate

    def empty(self, shape: Any, dtype: Any = float, times: int = 1) -> AbstractArray:
        """A new array; one that every thread has counts `times` the number of threads."""
        shape, kind = (shape,) if isinstance(shape, int) else tuple(shape), np.dtype(dtype)
        strides = [kind.itemsize] * len(shape)
        for i in range(len(shape) - 2, -1, -1):
            strides[i] = strides[i + 1] * max(1, shape[i + 1])
        return AbstractArray(self, as_strided(np.zeros(1, kind), shape, strides), times=times)

    def empty_like(self, a: AbstractArray) -> AbstractArray:
        return self.empty(a.shape, a.dtype)

    def zeros(self, shape: Any, dtype: Any = float) -> AbstractArray:
        return self.launched(result=self.empty(shape, dtype))

    ones = zeros

    def full(self, shape: Any, value: Any, dtype: Any = None) -> AbstractArray:
        return self.zeros(shape, dtype or np.result_type(type(value)))

    def zeros_like(self, a: AbstractArray, value: Any = 0) -> AbstractArray:
        return self.zeros(a.shape, a.dtype)

    ones_like = full_like = zeros_like

    def array(self, a: Any, dtype: Any = None) -> AbstractArray:
        a = a if hasattr(a, "dtype") else np.asarray(a)
        return self.launched(a, result=self.empty(a.shape, dtype or a.dtype))

    def asarray(self, a: Any, dtype: Any = None) -> AbstractArray:
        return a if isinstance(a, AbstractArray) and dtype in (None, a.dtype) else self.array(a, dtype)

    def ascontiguousarray(self, a: AbstractArray, dtype: Any = None) -> AbstractArray:
        return a if a.flags.c_contiguous and dtype in (None, a.dtype) else self.array(a, dtype)

    def arange(self, *limits: int) -> AbstractArray:
        return self.zeros((len(range(*limits)),), int)

    def eye(self, n: int, dtype: Any = float) -> AbstractArray:
        return self.zeros((n, n), dtype)

    def tile(self, a: AbstractArray, times: int) -> AbstractArray:
        return self.launched(a, result=self.empty((*a.shape[:-1], a.shape[-1] * times), a.dtype))

    def pad(self, a: AbstractArray, widths: Any, mode: str = "constant") -> AbstractArray:
        return self.launched(a, result=self.empty([n + sum(w) for n, w in zip(a.shape, widths, strict=True)], a.dtype))

    def repeat(self, a: AbstractArray, times: int, axis: int) -> AbstractArray:
        shape = [n * times if i == axis else n for i, n in enumerate(a.shape)]
        return self.launched(a, result=self.empty(shape, a.dtype))

    def concatenate(self, arrays: list[AbstractArray]) -> AbstractArray:
        shape = sum(len(a) for a in arrays), *arrays[0].shape[1:]
        return self.launched(*arrays, result=self.empty(shape, arrays[0].dtype))

    def where(self, on: AbstractArray, a: AbstractArray, b: AbstractArray) -> AbstractArray:
        shape, dtype = np.broadcast_shapes(on.shape, a.shape, b.shape), np.result_type(a.dtype, b.dtype)
        return self.launched(on, a, b, result=self.empty(shape, dtype))

    def clip(self, a: AbstractArray, low: Any, high: Any) -> AbstractArray:
        return a.copy()

    # ------------------------------------------------------------------ functions that return a view, or write

    def broadcast_to(self, a: AbstractArray, shape: Any) -> AbstractArray:
        return a._view(np.broadcast_to(a.frame, shape))

    def ndarray(self, shape: Any, dtype: Any, buffer: AbstractArray, offset: int, strides: Any) -> AbstractArray:
        return buffer._view(as_strided(np.zeros(1, dtype), shape, strides))

    def copyto(self, a: AbstractArray, b: AbstractArray) -> None:
        """As an assignment."""
        self.launched(b, result=a)
