"""`@compiled`: a function that Numba compiles at its first call, and keeps on disk for later processes (`cache.py`).

Python's lock is not held, so the threads of `kernels/threads.py` run side by side.

Sums keep the order in which they are written, and NaN is a number like others: no `fastmath`. A multiplication and the
addition behind it are one instruction only where `register_tile.py` writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

from minilocal.errors import UserError
from minilocal.kernels.numba.cache import FOLDER, TROUBLE, cached, say
from minilocal.kernels.numba.forks import wait_for_compilations

F = TypeVar("F", bound=Callable[..., Any])

if numba.config.DISABLE_JIT:
    raise UserError(
        "kernels = 'numba' met NUMBA_DISABLE_JIT, with which Numba compiles nothing: unset it, or take numpy."
    )


def compiled(function: F) -> F:
    """`function` as machine code. It may call other compiled functions, which become a part of it."""
    dispatcher = numba.njit(nogil=True, error_model="numpy")(function)
    return dispatcher if TROUBLE else cached(dispatcher)


def say_first_use() -> None:
    """A line on stderr where nothing has been compiled yet, or where nothing can be kept."""
    if TROUBLE:
        say(f"Numba kernels are compiled anew in each process, each at its first use: {FOLDER}: {TROUBLE}")
    elif not any(FOLDER.glob("*/*.nbi")):
        say(f"compiling Numba kernels, once on this machine, each at its first use; they are kept in {FOLDER}")


wait_for_compilations()
