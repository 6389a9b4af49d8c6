"""With batches in flight, a Learner that is put away and taken out again goes on bit for bit."""

from __future__ import annotations

import io
import json
from functools import lru_cache

import numpy as np
import pytest

import minilocal as ml
from minilocal.config import resolve
from minilocal.nets.resnet import _stages
from minilocal.train import train

MODES = ("stashed", "current", "recompute")
RULES = {"ddg": ml.rules.ddg, "fdg": ml.rules.fdg}


@lru_cache
def net():
    return _stages("narrow", (4, 5, 6), 1, 4, 3, 8, "B", ml.layers.Initializer(5))


@lru_cache
def batches(number):
    rng = ml.rng(7)
    return [(rng.standard_normal((4, 8, 8, 3)).astype("float32"), rng.integers(0, 4, 4)) for _ in range(number)]


def make_learner(rule, K=4, seed=1, net=net):
    optimizer = ml.optim.SGD(momentum=0.9, weight_decay=1e-3, nesterov=True)
    return ml.Learner(net(), rule, K, rng=ml.rng(seed), optimizer=optimizer)


def through_a_file(state):
    """As a checkpoint takes it: an .npz that needs no pickle."""
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def alike(a, b):
    a, b = a.state(), b.state()
    return a.keys() == b.keys() and all(np.array_equal(v, b[n]) and v.dtype == b[n].dtype for n, v in a.items())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", RULES)
def test_a_learner_goes_on_bit_for_bit_from_any_step(name, mode):
    rule, data = RULES[name](backward_weights=mode), batches(10)
    whole, saved = make_learner(rule), []
    for x, y in data:
        saved.append(through_a_file(whole.state()))
        whole.step(x, y, lr=0.1)
    whole.finish(0.1)
    for after in (0, 1, 3, 6, 9):
        other = make_learner(rule, seed=2)
        other.restore(saved[after])
        assert all(np.array_equal(a, saved[after][n]) for n, a in other.state().items())
        for x, y in data[after:]:
            other.step(x, y, lr=0.1)
        other.finish(0.1)
        assert alike(whole, other), (name, mode, after)


def vgg():
    """Dropout, pooling and vectors: other caches, and chance."""
    return ml.nets.alexnet(classes=4, rng=ml.rng(0), hidden=8)


@pytest.mark.parametrize("mode", MODES)
def test_caches_of_every_kind_come_back(mode):
    rng, network = ml.rng(2), vgg()
    data = [(rng.standard_normal((2, 32, 32, 3)).astype("float32"), rng.integers(0, 4, 2)) for _ in range(3)]
    one = make_learner(ml.rules.ddg(backward_weights=mode), K=8, net=lambda: network)
    for x, y in data:
        one.step(x, y, lr=0.1)
    two = make_learner(ml.rules.ddg(backward_weights=mode), K=8, seed=5, net=lambda: network)
    two.restore(through_a_file(one.state()))
    for learner in (one, two):
        learner.finish(0.1)
    assert alike(one, two)


def test_what_is_stored_is_what_cannot_be_made_again():
    def kinds(mode):
        learner = make_learner(ml.rules.fdg(backward_weights=mode))
        for x, y in batches(10):
            learner.step(x, y, lr=0.1)
        return {n.split(".")[3] for n in learner.state() if n.startswith("flight:ticket.")}

    assert kinds("recompute") == {"entry"}
    assert kinds("stashed") == {"entry", "weight"}
    assert kinds("current") == {"entry", "cache"}


def test_a_state_is_a_copy():
    learner = make_learner(ml.rules.fdg())
    for x, y in batches(8):
        learner.step(x, y, lr=0.1)
    state = learner.state()
    before = {name: a.copy() for name, a in state.items()}
    for x, y in batches(3):
        learner.step(x, y, lr=0.1)
    assert all(np.array_equal(a, before[name]) for name, a in state.items())


def test_a_batch_may_be_overwritten_once_it_has_been_handed_in():
    fresh, reused = make_learner(ml.rules.fdg()), make_learner(ml.rules.fdg())
    x_, y_ = (a.copy() for a in batches(9)[0])
    for x, y in batches(9):
        fresh.step(x, y, lr=0.1)
        x_[...], y_[...] = x, y
        reused.step(x_, y_, lr=0.1)
        x_[...], y_[...] = 9, 0
    assert alike(fresh, reused)


OTHERS = [
    (ml.rules.ddg(backward_weights="current"), 4, "backward_weights = 'stashed', not 'current'"),
    (ml.rules.fdg(), 4, "activations = 0, not 1"),
    (ml.rules.ddg(), 2, r"modules = \[1, 1, 1, 1\], not \[2, 2\]"),
    (ml.rules.bp(), 4, "BP, which has none"),
]


