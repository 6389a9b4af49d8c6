"""Several ranks train to one process's bits: weights, statistics, losses, optimiser state, what is in flight."""

from __future__ import annotations

import pytest

pytest.importorskip("mpi4py", reason="ranks are MPI's: pip install 'minilocal[mpi]'")


@pytest.mark.parametrize(("processes", "some", "rules"), [(2, "0:5", 15), (3, "0:1", 75), (4, "2:5", 15)])
def test_every_rule_trains_to_the_same_bits(ranks, processes, some, rules):
    """In 3 processes every rule: one rank has neighbours on both sides, and of 4 modules one crosses no rank.

    Numbers of modules go by turns; `mpiexec -n 2 python tests/parallel/same_bits.py` tries each with every rule.
    """
    lines = ranks("same_bits.py", processes, "--by-turns", f"--some={some}").splitlines()
    assert len(lines) == rules, lines[-1:]
    assert not [line for line in lines if not line.endswith(": the same bits")]


def test_on_a_device_too(ranks):
    """What crosses leaves the device and comes back."""
    rules = ["bp", "dni", "fdg, current", "dgl, asynchronous", "backlink, guided"]
    lines = ranks("same_bits.py", 2, "--device", *rules).splitlines()
    assert len(lines) == len(rules)
    assert not [line for line in lines if not line.endswith(": the same bits")]


def test_a_difference_is_seen(ranks):
    lines = ranks("same_bits.py", 2, "--fault=own", "backlink 1, literal, own").splitlines()
    assert len(lines) == 3 and all("1 arrays after an epoch" in line for line in lines)


def test_copies_that_differ_end_the_run(ranks):
    with pytest.raises(AssertionError, match="ranks 0 and 1 hold different copies of layer"):
        ranks("same_bits.py", 2, "--fault=copy", "backlink 1, literal, own")
