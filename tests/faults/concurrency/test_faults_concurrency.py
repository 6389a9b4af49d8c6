"""The part `concurrency` of `make trust` in a few seconds: some of its cases, side by side, and what they rely on."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.concurrency.part import BROKEN, TIME_LIMIT, wrong

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="start methods and signals are Linux's")

CASES = [
    ("forked", "by_start_method", "fork", 2),
    ("forked", "pool_of_predicts", "spawn", 2),
    ("forked", "beside_a_holder", 2),
    ("threaded", "number_of_threads_changes"),
    ("threaded", "many_in_threads", 8),
    ("threaded", "learners_of_one_net"),
    ("threaded", "copies_during_a_step"),
    ("threaded", "steps_of_one_learner"),
    ("ending", "at_exit", "daemon", "numpy", 2),
    ("interrupted", "by_signals", 2),
]


def test_threads_and_processes_have_the_bits_of_one_alone():
    with ThreadPoolExecutor(2) as pool:
        faults = list(pool.map(lambda case: wrong(case[0], case[1], "numpy", *case[2:]), CASES))
    assert faults == [""] * len(CASES)


def test_a_child_compiles_though_it_was_forked_during_a_compilation():
    pytest.importorskip("numba", reason="Numba is not installed (extra: fast)")
    assert not wrong("forked", "beside_a_compilation", "numba")


@pytest.mark.parametrize(("what", "without", "seconds", "module", "function", "arguments"), BROKEN[:3])
def test_each_check_notices_when_what_it_relies_on_is_missing(what, without, seconds, module, function, arguments):
    fault = wrong(module, function, "numpy", *arguments, without=without, seconds=min(seconds, TIME_LIMIT))
    assert fault and fault.startswith("still ran") == (without == "forks_noticed"), what  # a fork waits for ever
    assert not fault.startswith("status ") or fault.startswith("status 0"), fault  # the check ran to its end
