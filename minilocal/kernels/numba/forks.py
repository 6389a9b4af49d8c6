"""A process forks between two compilations. A child of one that compiles would wait for its thread for ever."""

from __future__ import annotations

import os
from typing import Any

from llvmlite.binding import ffi
from numba.core.compiler_lock import global_compiler_lock

# in the order in which a compilation takes them; LLVM's has no public name
LOCKS: list[Any] = [lock for lock in (global_compiler_lock, getattr(ffi.lib, "_lock", None)) if lock is not None]


def hold() -> None:
    """Wait until no other thread compiles, and let none begin."""
    for lock in LOCKS:
        lock.__enter__()


def let_go() -> None:
    for lock in reversed(LOCKS):
        lock.__exit__(None, None, None)


def wait_for_compilations() -> None:
    """Have every fork of this process from here on wait for them."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=hold, after_in_parent=let_go, after_in_child=let_go)
