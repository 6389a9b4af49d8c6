"""The fake device's array, and the one door through which everything that is done to it goes.

A result that lies in an operand's memory is a view of it and costs nothing; any other one has memory of its own.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.fake import ledger, memory
from tests.fake.cuda_on_host import root

SYNCING = "argwhere bincount compress extract flatnonzero histogram isin nonzero unique"
CUBLAS = "dot einsum inner matmul tensordot vdot"
METHODS = """all any argmax argmin argsort astype clip conj cumprod cumsum diagonal dot flatten max mean min
    nonzero prod ravel repeat reshape round squeeze std sum swapaxes take trace transpose var view"""
PLAIN = "shape dtype ndim size nbytes itemsize strides flags"


def call(function: Any, *args: Any, **kwargs: Any) -> Any:
    """The one way to do something: NumPy's `function` on the memory behind the arrays, counted and recorded."""
    operands: list[ndarray] = []
    name = function.__name__
    if name in SYNCING.split() or (name == "where" and len(args) == 1):
        ledger.note("syncs")
    if {"where", "initial"} & kwargs.keys():
        raise TypeError(f"{name}: CuPy takes no where= and no initial=.")
    args, kwargs = _behind(args, operands), _behind(kwargs, operands)
    if name in CUBLAS.split() and ledger.capture() is not None and any(o.dtype.kind == "f" for o in operands):
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
    result = function(*args, **kwargs)
    several = isinstance(result, list | tuple)
    results = [_home(a, operands) for a in (result if several else [result])]
    fresh = [a._array if isinstance(a, ndarray) and is_new else None for a, is_new in results]
    if name.startswith("empty"):
        for a in fresh:
            if a is not None:
                ledger.spoil(a)
    if any(a is not None for a in fresh) or kwargs.get("out") is not None:
        _on_current_card(operands)
        ledger.done(function, args, kwargs, fresh)
    return [a for a, _ in results] if several else results[0][0]


def change(function: Any, target: ndarray, *args: Any) -> None:
    """`function` on the memory of `target`, which it changes."""
    operands: list[ndarray] = []
    args = _behind((target, *args), operands)
    _on_current_card(operands)
    function(*args)
    ledger.done(function, args, {}, [])


def _behind(value: Any, operands: list[ndarray]) -> Any:
    """The value with NumPy's arrays in the place of ours, which are noted. No NumPy array comes in itself."""
    if isinstance(value, ndarray):
        operands.append(value)
        return value._array
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, dict):
        return {key: _behind(v, operands) for key, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_behind(v, operands) for v in value)
    return value


def _on_current_card(operands: list[ndarray]) -> None:
    """Raises: ValueError, as CuPy does between GPUs that do not reach each other's memory."""
    for array in operands:
        if array._owner.card is not memory.current():
            numbers = f"array device = {array._owner.card.number} while current = {memory.current().number}"
            raise ValueError(f"Array device must be same as the current device: {numbers}")


def _home(result: Any, operands: list[ndarray]) -> tuple[Any, bool]:
    """The result as one of our arrays, and whether it has memory of its own. What is no array stays what it is."""
    if not isinstance(result, np.ndarray | np.generic):
        return result, False
    if isinstance(result, np.ndarray):
        for o in operands:
            if root(result) is o._owner.array:
                return (o if result is o._array else ndarray(result, o._owner)), False
    return _own(result), True


def _own(result: Any) -> ndarray:
    own = np.asarray(result, order="C")
    own = own if own.flags.owndata else own.copy()
    return ndarray(own, ledger.Buffer(own))


