"""The claims of docs/benchmarks/memory.md about BackLink, GLL and BP."""

from __future__ import annotations

import pytest

import minilocal as ml
from minilocal import rules
from minilocal.engine.module import Module
from minilocal.memory import estimate

RESNET110 = ml.nets.resnet(110, rng=ml.rng(0))


@pytest.fixture(scope="module")
def goals(host):
    """{(rule, K): bytes} of a step of ResNet-110 with 1c2f heads, 32 images."""
    kinds = {
        "bp": rules.bp(), "gll": rules.gll(aux="1c2f"), "link": rules.backlink(aux="1c2f"),
        "inputs": rules.backlink(aux="1c2f", keep="inputs"), "spared": rules.bp(keep="inputs"),
    }  # fmt: skip
    return {
        (name, K): estimate(RESNET110, r, K, 32, machine=host).step for name, r in kinds.items() for K in (2, 4, 8, 16)
    }


def test_backlink_takes_a_fifth_of_backpropagation(goals):
    assert goals["link", 16] <= 0.21 * goals["bp", 16]
    assert goals["spared", 16] <= 0.21 * goals["bp", 16]  # and so does BP, checkpointed at the same boundaries


@pytest.mark.parametrize("K, most", [(2, 0.002), (4, 0.002), (8, 0.13), (16, 0.20)])
def test_backlink_takes_little_more_than_gll(goals, K, most):
    """At K ≤ 4 nothing: what is left there is the gradients of the linked unit, which wait."""
    assert goals["link", K] <= (1 + most) * goals["gll", K]
    assert goals["inputs", K] <= 1.06 * goals["gll", K]


def test_an_engine_that_holds_an_error_too_long_is_caught(monkeypatch):
    backward = Module.backward

    def holding(self, error, *others, **more):
        input_error = backward(self, error, *others, **more)
        return input_error if error is not None else None  # `error` lives until here

    before = estimate(RESNET110, rules.backlink(aux="1c2f"), 4, 32).step
    monkeypatch.setattr(Module, "backward", holding)
    after = estimate(RESNET110, rules.backlink(aux="1c2f"), 4, 32).step
    assert after > 1.002 * before
