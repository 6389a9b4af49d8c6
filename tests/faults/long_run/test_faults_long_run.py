"""The part `long_run` of `make trust` in a few seconds: short runs, and leaks that must be seen."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from tests.faults.long_run.leaks import LEAKS
from tests.faults.long_run.part import LEAK_STEPS
from tests.faults.long_run.process import grown
from tests.faults.long_run.runs import held

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc says what a process holds")


@pytest.mark.parametrize("case", ["backlink", "dgl", "ranks"])
def test_a_step_leaves_nothing_behind(case):
    if case == "ranks" and importlib.util.find_spec("mpi4py") is None:
        pytest.skip("mpi4py is not installed (extra: mpi)")
    processes = held(case, 200, "--early", "100")
    assert len(processes) == 1 + (case == "ranks")
    assert not [fault for early, last in processes for fault in grown(early, last)]


def test_an_epoch_of_a_run_leaves_nothing_behind():
    ((early, last),) = held("train", 12, "--early", "6")
    assert not grown(early, last)


def test_each_leak_is_noticed():
    ((early, last),) = held("backlink", LEAK_STEPS, "--early", str(LEAK_STEPS // 2), "--leak", *LEAKS)
    seen = [fault.partition(" ")[0] for fault in grown(early, last)]
    assert len(LEAKS) == 4 and seen == ["resident", "descriptors", "threads", "children"]
