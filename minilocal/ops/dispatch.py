"""`@op`: the definition of an operation is its plain code; a call runs the fast form for the library of its arrays.

    NumPy                                                  kernels/cpu, or kernels/numba after `use_kernels`
    a library that builds CUDA kernels (`RawKernel`)       kernels/cuda, for float32 and float64
    a library that brings a table of its own               its `fast_ops`, {name: function}
    any other, or where the table has no such name         the plain code

A fast form has the name, the arguments and the result of its operation. A library that is a module, as NumPy and CuPy
are, is asked once for arrays of a type and numbers of a type. Any other is asked at each call: it may change
`RawKernel` and `fast_ops`. A table is imported by name when it is first needed, since `kernels` imports `ops`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from importlib import import_module
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

import numpy as np

from minilocal.array import Array, namespace
from minilocal.ops.kinds import kernels

P = ParamSpec("P")
R = TypeVar("R")
Pick = Callable[..., Sequence[Array]]
Table = Mapping[str, Callable[..., Any]]

_reference: ContextVar[bool] = ContextVar("minilocal.ops.reference", default=False)
_handler: ContextVar[Callable[..., Any] | None] = ContextVar("minilocal.ops.handler", default=None)


def op(plain: Callable[P, R]) -> Callable[P, R]:
    """An operation on its leading arguments, those annotated `Array`; the first one's type decides with its library.

    The operation raises TypeError where arrays of two libraries meet.
    """
    annotations = [p.annotation for p in inspect.signature(plain).parameters.values()]
    arrays = next((i for i, a in enumerate(annotations) if a not in ("Array", Array)), len(annotations))
    return op_on(lambda *args: args[:arrays])(plain)


def op_on(pick: Pick) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The same, for an operation whose arrays `pick` takes out of its arguments. Without any, the plain code runs."""

    def decorate(plain: Callable[P, R]) -> Callable[P, R]:
        # by types of arrays, then by the type of numbers and the kind of kernels on NumPy
        chosen: dict[tuple[type, ...], dict[tuple[np.dtype[Any], str], Callable[P, R]]] = {}

        def choose(arrays: Sequence[Array]) -> Callable[P, R]:
            xp = namespace(*arrays)
            if _reference.get():
                return plain
            kind = kernels()
            form = fast_ops(xp, arrays[0], kind).get(plain.__name__, plain)
            if isinstance(xp, ModuleType):
                chosen.setdefault(tuple(map(type, arrays)), {})[arrays[0].dtype, kind] = form
            return form

        @wraps(plain)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            if (handler := _handler.get()) is not None:
                result: R = handler(plain, run, args, kwargs)
                return result
            arrays = pick(*args)
            forms = chosen.get(tuple(map(type, arrays)))
            form = forms.get((arrays[0].dtype, kernels())) if forms else None
            if form is None or _reference.get():
                if not arrays and kwargs:  # arrays given by name
                    arrays = pick(*inspect.signature(plain).bind(*args, **kwargs).args)
                form = choose(arrays) if arrays else plain
            return form(*args, **kwargs)

        return run

    return decorate


def plain(operation: Callable[P, R]) -> Callable[P, R]:
    """The plain code of an operation, whatever its arrays: what fast forms fall back to and are compared with."""
    body: Callable[P, R] = inspect.unwrap(operation)
    return body


def fast_ops(xp: Any, like: Array, kind: str = "numpy") -> Table:
    """{name: function}: the fast forms for arrays of the library `xp` and of the type of `like`.

    `kind` is that of the kernels on NumPy. It is asked once for a choice: another thread may change it meanwhile.
    """
    if xp is np:
        numba = kind == "numba" and like.dtype.char in "fd" and like.dtype.isnative  # Numba has no other byte order
        return _table("numba" if numba else "cpu")
    if hasattr(xp, "RawKernel"):
        return _table("cuda") if like.dtype.char in "fd" else {}
    table: Table = getattr(xp, "fast_ops", {})
    return table


@cache
def _table(where: str) -> Table:
    """`FORMS` of kernels/cpu, kernels/numba or kernels/cuda."""
    forms: Table = import_module(f"minilocal.kernels.{where}").FORMS
    return forms


@contextmanager
def reference() -> Iterator[None]:
    """Run every operation inside the block in plain code: `with ml.ops.reference(): learner.step(x, y, lr=0.1)`.

    It holds for the calling thread, and for workers of the thread pool that it starts (a context variable: they run in
    a copy of its context). Other threads go on with fast forms.
    """
    token = _reference.set(True)
    try:
        yield
    finally:
        _reference.reset(token)


@contextmanager
def intercept(call: Callable[..., Any]) -> Iterator[None]:
    """Run `call(plain, form, *args, **kwargs)` in the place of every operation inside the block, and return its result.

    `plain` is the operation's definition, whose name says which it is. `form(*args, **kwargs)` does what the operation
    would have done; what runs inside it is not intercepted again, but by an enclosing block. It holds where `reference`
    does.
    """
    enclosing = _handler.get()

    def handle(plain: Callable[..., Any], run: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        def form(*args: Any, **kwargs: Any) -> Any:
            token = _handler.set(enclosing)
            try:
                return run(*args, **kwargs)
            finally:
                _handler.reset(token)

        return call(plain, form, *args, **kwargs)

    token = _handler.set(handle)
    try:
        yield
    finally:
        _handler.reset(token)


@contextmanager
def not_intercepted() -> Iterator[None]:
    """No interception sees an operation inside the block."""
    token = _handler.set(None)
    try:
        yield
    finally:
        _handler.reset(token)
