"""The pool of threads: a fixed partition, an order of sums, and a BLAS that gets its own setting back."""

import gc
import os
import re
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from minilocal.errors import UserError
from minilocal.kernels import pool, threads
from minilocal.kernels import workspace as memory
from minilocal.kernels.threads import one_blas_thread, parallel_map, partition, use_threads
from minilocal.kernels.workspace import scratch, workspace


@pytest.fixture(autouse=True)
def _as_many_threads_as_before():
    before = threads.threads()
    yield
    use_threads(before)


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 100, 1000])
def test_the_partition_covers_everything_once_and_knows_only_n(n):
    parts = partition(n)
    assert [i for first, last in parts for i in range(first, last)] == list(range(n))
    assert max(last - first for first, last in parts) - min(last - first for first, last in parts) <= 1
    use_threads(3)
    assert partition(n) == parts


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_results_come_in_the_order_of_the_parts(number):
    use_threads(number)
    assert threads.threads() == number
    assert parallel_map(lambda i, j: (i, j), partition(100)) == partition(100)


def test_the_first_error_is_raised_after_all_have_stopped():
    use_threads(4)
    begun, raised, ended = threading.Event(), threading.Event(), []

    def work(first: int, last: int) -> None:
        if first == 0:
            assert begun.wait(60)  # another part is computed meanwhile
            raised.set()
            raise KeyError("part 0")
        begun.set()
        assert raised.wait(60)
        time.sleep(0.1)
        ended.append(first)

    with pytest.raises(KeyError, match="part 0"):
        parallel_map(work, partition(16))
    stopped = list(ended)
    time.sleep(0.3)
    assert stopped and stopped == ended, "a thread worked on"
    assert parallel_map(lambda i, j: i, partition(4)) == [0, 1, 2, 3], "the pool works on after an error"


INTERRUPTED = """
import signal, threading, time
from minilocal.kernels.threads import parallel_map, use_threads

use_threads(2)
ended, main = threading.Event(), threading.current_thread()

def work(i, j):
    if threading.current_thread() is main:
        while not begun.wait(0.01):
            pass
        signal.setitimer(signal.ITIMER_REAL, 0.1)  # comes while the caller waits for the other thread
        return
    begun.set()
    came.wait()
    time.sleep(0.5)
    ended.set()

def interrupt(*_):
    came.set()
    raise KeyboardInterrupt

begun, came = threading.Event(), threading.Event()
signal.signal(signal.SIGALRM, interrupt)
try:
    parallel_map(work, [(0, 1), (1, 2)])
except KeyboardInterrupt:
    assert ended.is_set(), "it still works"
    print("interrupted")
assert parallel_map(lambda i, j: i, [(0, 1), (1, 2)]) == [0, 1]
"""


def test_after_an_interrupt_no_thread_works_on():
    """It would write into weights that have been restored meanwhile."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


POOL = """
from minilocal.kernels.threads import parallel_map, partition, use_threads

use_threads(2)
parts = partition(16)

def work():
    parallel_map(lambda i, j: i, parts)

def check():
    assert parallel_map(lambda i, j: i, parts) == list(range(16))
"""
BLAS = """
from threadpoolctl import threadpool_limits
from minilocal.kernels import threads

def work():
    with threads.one_blas_thread():
        pass

def number():
    return {library["num_threads"] for library in threads._blas.info()}

def check():
    with threads.one_blas_thread():
        assert number() == {1}
    assert number() == {2}

work()
threadpool_limits(limits=2, user_api="blas")
"""
OFTEN = """
import signal, sys

signal.signal(signal.SIGALRM, signal.default_int_handler)
met = 0
for i in range(int(sys.argv[1])):
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + i % 300))
        while True:
            work()
    except KeyboardInterrupt:
        met += 1
    check()
print(met)
"""


@pytest.mark.parametrize("program", [POOL, BLAS], ids=["the pool is at work", "BLAS has its setting back"])
def test_after_an_interrupt_at_any_instant(program):
    """A condition's lock of `concurrent.futures` would be held for ever after some of them, and the pool hang."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", program + OFTEN, "3000"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("3000\n", "")


@pytest.mark.parametrize("number", [1, 3])
def test_a_thread_that_begins_after_the_end_does_nothing(number):
    begun = list[int]()
    call = pool.Call(lambda: begun.append(1))
    call.join()
    call.close()
    for _ in range(number):
        call.join()
    assert begun == [1] and not call.is_open and call.work is None, "nor does it hold arrays"


def test_an_error_of_a_thread_leaves_no_frames_alive():
    use_threads(2)

    class Big:
        pass

    def work(first: int, last: int) -> None:
        mine = Big()
        alive.append(weakref.ref(mine))
        raise KeyError(first)

    alive: list[Any] = []
    gc.disable()
    try:
        for _ in range(20):
            with pytest.raises(KeyError):
                parallel_map(work, partition(8))
        time.sleep(0.1)
        assert sum(ref() is not None for ref in alive) <= 2  # of the last error, which pytest still has
    finally:
        gc.enable()


def test_work_inside_work_does_not_wait_for_itself():
    use_threads(2)
    assert parallel_map(lambda i, j: sum(parallel_map(lambda a, b: b - a, partition(8))), partition(4)) == [8] * 4


