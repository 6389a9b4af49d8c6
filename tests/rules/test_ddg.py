"""DDG: a replay by the paper's indices, its table, and what it is at K = 1 and 2."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.verify.compare import DOUBLE
from minilocal.verify.jax_cpu import jax_on_cpu
from tests.rules.delays import MODES, batches, make_learner, net, replayed, same, statistics_move_once, weights

STEPS = 13


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("K", [2, 3, 4])
@pytest.mark.parametrize("name", ["mlp", "narrow"])
def test_ddg_is_its_replay(name, K, mode):
    with jax_on_cpu():
        learner = make_learner(net(name), ml.rules.ddg(backward_weights=mode), K)
        assert replayed(learner, STEPS, 0.05, delayed_activations=False, backward_weights=mode) <= DOUBLE


@pytest.mark.parametrize("name", ["mlp", "narrow", "dropout"])
@pytest.mark.parametrize("mode", MODES)
def test_one_module_is_bp_bit_for_bit(name, mode):
    ddg, bp = make_learner(net(name), ml.rules.ddg(backward_weights=mode), 1), make_learner(net(name), ml.rules.bp(), 1)
    for x, y in batches(net(name), 5):
        assert (ddg.step(x, y, lr=0.1) == bp.step(x, y, lr=0.1)).all()
    assert same(ddg, bp)


@pytest.mark.parametrize("mode", MODES)
def test_a_module_stands_still_until_its_first_error_and_then_takes_bps_gradient_of_batch_0(mode):
    """At lr 0 nothing moves, and the momentum after the first update is the gradient, plus decay."""
    K, learner = 4, make_learner(net("narrow"), ml.rules.ddg(backward_weights=mode), 4, weight_decay=0.0)
    data = batches(net("narrow"), K)
    moved: dict[str, Any] = {}
    true = make_learner(net("narrow"), ml.rules.bp(), K).gradients(*data[0])[1]
    for t, (x, y) in enumerate(data):
        learner.step(x, y, lr=0.0)
        for name in learner._training.optimizer_states:
            moved.setdefault(name, (t, learner._training.optimizer_states[name]["v"].copy()))
    for k, module in enumerate(learner.modules, 1):
        for name in [*module.parameters(), *(module.objective.parameters if module.objective else ())]:
            t, g = moved[name]
            assert t == K - k and (g == true[name]).all(), name


def test_before_the_first_error_there_is_neither_decay_nor_momentum():
    learner, K = make_learner(net("mlp"), ml.rules.ddg(), 4), 4
    start = weights(learner)
    for t, (x, y) in enumerate(batches(net("mlp"), 6)):
        learner.step(x, y, lr=0.1)
        for k, module in enumerate(learner.modules, 1):
            still = all((learner.parameters()[name] == start[name]).all() for name in module.parameters())
            assert still == (t < K - k)
            assert not still or not any(name in learner._training.optimizer_states for name in module.parameters())


@pytest.mark.parametrize("mode", MODES)
def test_running_statistics_move_once_per_forward(mode):
    statistics_move_once(ml.rules.ddg(backward_weights=mode))


@pytest.mark.parametrize("mode", ["stashed", "recompute"])
def test_masks_of_dropout_are_the_old_batchs(mode):
    from minilocal.layers import PassContext

    with jax_on_cpu():
        learner = make_learner(net("dropout"), ml.rules.ddg(backward_weights=mode), 4)
        run = lambda b: PassContext(key=learner.key, step=b)  # noqa: E731
        assert replayed(learner, 12, 0.05, delayed_activations=False, backward_weights=mode, ctx=run) <= DOUBLE


def test_float32_stays_float32():
    learner = make_learner(net("narrow"), ml.rules.ddg(), 3, dtype="float32")
    for x, y in batches(net("narrow"), 4, "float32"):
        learner.step(x, y, lr=0.1)
    kept = [
        *learner.parameters().values(),
        *learner.buffers().values(),
        *(s["v"] for s in learner._training.optimizer_states.values()),
    ]
    assert {a.dtype for a in kept} == {np.dtype("float32")}
    floats = {a.dtype for n, a in learner.state().items() if n.startswith("flight:") and a.dtype.kind == "f"}
    assert floats == {np.dtype("float32")}


WRONG = [
    (lambda: ml.rules.ddg(backward_weights="stash"), "did you mean 'stashed'"),
    (lambda: ml.boundaries.delayed(errors=0), "0 is boundary=open"),
    (lambda: ml.boundaries.delayed(activations=-1), "activations = -1"),
    (
        lambda: ml.rules.compose(objective=ml.objectives.classifier(), boundary=ml.boundaries.delayed()),
        "with delayed errors a local objective is ignored",
    ),
    (lambda: ml.rules.compose(boundary=ml.boundaries.delayed(), keep="inputs"), 'backward_weights="recompute"'),
    (lambda: ml.rules.compose(boundary=ml.boundaries.delayed(), accumulate=2), "accumulate=1"),
    (lambda: ml.rules.compose(boundary=ml.boundaries.delayed(), when=ml.when.periodic(4, 1)), "without delays only"),
    (lambda: ml.rules.pgl(around=ml.rules.ddg()), "a rule without delays"),
    (lambda: ml.rules.compose(when=ml.when.always(first="backward")), "needs an error of an earlier iteration"),
    (lambda: ml.when.always(first="backwards"), "did you mean 'backward'"),
    (lambda: make_learner(net("mlp"), ml.rules.ddg(), 2).gradients(*batches(net("mlp"), 1)[0]), r"use step\(\)"),
]


@pytest.mark.parametrize("build, says", WRONG)
def test_what_does_not_fit_is_refused_in_one_line(build, says):
    with pytest.raises(ml.UserError, match=says) as caught:
        build()
    assert "\n" not in str(caught.value)
