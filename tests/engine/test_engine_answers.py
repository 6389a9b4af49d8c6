"""What an engine answers between steps, for each kind of engine, and its doors that no whole run passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.engine.around import EngineAround
from minilocal.engine.evaluation import IMAGES, joined, portions
from minilocal.engine.out_of_memory import OutOfMemory
from minilocal.locality.influence import toy_net
from tests.helpers.host import host

NET = toy_net(3, channels=4, size=8, classes=4)
X, Y = ml.rng(0).standard_normal((4, 8, 8, 3), "f4"), np.arange(4) % 4


def stepped(rule, K=3, steps=4, batch=4):
    learner = ml.Learner(NET, rule, K, rng=ml.rng(1))
    losses = [host(learner.step(X[:batch], Y[:batch], lr=0.1)) for _ in range(steps)]
    return learner, losses


def engine_of(learner: ml.Learner) -> Any:
    return learner._engine


@pytest.mark.parametrize(
    ("rule", "flying"),
    [
        (ml.rules.bp(), [0, 0, 0]),
        (ml.rules.backlink(), [0, 0, 0]),
        (ml.rules.bp(accumulate=2), [0, 0, 0]),
        (ml.rules.ddg(), [2, 1, 0]),
        (ml.rules.fdg(), [4, 2, 0]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_is_in_flight_at_each_module(rule, flying):
    learner, _ = stepped(rule, steps=6)
    engine = engine_of(learner)
    assert engine.batches_in_flight == flying and engine.holds_batches is any(flying)
    held = engine.held_arrays()
    on_the_way = rule.boundary.lags[0] > 0  # activations to module 3
    assert [bool(arrays) for arrays in held] == [flying[0] > 0, flying[1] > 0, on_the_way]
    assert bool(engine.state()) is any(flying)
    learner.finish(0.1)
    assert engine.batches_in_flight == [0, 0, 0]


def test_an_engine_around_another_answers_as_that_one_does():
    around, inside = engine_of(stepped(ml.rules.bp(accumulate=2))[0]), engine_of(stepped(ml.rules.bp())[0])
    assert isinstance(around, EngineAround) and around.engine.held_arrays() == inside.held_arrays() == [[], [], []]
    assert around.memory_advice(X, 0) == around.engine.memory_advice(X[:2], 0)
    with pytest.raises(ml.UserError, match="which has none: take its rule"):
        around.restore({"begun": np.array(0)}, (8, 8, 3))
    around.restore({}, (8, 8, 3))


def test_a_batch_of_one_image_is_one_micro_batch():
    """Bit for bit the step without accumulation."""
    (one, losses), (other, plain) = (stepped(ml.rules.bp(accumulate=k), batch=1) for k in (2, 1))
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(losses, plain, strict=True))
    assert all(np.array_equal(host(a), host(other.parameters()[name])) for name, a in one.parameters().items())


def test_a_gradient_too_much_or_too_few_is_damage():
    learner, _ = stepped(ml.rules.fdg())
    state = learner.state()
    with pytest.raises(ml.UserError, match=r"this checkpoint holds 'flight:held\.other': it is damaged"):
        learner.restore({**state, "flight:held.other": state["flight:held.fc.weight"]})
    del state["flight:held.fc.weight"]
    with pytest.raises(ml.UserError, match=r"this checkpoint lacks 'flight:held\.fc\.weight': it is damaged"):
        learner.restore(state)


def test_an_evaluation_without_memory_says_how_many_images(monkeypatch):
    learner, _ = stepped(ml.rules.bp(), steps=1)

    def full(*args: Any) -> Any:
        raise MemoryError("Unable to allocate 1 GiB")

    monkeypatch.setattr(type(NET.units[0]), "forward", full)
    with pytest.raises(OutOfMemory, match=r"out of memory in the evaluation of 4 of \(4, 8, 8, 3\) images \(Unable"):
        learner.predict(X)


def test_an_evaluation_takes_256_images_at_a_time():
    assert IMAGES == 256
    assert [list(portions(np.empty((n, 1)))) for n in (0, 1, 256, 257, 600)] == [[0], [0], [0], [0, 256], [0, 256, 512]]
    parts: Any = [[np.zeros((2, 3)), None], [np.ones((1, 3)), None]]
    logits, none = joined(parts)
    assert none is None and logits is not None and host(logits).tolist() == [[0] * 3, [0] * 3, [1] * 3]
