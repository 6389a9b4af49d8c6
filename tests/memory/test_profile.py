"""The profile of a step: each byte is attributed to what allocated it."""

from __future__ import annotations

from itertools import pairwise

import pytest

import minilocal as ml
from minilocal import rules
from minilocal.memory import profile
from tests.memory.steps import RESNET8, batch, make_learner


def test_backpropagation_keeps_what_its_layers_say():
    """The stem z, a; a block z₁, a₁, z₂, y, and the z of a shortcut that is no identity; norms 3 numbers a channel."""
    n = 16
    profiled = profile(make_learner(rules.bp()), *batch(n))
    first, second, third = (n * side * side * C * 4 for side, C in ((32, 16), (16, 32), (8, 64)))
    maps = 2 * first + 4 * first + 5 * second + 5 * third
    channels = 3 * 4 * (16 + 2 * 16 + 3 * 32 + 3 * 64)
    assert profiled.curve[3] == maps + channels  # after the fourth unit's forward
    assert profiled.in_flight == 0 < profiled.workspace
    after = [unit.name for unit in RESNET8.units][::-1].index(profiled.at.removeprefix("backward of "))
    assert profiled.activations + profiled.auxiliary == profiled.curve[3 - after]  # kept up to it


def test_parameters_statistics_and_momentum_are_told_apart():
    profiled, learner = profile(make_learner(rules.gll(aux="1c2f")), *batch(4)), make_learner(rules.gll(aux="1c2f"))
    assert profiled.parameters == sum(a.nbytes for a in learner.parameters().values()) == profiled.optimizer
    assert profiled.of_auxiliary == sum(a.nbytes for name, a in learner.parameters().items() if name.startswith("aux."))
    assert profiled.statistics == sum(a.nbytes for a in learner.buffers().values())
    assert (
        profiled.total
        == profiled.parameters + profiled.statistics + profiled.optimizer + profiled.scratch + profiled.step
    )
    adam = profile(make_learner(rules.gll(aux="1c2f"), optimizer=ml.optim.Adam()), *batch(4))
    assert adam.optimizer == 2 * adam.parameters
    assert abs(adam.step - profiled.step) < 0.05 * profiled.step  # nothing of it is a part of the step


def test_what_a_unit_keeps_is_an_activation_and_what_an_objective_keeps_is_auxiliary():
    """DGL's `cnn` classifier on the largest map keeps more than the unit below it."""
    rule = rules.dgl(aux="cnn")
    profiled = profile(make_learner(rule, modules=4), *batch(8))
    kept = make_learner(rule, modules=4)
    x, y = batch(8)
    kept.step(x, y, lr=0.0)
    assert profiled.auxiliary > 0 and "objective" in profiled.at
    assert profiled.auxiliary + profiled.activations + profiled.workspace + profiled.gradients == profiled.step


def test_the_curve_rises_and_falls_back():
    """Under BP to the top and down again, under GLL module by module."""
    bp, gll = (profile(make_learner(rule, modules=4), *batch(8)).curve for rule in (rules.bp(), rules.gll()))
    assert len(bp) == 4 + 2 + 4 and len(gll) == 4 * (1 + 2 + 1)
    top = bp.index(max(bp))
    assert list(bp[: top + 1]) == sorted(bp[: top + 1]) and list(bp[top:]) == sorted(bp[top:], reverse=True)
    assert sum(b < a for a, b in pairwise(gll)) >= 4 and max(gll) < max(bp)
    assert bp[-1] < 0.01 * max(bp)


def test_measuring_leaves_the_learner_as_it_was():
    learner = make_learner(rules.backlink(aux="1c2f"), modules=3)
    units, weights = [list(m.units) for m in learner.modules], {n: w.copy() for n, w in learner.parameters().items()}
    profile(learner, *batch(4))
    assert [m.units for m in learner.modules] == units and all(m.objective is not None for m in learner.modules)
    assert all((w == weights[n]).all() for n, w in learner.parameters().items())


def test_a_step_that_is_replayed_is_refused():
    learner = make_learner(rules.bp())
    learner.step = lambda x, y, lr: None
    with pytest.raises(ml.UserError, match="cuda_graph=False"):
        profile(learner, *batch(2))
