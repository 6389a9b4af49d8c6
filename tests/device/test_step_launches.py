"""Launches of a recorded step, counted on the fake device with kernels that do nothing. Memory costs no launch."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import minilocal as ml
from tests.fake import device, ledger
from tests.fake.device import fake

pytestmark = pytest.mark.skipif(not fake.kernels, reason="without g++ the fake device has no kernels")
FREE = ("empty", "empty_like")


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """{name: how often} of kernels and array functions in captured steps."""
    seen, done = Counter[str](), ledger.done

    def counted(function: Any, *more: Any) -> None:
        if ledger.capture() is not None and function.__name__ not in FREE:
            seen[function.__name__] += 1
        done(function, *more)

    def idle(self: device.RawKernel, grid: Any, block: Any, args: Any) -> None:
        def nothing() -> None:
            pass

        nothing.__name__ = self.name
        ledger.done(nothing, (), {}, [])

    monkeypatch.setattr(device.RawKernel, "__call__", idle)
    monkeypatch.setattr(ledger, "done", counted)
    return seen


def record(rule: ml.rules.Rule, modules: int) -> None:
    """The two steps of a ResNet-32 after which one is recorded."""
    net = ml.nets.resnet(32, rng=ml.rng(0))
    learner = ml.Learner(net, rule, modules, rng=ml.rng(1), device=fake)
    x, y = fake.zeros((2, *net.shape), "float32"), fake.zeros(2, "int64")
    for _ in range(2):
        learner.step(x, y, lr=0.1)
    assert "recorded" in learner.cuda_graph_status


@pytest.mark.parametrize(
    "rule, modules, most",
    [(ml.rules.bp(), 1, 300), (ml.rules.gll(), 16, 450), (ml.rules.backlink(length=1), 16, 650)],
    ids=["BP", "GLL", "BackLink"],
)
def test_a_step_of_resnet_32_takes_few_launches(rule, modules, most, launches):
    record(rule, modules)
    assert 0.9 * most < sum(launches.values()) <= most, launches.most_common()


def test_what_belongs_to_one_thing_is_one_launch(launches):
    """Of 16 modules with 33 norms: 15 links, and heads of one mean, one product and one loss."""
    record(ml.rules.backlink(length=1), 16)
    units, blocks, norms = 16, 15, 33
    assert launches["mix"] == blocks and launches["global_average_pool"] == units
    assert launches["conv2d_stats"] == norms and launches["batch_norm_gradients"] == norms + norms - 2
    assert launches["batch_norm_update_running"] == units + 2  # one of a block, one of each of two shortcuts
    assert not launches.keys() & {"multiply", "divide", "copy", "repeat", "ascontiguousarray"}
