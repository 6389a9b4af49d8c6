"""Processes that are made of one that has worked: their bits are those of the parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import minilocal as ml
from minilocal.kernels import threads
from tests.faults.concurrency.learners import batch, learner, step, trained
from tests.helpers.host import host


def by_start_method(method: str, number: int) -> str:
    """A child of each start method, after a step of its parent with so many threads."""
    ml.use_threads(number)
    expected, kind = trained(), ml.ops.kinds.kernels()
    context: Any = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["tests.faults.concurrency.forked"])
    with context.Pool(1) as pool:
        child = pool.apply(in_a_child, (number, kind))
    return "" if child == expected == trained() else "other bits"


def in_a_child(number: int, kind: str) -> str:
    """Train with these settings; a forked child has them already."""
    if ml.ops.kinds.kernels() != kind or threads.threads() != number:
        ml.use_threads(number)
        ml.use_kernels(kind)
    return trained()


def beside_a_step(number: int) -> str:
    """Forks at 20 instants of another thread's steps."""
    ml.use_threads(number)
    expected, end = trained(), threading.Event()
    other = threading.Thread(target=keep_stepping, args=(end,))
    other.start()
    try:
        ended = []
        for instant in range(20):
            time.sleep(0.0007 * instant)
            ended.append(in_a_fork(lambda: trained() == expected))
    finally:
        end.set()
        other.join()
    return "" if set(ended) == {0} else f"children ended with {ended}"


def keep_stepping(end: threading.Event) -> None:
    one = learner(1)
    number = 0
    while not end.is_set():
        step(one, 1, number)
        number += 1


def beside_a_holder(number: int) -> str:
    """Forks while another thread holds BLAS, and while one holds the pool's lock for a moment."""
    ml.use_threads(number)
    expected, inside, end = trained(), threading.Event(), threading.Event()

    def hold() -> None:
        with threads.one_blas_thread():
            inside.set()
            end.wait()

    def take_the_lock() -> None:
        while not end.is_set():
            with threads._lock:
                time.sleep(1e-3)
            time.sleep(1e-4)

    others = [threading.Thread(target=hold), threading.Thread(target=take_the_lock)]
    for other in others:
        other.start()
    inside.wait()
    ended = [in_a_fork(lambda: trained() == expected) for _ in range(5)]
    end.set()
    for other in others:
        other.join()
    return "" if set(ended) == {0} else f"children ended with {ended}"


def beside_a_compilation() -> str:
    """Forks while another thread compiles for Numba, and while one holds Numba's or LLVM's lock; the child compiles."""
    from minilocal.kernels.numba.compiled import compiled
    from minilocal.kernels.numba.forks import LOCKS

    inside, end = threading.Event(), threading.Event()

    def compile_and_hold() -> None:
        @compiled
        def many(a: Any) -> Any:
            for i in range(4):
                a = a * a + i
            return a

        inside.set()
        for a in (1, 1.0, 1j):
            many(a)
        while not end.is_set():
            for lock in LOCKS:
                with lock:
                    time.sleep(0.02)

    def compiles() -> bool:
        @compiled
        def one_more(a: float) -> float:
            return a + 1

        return bool(one_more(1.0) == 2.0)

    other = threading.Thread(target=compile_and_hold)
    other.start()
    inside.wait()
    ended = []
    for instant in range(6):
        time.sleep(0.05 * instant)
        ended.append(in_a_fork(compiles))
    end.set()
    other.join()
    return "" if set(ended) == {0} else f"children ended with {ended}"


def pool_of_predicts(method: str, number: int) -> str:
    """A Learner's predictions by a multiprocessing.Pool of two, which gets it as a pickle."""
    ml.use_threads(number)
    one = learner()
    step(one, 0, 0)
    expected = [host(one.predict(batch(seed)[0])).tobytes() for seed in range(6)]
    context: Any = multiprocessing.get_context(method)
    with context.Pool(2, ml.use_kernels, [ml.ops.kinds.kernels()]) as pool:
        collected = pool.starmap(predicted, [(one, seed) for seed in range(6)])
    return "" if collected == expected else "other logits"


def predicted(one: ml.Learner, seed: int) -> bytes:
    return host(one.predict(batch(seed)[0])).tobytes()


def in_a_fork(holds: Callable[[], bool]) -> int:
    """The exit status of a forked child that asks this: 0 where it holds. It is killed after 30 s."""
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            os._exit(0 if holds() else 1)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
