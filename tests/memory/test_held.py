"""What a GPU's pool holds stands beside what a step uses."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import pytest

import minilocal as ml
from minilocal.cli import memory as command
from minilocal.memory import GPU, by_rule
from minilocal.memory.meter import free_unused, held_bytes
from tests.fake import ledger
from tests.fake.device import fake


class Pool:
    """A pool that holds a quarter more than is used, and a megabyte that earlier steps left until it is freed."""

    def __init__(self) -> None:
        gc.collect()  # what other tests have left is not freed meanwhile
        self.left, self.before = 10**6, ledger.live

    def total_bytes(self) -> int:
        return (ledger.live - self.before) * 5 // 4 + self.left

    def free_all_blocks(self) -> None:
        self.left = 0


class Device:
    """The fake device, with the counters of a library that counts, plain operations, and such a pool."""

    def __init__(self) -> None:
        self.pool, self.peak = Pool(), 0
        self.get_default_memory_pool = lambda: self.pool
        self.memory = lambda: (ledger.live, max(self.peak, ledger.live))

    def reset_peak(self) -> None:
        self.peak = ledger.live

    def __getattr__(self, name: str) -> object:
        return getattr(fake, name)


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setattr(fake, "kernels", False)
    device: Any = Device()
    net = ml.nets.mlp((8, 8), classes=3, size=4, rng=ml.rng(0))
    rows = {name: ({"BP": ml.rules.bp(), "GLL": ml.rules.gll()}[name], {0: 1.0}) for name in ("BP", "GLL")}
    return by_rule.table(net, [1, 2], rows, 8, machine=GPU(), device=device, measured=4)


def test_a_measured_step_has_the_bytes_that_the_pool_holds_for_it_alone(table):
    for row in table.values():
        held = row["measured"]["held"]
        assert row["measured"]["parameters"] < held < 10**6  # nothing of earlier steps
        assert "held" not in row["predicted"]


def test_the_table_has_a_column_for_it_where_there_is_a_pool(table):
    lines = command._shown(table, measured=True).splitlines()
    assert lines[0].split()[-2:] == ["off", "held"]
    assert lines[1].split()[-1] == f"{table['BP']['measured']['held'] / 1e6:.1f}"
    for row in table.values():
        row["measured"]["held"] = 0  # as on the host
    assert command._shown(table, measured=True).splitlines()[0].split()[-1] == "off"


def test_the_host_has_no_pool():
    assert held_bytes("cpu") == 0
    free_unused("cpu")
    pool = Pool()
    library = SimpleNamespace(get_default_memory_pool=lambda: pool)
    assert held_bytes(library) > 0
    free_unused(library)
    assert pool.left == 0
