"""The pool of threads: a fixed partition, an order of sums, and a BLAS that gets its own setting back."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from minilocal.errors import UserError
from minilocal.kernels import threads
from minilocal.kernels.threads import one_blas_thread, partition, room, scratch, spread, use_threads


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
    assert spread(lambda i, j: (i, j), partition(100)) == partition(100)


def test_the_first_error_is_raised_after_all_have_stopped():
    use_threads(4)
    running, peak = threading.Semaphore(0), []

    def work(first: int, last: int) -> None:
        peak.append(first)
        if first == 0:
            raise KeyError("part 0")
        running.release()

    with pytest.raises(KeyError, match="part 0"):
        spread(work, partition(16))
    assert len(peak) >= 1 and threading.active_count() >= 1
    assert spread(lambda i, j: i, partition(4)) == [0, 1, 2, 3], "the pool works on after an error"


def test_work_inside_work_does_not_wait_for_itself():
    use_threads(2)
    assert spread(lambda i, j: sum(spread(lambda a, b: b - a, partition(8))), partition(4)) == [8] * 4


def test_a_negative_number_of_threads_is_refused():
    with pytest.raises(UserError, match="threads = -1"):
        use_threads(-1)


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_blas_is_held_to_one_thread_and_gets_its_setting_back():
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
    monkeypatch.setattr(threads, "SCRATCH_LIMIT", 1000)
    held = threads._own.__dict__.setdefault("scratch", {})
    held.clear()
    first = room("first", (300,), "float32")
    first[:] = 7
    for size in (50, 100, 150):
        room("other", (size,), "float32")
    assert sum(buffer.nbytes for buffer in held.values()) <= 1000 + 600, "1000, and the one that is asked for"
    assert (first == 7).all() and room("other", (20,), "float32").size == 20
