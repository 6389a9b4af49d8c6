"""One pool of threads for the whole process, and the two promises that come with it.

The batch is cut into a *fixed partition* that depends on its size alone. Threads only decide who computes a part;
sums over parts are added in index order. So every result is the same to the last bit for any number of threads.

BLAS is held to one thread while the engine works, since two kinds of threads on the same cores cost each other more
than they bring, and the user's own setting is restored afterwards.

A forked process has none of the threads that it was forked beside. It starts a pool of its own when it first needs one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from operator import index
from typing import Any, TypeVar

from minilocal.errors import UserError
from minilocal.kernels.malloc import retain_freed_memory

T = TypeVar("T")

PARTS = 16  # parts of a batch: enough for 16 threads, few enough that each is worth a call

_own = threading.local()  # per thread: how many of its blocks hold BLAS, and whether it works for the pool
_pool: ThreadPoolExecutor | None = None
_threads = 0
_lock = threading.RLock()
_blas: Any = None
_holders = 0
_limit: Any = None


def available() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """The number of threads in use: all cores unless `use_threads` said otherwise."""
    return _threads or min(available(), PARTS)


def use_threads(number: int | None) -> None:
    """Sets the number of threads; None or 0 for all cores. Results do not depend on it.

    Raises: UserError for anything but a whole number of 0 or more.
    """
    global _threads, _pool
    try:
        wanted = -1 if isinstance(number, bool) else 0 if number is None else index(number)
    except TypeError:
        wanted = -1
    if wanted < 0:
        raise UserError(f"threads = {number!r}: give a whole number, 1 or more, or 0 for every core.")
    with _lock:
        _threads, before, _pool = min(wanted, PARTS), _pool, None
    if before is not None:
        before.shutdown(wait=True)


def partition(n: int, most: int = PARTS) -> list[tuple[int, int]]:
    """`n` things in at most `most` runs of nearly equal length: [(first, last), ...]. A function of n alone."""
    parts = max(1, min(n, most))
    return [(i * n // parts, (i + 1) * n // parts) for i in range(parts)]


def parallel_map(work: Callable[[int, int], T], parts: list[tuple[int, int]]) -> list[T]:
    """`work(first, last)` for every part, on all threads; the results in the order of the parts.

    The caller works too, and every thread draws the next part as soon as it is free. The first error is raised
    after all threads have stopped.
    """
    workers = min(threads(), len(parts))
    if workers == 1 or getattr(_own, "busy", False):
        return [work(*part) for part in parts]
    results: list[Any] = [None] * len(parts)
    todo = iter(range(len(parts)))  # next() on it is atomic

    def draw() -> None:
        _own.busy = True
        try:
            for i in todo:
                results[i] = work(*parts[i])
        finally:
            _own.busy = False

    with _lock:  # no other thread shuts the pool down between two of them
        # Each worker sees the caller's context: what NumPy's errstate says to overflows holds there too.
        others = [_executor().submit(copy_context().run, draw) for _ in range(workers - 1)]
    try:
        draw()
    finally:
        for other in others:
            other.exception()  # waits: nobody may still be writing when the caller goes on
    for other in others:
        other.result()
    return results


def ordered_sum(parts: list[Any]) -> Any:
    """The sum of partial sums, first to last. The first one is overwritten."""
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total


def _executor() -> ThreadPoolExecutor:
    """The pool, made by the first who needs it; asked for by who holds the lock."""
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max(1, threads() - 1), thread_name_prefix="minilocal")
    return _pool


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Holds BLAS to one thread inside the block; afterwards the user's own setting is back. May be nested."""
    global _holders, _limit
    retain_freed_memory()
    with _lock:
        _holders += 1
        _own.holds = getattr(_own, "holds", 0) + 1
        if _holders == 1:
            _limit = _limiter()
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            _own.holds -= 1
            _let_go()


def _let_go() -> None:
    """The user's own setting of BLAS again, unless a block still holds it."""
    global _limit
    if _holders == 0 and _limit is not None:
        _limit.restore_original_limits()
        _limit = None


def _limiter() -> Any:
    global _blas
    if _blas is None:
        try:
            from threadpoolctl import ThreadpoolController
        except ImportError:  # a GPU machine may lack it: BLAS then keeps its own threads
            return None
        _blas = ThreadpoolController().select(user_api="blas")
    return _blas.limit(limits=1)


def _forked() -> None:
    """In the child, which has the thread that forked and no other: neither the pool's, nor any that held BLAS."""
    global _lock, _pool, _holders
    _lock, _pool, _holders = threading.RLock(), None, getattr(_own, "holds", 0)
    _own.busy = False
    _let_go()


if hasattr(os, "register_at_fork"):  # all is settled while a process forks: the lock is held
    os.register_at_fork(before=lambda: _lock.acquire(), after_in_parent=lambda: _lock.release(), after_in_child=_forked)
