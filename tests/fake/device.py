"""A device without a device: an array library over NumPy that has CuPy's semantics where they bite.

    from tests.fake.device import counting, fake
    learner = ml.Learner(net, rule, 4, rng=ml.rng(0), device=fake)
    with counting() as counts:
        learner.step(x, y, lr=0.1)              # x, y = fake.asarray(...)
    counts.syncs, counts.uploads, counts.peak

No array becomes a NumPy array by itself, and no NumPy array is an operand; reductions and items are arrays of no
dimension; whatever would wait for a GPU, or copy to it, is counted (tests/fake/ledger.py); functions that CuPy 14
lacks are lacking; results are C-contiguous; a fancy assignment to one place twice, undefined in CuPy, raises.
A captured stream (tests/fake/cuda.py) records what is done, and its graph does it again in the same memory. Memory
comes from pools as CuPy's, on a card of so many bytes (tests/fake/memory.py). `two_cards()` makes it two: a thread
starts on the first one, and an array is worked on where it lies or not at all.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from minilocal.array import Array
from tests.fake import cuda, cuda_on_host, ledger, memory
from tests.fake.array import Ufunc, call, ndarray, upload
from tests.fake.ledger import counting

__all__ = ["counting", "fake", "fetch", "ndarray"]

# dir(numpy) without dir(cupy): NumPy 2.4, CuPy 14.2
LACKING = """asmatrix block bmat busday_count busday_offset busdaycalendar bytes_ character clongdouble complex256
    datetime64 datetime_as_string datetime_data einsum_path errstate flexible float128 frompyfunc fromregex
    geomspace get_include getbufsize geterr geterrcall histogram_bin_edges info insert is_busday isnat longdouble
    matrix matvec memmap nanpercentile nanquantile ndenumerate nditer nested_iters object_ polyder polydiv polyint
    recarray record setbufsize seterr seterrcall show_runtime spacing str_ test timedelta64 unstack vecdot vecmat
    void"""


class RawKernel:
    """`cupy.RawKernel`, built and run on the host (tests/fake/cuda_on_host.py)."""

    def __init__(self, source: str, name: str, options: tuple[str, ...] = ()) -> None:
        self.name, self._host = name, cuda_on_host.RawKernel(source, name, options)

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:
        if any(isinstance(a, ndarray) and a._owner.card is not memory.current() for a in args):
            raise memory.CUDARuntimeError(700, f"cudaErrorIllegalAddress: {self.name} met an array of another device")
        for a in args:
            if isinstance(a, ndarray) and not a.flags.c_contiguous:
                raise ValueError(f"{self.name} reads arrays as they lie: {a.shape} is not C-contiguous.")
        args = tuple(a._array if isinstance(a, ndarray) else self._by_value(a) for a in args)
        reachable = ledger.reachable() if any(isinstance(a, np.ndarray) and a.dtype.names for a in args) else None
        self._host(grid, block, args, reachable)
        ledger.done(self._host, (grid, block, args, reachable), {}, [])

    def compile(self) -> None:
        """Build it now."""
        self._host.compile()

    def _by_value(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if value.size != 1:
                raise TypeError(
                    f"{self.name}: a NumPy array of shape {value.shape} met a kernel: move it to the device."
                )
            return value.copy() if value.dtype.names else value.reshape(-1)[0]
        return value


class Library:
    """The library itself, as `cupy` is one. Its arrays are Any to mypy, as CuPy's are."""

    ndarray, cuda = ndarray, cuda
    newaxis, pi, e, inf, nan = None, np.pi, np.e, np.inf, np.nan
    __name__ = "fake"
    __version__ = "14.0"
    kernels = cuda_on_host.available() is None  # without them there is no RawKernel, and plain forms run

    def __getattr__(self, name: str) -> Any:
        if name == "RawKernel" and self.kernels:
            return RawKernel
        function = None if name in LACKING.split() or name.startswith("_") else getattr(np, name, None)
        if isinstance(function, np.ufunc):
            return Ufunc(function)
        if not callable(function):
            raise AttributeError(f"module 'fake' has no attribute {name!r}")
        return function if isinstance(function, type) else partial(call, function)

    def array(self, value: Any, dtype: Any = None, copy: bool = True, order: str = "C") -> Any:
        """A new array; of host data, which are copied to the device."""
        if isinstance(value, ndarray):
            value = value if value._owner.card is memory.current() else value.copy()
            return call(np.array, value, dtype=dtype, copy=copy or None)
        return upload(value, dtype)

    def asarray(self, value: Any, dtype: Any = None) -> Any:
        """The array itself where it is one of that type already."""
        return self.array(value, dtype, copy=False)

    asanyarray = asarray

    def ascontiguousarray(self, value: Any, dtype: Any = None) -> Any:
        array = self.asarray(value, dtype)
        return array if array.flags.c_contiguous else array.copy()

    def asnumpy(self, array: Any) -> np.ndarray:
        return array.get()

    def get_default_memory_pool(self) -> cuda.MemoryPool:
        return memory.default_pool


fake = ndarray.library = Library()


def fetch(array: Array | None) -> np.ndarray:
    """`array`, which is the device's, on the host."""
    assert isinstance(array, ndarray)
    return array.get()
