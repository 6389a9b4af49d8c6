"""Scratch memory of each thread: buffers that a kernel fills and the next call uses again.

A buffer belongs to the thread that asks for it. No view of it may leave the kernel: the next call overwrites it.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from math import prod
from typing import Any

import numpy as np

from minilocal.kernels.aligned import byte_count, within

SCRATCH_LIMIT = 32 << 20  # bytes that a thread may hold; the next new buffer then replaces all others

_own = threading.local()  # per thread: its buffers


def scratch(name: Hashable, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """The buffer of this name, shape and type: zeros when it is new, afterwards what the last call left in it."""
    buffers = _own.__dict__.setdefault("buffers", {})
    key = (name, shape, np.dtype(dtype).str)
    buffer = buffers.get(key)
    if buffer is None:
        _bound(buffers)
        buffer = buffers[key] = within(np.zeros(byte_count(shape, dtype), np.uint8), shape, dtype)
    return buffer


def workspace(name: Hashable, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """The buffer of this name and type in any shape, as large as the largest asked for: its contents are undefined."""
    buffers = _own.__dict__.setdefault("buffers", {})
    size, key = prod(shape), (name, np.dtype(dtype).str)
    buffer = buffers.get(key)
    if buffer is None or buffer.size < size:
        del buffer
        buffers.pop(key, None)  # freed before the larger one is allocated
        _bound(buffers)
        buffer = buffers[key] = within(np.empty(byte_count((size,), dtype), np.uint8), (size,), dtype)
    return buffer[:size].reshape(shape)


def _bound(buffers: dict[Any, np.ndarray]) -> None:
    """Drop all buffers of a thread that holds too much. One that a kernel works in lives until that kernel returns."""
    if sum(buffer.nbytes for buffer in buffers.values()) > SCRATCH_LIMIT:
        buffers.clear()
