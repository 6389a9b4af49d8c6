"""A worker answers, reports a failure, and is gone when it dies or hangs; a pool starts another one."""

from __future__ import annotations

import os

import pytest

from minilocal.bench.worker import Worker, WorkerError, WorkerPool


@pytest.fixture(scope="module")
def worker():
    with Worker(3, {"MINILOCAL_TEST": "set"}) as worker:
        yield worker


def test_it_calls_a_function_by_name_in_its_own_process(worker):
    assert worker.ask("os:getpid") != os.getpid()
    assert worker.ask("os.path:join", a="x") == "x" and worker.alive


def test_its_environment_is_set_before_anything_is_imported(worker):
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        assert worker.ask("os:getenv", key=name) == "3"
    assert worker.ask("os:getenv", key="MINILOCAL_TEST") == "set"


def test_an_error_in_it_is_raised_here_and_it_lives_on(worker):
    with pytest.raises(
        WorkerError, match=r"UserError: resnet: .* is none|UserError: ResNet-9 is none of CIFAR's.*\(resnet.py:"
    ):
        worker.ask("minilocal.nets:get", name="resnet9", rng=None)
    with pytest.raises(WorkerError, match="ModuleNotFoundError"):
        worker.ask("no_such_module:f")
    assert worker.ask("os.path:basename", p="a/b") == "b"


def test_the_end_of_its_process_is_raised_with_its_last_output():
    worker = Worker()
    with pytest.raises(WorkerError, match="its process ended: exit status 3"):
        worker.ask("os:_exit", status=3)
    assert not worker.alive
    with pytest.raises(WorkerError, match="gone"):
        worker.ask("os:getpid")


def test_one_that_hangs_is_ended():
    worker = Worker()
    worker.ask("os:getpid")
    with pytest.raises(WorkerError, match="no answer within 0 s"):
        worker.ask("subprocess:call", timeout=0.3, args=["sleep", "20"])
    assert not worker.alive


def test_a_pool_keeps_workers_by_key_and_replaces_the_dead():
    with WorkerPool() as pool:
        first = pool.worker("a")
        assert pool.worker("a") is first and pool.worker("b") is not first
        process = first.ask("os:getpid")
        first.close(at_once=True)
        assert pool.worker("a").ask("os:getpid") != process
        last = pool.worker("a")
    assert not last.alive