@pytest.mark.parametrize("number", [-1, "2", "", 1.5, 2.0, True, [2]])
def test_anything_but_a_whole_number_of_threads_is_refused(number):
    before = threads.threads()
    with pytest.raises(UserError, match=rf"^threads = {re.escape(repr(number))}: give a whole number"):
        use_threads(number)
    assert threads.threads() == before


def test_every_core_and_any_whole_number_are_taken():
    numbers: list[tuple[Any, int]] = [(np.int64(3), 3), (None, min(threads.available(), 16)), (100, 16)]
    for number, taken in numbers:
        use_threads(number)
        assert threads.threads() == taken


def test_the_number_may_change_while_another_thread_works(monkeypatch):
    class Slow(pool.Pool):
        def share(self, call: pool.Call) -> None:
            time.sleep(1e-3)  # the other thread comes in between, if it can
            super().share(call)

    use_threads(2)
    monkeypatch.setattr(threads, "Pool", Slow)
    results: list[Any] = []
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.is_set():
                results.append(parallel_map(lambda i, j: i, partition(4)))
        except RuntimeError as error:
            results.append(error)

    other = threading.Thread(target=work)
    other.start()
    for number in [3, 2] * 15:
        use_threads(number)
        time.sleep(1e-3)
    stop.set()
    other.join()
    assert results == [[0, 1, 2, 3]] * len(results) != []


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_blas_is_held_to_one_thread_and_gets_its_setting_back(monkeypatch):
    monkeypatch.setattr(threads, "_blas", None)  # another test may have loaded a BLAS since: SciPy's
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        with one_blas_thread():
            assert set(blas_threads()) == {1}
            with one_blas_thread():
                assert set(blas_threads()) == {1}
            assert set(blas_threads()) == {1}, "an inner block lets nothing go"
        assert blas_threads() == before
        with pytest.raises(KeyError), one_blas_thread():
            raise KeyError
        assert blas_threads() == before


def test_scratch_belongs_to_a_thread_and_a_shape():
    mine = scratch("test", (4,), "float32")
    assert scratch("test", (4,), "float32") is mine
    assert scratch("test", (4,), "float64") is not mine and scratch("test", (5,), "float32") is not mine
    theirs: list[np.ndarray] = []
    other = threading.Thread(target=lambda: theirs.append(scratch("test", (4,), "float32")))
    other.start()
    other.join()
    assert theirs[0] is not mine


def test_what_a_thread_holds_is_bounded_and_in_use_it_stays(monkeypatch):
    monkeypatch.setattr(memory, "SCRATCH_LIMIT", 1000)
    buffers = memory._own.__dict__.setdefault("buffers", {})
    buffers.clear()
    first = workspace("first", (300,), "float32")
    first[:] = 7
    for size in (50, 100, 150):
        workspace("other", (size,), "float32")
    assert sum(buffer.nbytes for buffer in buffers.values()) <= 1000 + 600, "1000, and the one that is asked for"
    assert (first == 7).all() and workspace("other", (20,), "float32").size == 20


FORKS = """
import multiprocessing, os, signal, threading
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits
import minilocal as ml
from minilocal.kernels import threads

x = ml.rng(0).standard_normal((16, 8, 8, 3)).astype("float32")
y = np.arange(16) % 4

def step():
    learner = ml.Learner(ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0)), ml.rules.gll(), 3, rng=ml.rng(1))
    return learner.step(x, y, lr=0.1)

def blas():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

def in_a_child(holds):
    child = os.fork()
    if child == 0:
        signal.alarm(int(os.environ.get("PATIENCE", 60)))  # without a pool of its own it would wait for ever
        os._exit(0 if holds() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

threadpool_limits(limits=3, user_api="blas")
ml.use_threads(3)
losses = step()
def same():
    found = [step()]
    other = threading.Thread(target=lambda: found.append(step()))
    other.start()
    other.join()
    return all(np.array_equal(each, losses) for each in found)

assert in_a_child(same) == 0
assert in_a_child(lambda: in_a_child(same) == 0) == 0, "a child's child"

fork = multiprocessing.get_context("fork")
them = fork.Pool(2)
assert all(np.array_equal(found.get(60), losses) for found in [them.apply_async(step) for _ in range(4)])
them.terminate()

with threads.one_blas_thread():  # who forks inside a block is in it in the child too
    assert in_a_child(lambda: blas() <= {1} and same() and blas() <= {1}) == 0
assert blas() <= {3}

inside, end = threading.Event(), threading.Event()
def hold():
    with threads.one_blas_thread():
        inside.set()
        end.wait()
other = threading.Thread(target=hold, daemon=True)  # it is not in the child
other.start()
inside.wait()
assert in_a_child(lambda: blas() <= {3} and threads._own_numbers is None and same() and blas() <= {3}) == 0
end.set()
other.join()
assert np.array_equal(step(), losses) and blas() <= {3}
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_step_in_a_forked_process():
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", FORKS], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


AT_THE_END = """
import threading, time
import numpy as np
import minilocal as ml

ml.use_threads(4)
learner = ml.Learner(ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0)), ml.rules.gll(), 3, rng=ml.rng(1))
x, y = np.ones((64, 8, 8, 3), "float32"), np.arange(64) % 4
begun = threading.Event()

def steps():
    while True:
        learner.step(x, y, lr=0.1)
        begun.set()

threading.Thread(target=steps, daemon=True).start()
begun.wait()
threading._register_atexit(time.sleep, 0.3)  # called after the pools have been closed
"""


def test_a_daemon_thread_may_step_while_the_interpreter_ends():
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", AT_THE_END], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
