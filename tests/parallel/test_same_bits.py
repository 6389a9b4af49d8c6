"""Several ranks train to one process's bits: weights, statistics, losses, optimiser state, what is in flight."""

from __future__ import annotations

import pytest

pytest.importorskip("mpi4py", reason="ranks are MPI's: pip install 'minilocal[mpi]'")


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_every_rule_trains_to_the_same_bits(ranks, processes):
    lines = ranks("same_bits.py", processes).splitlines()
    assert len(lines) == 42 * (5 - processes), lines[-1:]
    assert not [line for line in lines if not line.endswith(": the same bits")]