def upload(value: Any, dtype: Any = None) -> ndarray:
    """A new array of host data."""
    ledger.note("uploads")
    return _own(np.array(value, dtype))


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array on the fake device: a NumPy array `_array`, inside the buffer `_owner`."""

    __slots__ = ("__weakref__", "_array", "_owner")
    __hash__ = None  # type: ignore[assignment]  # as NumPy's
    library: Any = None  # tests/fake/device.py sets it

    def __init__(self, array: np.ndarray, owner: ledger.Buffer) -> None:
        self._array, self._owner = array, owner

    def __array_namespace__(self, *, api_version: Any = None) -> Any:
        return self.library

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        return getattr(Ufunc(ufunc), method)(*inputs, **kwargs, **({} if out is None else {"out": out[0]}))

    def __getattr__(self, name: str) -> Any:
        if name in PLAIN.split():
            return getattr(self._array, name)
        if name in METHODS.split():
            return partial(call, getattr(np.ndarray, name), self)
        raise AttributeError(f"a fake device's array has no {name!r}")

    @property
    def T(self) -> ndarray:
        return call(np.transpose, self)

    @property
    def base(self) -> Any:
        return None if self._array is self._owner.array else self._owner

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self._array.ctypes.data)

    def fill(self, value: Any) -> None:
        change(_assign, self, ..., value)

    @property
    def device(self) -> Any:
        return self.library.cuda.Device(self._owner.card.number)

    def copy(self) -> ndarray:
        """In memory of the current device, wherever this array is."""
        if self._owner.card is memory.current():
            return call(np.ndarray.copy, self)
        ledger.note("launches")
        return _own(self._array.copy())

    # ------------------------------------------------------------------ parts

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> ndarray:
        return call(_item, self, _index(index, "syncs"))

    def __setitem__(self, index: Any, value: Any) -> None:
        several = isinstance(value, ndarray) and value.size > 1
        index = _index(index, *["syncs"] * several)
        if isinstance(value, list | tuple):
            raise TypeError(f"Unsupported type {type(value)}")
        if several and any(isinstance(i, ndarray) and i.dtype.kind != "b" for i in index):
            places = np.arange(self.size).reshape(self.shape)[_behind(index, [])]
            if len(np.unique(places)) < places.size:
                raise IndexError("an assignment names one place twice: which value stays is chance on a GPU")
        change(_assign, self, index, value)

    # ------------------------------------------------------------------ to the host: the host waits

    def get(self, *args: Any, **kwargs: Any) -> np.ndarray:
        ledger.note("syncs", "downloads")
        return self._array.copy()

    def item(self) -> Any:
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __float__(self) -> float:
        return float(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __bool__(self) -> bool:
        return bool(self.get())

    def __repr__(self) -> str:
        return repr(self.get())

    def __str__(self) -> str:
        return str(self.get())


def _index(index: Any, *kinds: str) -> tuple[Any, ...]:
    """The index as a tuple, host arrays and lists in it moved to the device; `kinds` are counted for each mask."""
    index = index if isinstance(index, tuple) else (index,)
    index = tuple(upload(i) if isinstance(i, list | np.ndarray) else i for i in index)
    for i in index:
        if isinstance(i, ndarray) and i.dtype.kind == "b" and kinds:
            ledger.note(*kinds)
    return index


def _item(array: np.ndarray, index: tuple[Any, ...]) -> np.ndarray:
    if any(isinstance(i, np.ndarray) for i in index):
        return np.array(array[index])
    return array[index if any(i is ... for i in index) else (*index, ...)]


def _assign(array: np.ndarray, index: Any, value: Any) -> None:
    array[index] = value


class Ufunc:
    """A function of numbers, with CuPy's few ways to call it."""

    def __init__(self, ufunc: np.ufunc) -> None:
        self._ufunc, self.__name__ = ufunc, ufunc.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if wrong := kwargs.keys() - {"out", "dtype", "casting"}:
            raise TypeError(f"Wrong arguments {wrong}")
        for a in args:
            if isinstance(a, list | tuple | np.ndarray):
                raise TypeError(f"Unsupported type {type(a)}")
        return call(self._ufunc, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "reduce" and self.__name__ in ("add", "multiply"):
            return lambda array, **kwargs: call(self._ufunc.reduce, array, **kwargs)
        raise AttributeError(f"{self.__name__} has no {name!r} on the fake device")
