"""`@compiled`: a function that Numba compiles at its first call, and keeps on disk for later processes.

The folder is named by the sources here: what changes in one of them is compiled anew. (Numba looks at the file of the
function alone, and its code may come from others.) Python's lock is not held, so the threads of `kernels/threads.py`
run side by side.

Sums keep the order in which they are written, and NaN is a number like others: no `fastmath`. A multiplication and the
addition behind it are one instruction only where `register_tile.py` writes it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config

F = TypeVar("F", bound=Callable[..., Any])


def folder() -> Path:
    """Where compiled code lies: below NUMBA_CACHE_DIR, or else in the user's cache."""
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minilocal"
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    return Path(config.CACHE_DIR or own) / f"numba-{sha256(sources).hexdigest()[:12]}"


FOLDER = folder()


def compiled(function: F) -> F:
    """`function` as machine code. It may call other compiled functions, which become a part of it."""
    before, config.CACHE_DIR = config.CACHE_DIR, str(FOLDER)
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:  # no folder can be written
        return numba.njit(nogil=True, error_model="numpy")(function)
    finally:
        config.CACHE_DIR = before


def say_first_use() -> None:
    """A line on stderr where nothing has been compiled yet."""
    if not any(FOLDER.glob("*/*.nbi")):
        line = f"compiling Numba kernels, once on this machine, each at its first use; they are kept in {FOLDER}"
        print(f"minilocal: {line}", file=sys.stderr, flush=True)