@pytest.mark.parametrize("rule, K, says", OTHERS, ids=["mode", "rule", "split", "no delays"])
def test_what_another_rule_or_split_has_in_flight_is_refused_and_nothing_changes(rule, K, says):
    one, other = make_learner(ml.rules.ddg()), make_learner(rule, K, seed=3)
    for x, y in batches(4):
        one.step(x, y, lr=0.1)
        other.step(x, y, lr=0.1)
    before = other.state()
    with pytest.raises(ml.UserError, match=says) as caught:
        other.restore(one.state())
    assert "\n" not in str(caught.value)
    assert all(np.array_equal(a, before[name]) for name, a in other.state().items())


def test_a_checkpoint_without_anything_in_flight_is_refused_by_a_rule_with_delays():
    with pytest.raises(ml.UserError, match="a rule without delays"):
        make_learner(ml.rules.ddg()).restore(make_learner(ml.rules.bp()).state())


# ---------------------------------------------------------------------- through a run


def configuration(out, **keys):
    base = {
        "rule.name": "fdg", "net.name": "mlp", "net.modules": 3, "data.limit_train": 40, "data.limit_test": 20,
        "optim.batch_size": 8, "optim.epochs": 2, "optim.lr": 0.05, "run.threads": 1, "run.out": str(out),
    }  # fmt: skip
    return resolve([("test", {**base, **{k.replace("__", "."): v for k, v in keys.items()}})])[0]


class Stop(Exception):
    """Stands for a kill between two steps, after a checkpoint."""


@pytest.mark.parametrize("mode", MODES)
def test_a_run_killed_with_batches_in_flight_ends_with_the_weights_of_one_that_was_not(tmp_path, mode):
    whole = train(configuration(tmp_path / "whole", rule__backward_weights=mode))

    def kill(row):
        raise Stop

    with pytest.raises(Stop):
        train(configuration(tmp_path / "run", rule__backward_weights=mode), on_epoch=kill)
    resumed = train(resume=tmp_path / "run")
    assert any(whole.learner.in_flight), "the end of an epoch does not drain"
    assert alike(whole.learner, resumed.learner)


@pytest.mark.parametrize("name, batches, least", [("ddg", 2, 3), ("fdg", 4, 5)])
def test_a_run_of_too_few_batches_is_refused_before_its_folder_is_made(tmp_path, name, batches, least):
    few = {"rule__name": name, "data__limit_train": 8 * batches, "optim__epochs": 1}
    with pytest.raises(ml.UserError, match=f"{least} batches") as caught:
        train(configuration(tmp_path / "run", **few))
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()
    train(configuration(tmp_path / "run", **few | {"data__limit_train": 8 * least}))


AS_BEFORE = {  # what earlier checkpoints say under "made by", as they were printed then
    "ddg": "Late(up=0, down=1, beta=1.0, backward_weights='stashed'), forward first, modules of [1, 1, 1, 1] units",
    "fdg": "Late(up=1, down=1, beta=1.0, backward_weights='stashed'), backward first, modules of [1, 1, 1, 1] units",
}


@pytest.mark.parametrize("name", RULES)
def test_an_earlier_checkpoint_loads(name):
    learner = make_learner(RULES[name]())
    for x, y in batches(9):
        learner.step(x, y, lr=0.1)
    state = through_a_file(learner.state())
    before = {n: a for n, a in state.items() if n != "flight:rule"} | {"flight:made by": np.array(AS_BEFORE[name])}
    other = make_learner(RULES[name](), seed=2)
    other.restore(before)
    for learner_ in (learner, other):
        learner_.finish(0.1)
    assert alike(learner, other)


@pytest.mark.parametrize("key", ["activations", "errors", "beta", "backward_weights", "first", "modules"])
def test_another_rule_or_split_is_named_in_one_line_by_what_differs(key):
    state, learner = through_a_file(make_learner(ml.rules.fdg()).state()), make_learner(ml.rules.fdg())
    rule = json.loads(str(state["flight:rule"]))
    state["flight:rule"] = np.array(json.dumps(rule | {key: "other"}))
    with pytest.raises(ml.UserError, match=f"of a rule with {key} = 'other', not .*: take that rule and that split"):
        learner.restore(state)


@pytest.mark.parametrize("text", ["", "{", "[1]", "Late(up=0)"])
def test_a_rule_that_cannot_be_read_is_damage(text):
    state = through_a_file(make_learner(ml.rules.fdg()).state())
    for name in ("flight:rule", "flight:made by"):
        broken = {n: a for n, a in state.items() if n != "flight:rule"} | {name: np.array(text)}
        with pytest.raises(ml.UserError, match="does not say which rule it is of"):
            make_learner(ml.rules.fdg()).restore(broken)
