"""The thread pool of the process, and BLAS held to one thread.

The batch is cut into a *fixed partition* that depends on its size alone. Threads only decide who computes a part, and
sums over parts are added in index order. So every result is the same to the last bit for any number of threads.

BLAS runs on one thread while the engine works: its threads and ours on the same cores cost more than they bring. The
user's own setting is restored afterwards.

A forked process has none of its parent's other threads. It starts a pool of its own when it first needs one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import index
from typing import Any, TypeVar

from minilocal.errors import UserError
from minilocal.kernels.malloc import retain_freed_memory
from minilocal.kernels.pool import Call, Pool, is_inside, own

T = TypeVar("T")

PARTS = 16  # parts of a batch: enough for 16 threads, few enough that each is worth a call

_pool: Pool | None = None
_threads = 0
_lock = threading.RLock()
_blas: Any = None
_holders: set[tuple[int, object]] = set()  # of each block that holds BLAS to one thread: (its thread, itself)
_own_numbers: list[tuple[Any, int]] | None = None  # while BLAS is held: each library of it, with the user's own number


def available() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """The number of threads in use: all cores, or what `use_threads` set."""
    return _threads or min(available(), PARTS)


def use_threads(number: int | None) -> None:
    """Set the number of threads; None or 0 is all cores. Results do not depend on it.

    It holds for the process, and at any time. A forked process has its parent's number, a spawned one begins anew.

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
        before.stop()


@contextmanager
def using_threads(number: int | None) -> Iterator[None]:
    """Have this number of threads within the block. Raises: UserError, as `use_threads`."""
    before = _threads
    use_threads(number)
    try:
        yield
    finally:
        use_threads(before)


def partition(n: int, most: int = PARTS) -> list[tuple[int, int]]:
    """[(first, last), ...]: 0 to n in at most `most` runs of nearly equal length, a function of n and `most` alone."""
    parts = max(1, min(n, most))
    return [(i * n // parts, (i + 1) * n // parts) for i in range(parts)]


def parallel_map(work: Callable[[int, int], T], parts: list[tuple[int, int]]) -> list[T]:
    """[work(first, last) for every part], computed on all threads, the caller's among them.

    A free thread takes the next part. The first error is raised after all threads have stopped.
    """
    workers = min(threads(), len(parts))
    if workers == 1 or is_inside():
        return [work(*part) for part in parts]
    results: list[Any] = [None] * len(parts)
    todo = iter(range(len(parts)))  # next() on it is atomic

    def draw() -> None:
        for i in todo:
            results[i] = work(*parts[i])

    own.call = call = Call(draw)
    try:
        # At the interpreter's end a daemon thread gets no more workers, and works alone.
        with _lock, suppress(RuntimeError):  # the lock: no other thread stops the pool between two of them
            for _ in range(workers - 1):
                _threads_of_pool().share(call)
        draw()
    finally:
        call.close()
        own.call = None
    call.raise_first()
    return results


def ordered_sum(parts: list[Any]) -> Any:
    """The sum of partial sums in index order. The first one is overwritten."""
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total


def _threads_of_pool() -> Pool:
    """The pool, created at first use. The caller holds the lock."""
    global _pool
    if _pool is None:
        _pool = Pool(max(1, threads() - 1))
    return _pool


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread inside the block, and restore the user's own setting after it. May be nested.

    A signal's handler may raise at any instant: what it leaves undone, the end of the next block does.
    """
    global _own_numbers
    retain_freed_memory()
    block = threading.get_ident(), object()
    try:
        with _lock:
            _holders.add(block)
            if _own_numbers is None:
                _own_numbers = [(library, library.get_num_threads()) for library in _libraries()]
            if len(_holders) == 1:
                for library, _ in _own_numbers:
                    library.set_num_threads(1)
        yield
    finally:
        _holders.discard(block)
        with _lock:
            _let_go()


def _let_go() -> None:
    """Restore the user's own setting of BLAS, unless a block still holds it."""
    global _own_numbers
    if not _holders and _own_numbers is not None:
        for library, number in _own_numbers:
            library.set_num_threads(number)
        _own_numbers = None


def _libraries() -> list[Any]:
    """The BLAS libraries of the process, looked up once; none without threadpoolctl, which a GPU machine may lack."""
    global _blas
    if _blas is None:
        try:
            from threadpoolctl import ThreadpoolController
        except ImportError:
            return []
        _blas = ThreadpoolController().select(user_api="blas")
    return list(_blas.lib_controllers)


def _forked() -> None:
    """Reset the child's state: of the parent's threads it has only the one that forked."""
    global _lock, _pool, _holders
    _lock, _pool = threading.RLock(), None
    _holders = {block for block in _holders if block[0] == threading.get_ident()}
    own.call, own.serves = None, False
    _let_go()


if hasattr(os, "register_at_fork"):  # the lock is held during a fork, so no other thread is halfway through a change
    os.register_at_fork(before=lambda: _lock.acquire(), after_in_parent=lambda: _lock.release(), after_in_child=_forked)
