"""Limits of the rules, bit for bit, and which errors reach which gradients."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.array import Array
from minilocal.engine.module import Module
from tests.helpers.host import host

X = ml.rng(1).standard_normal((6, 8, 8, 3)).astype("float32")
Y = np.array([0, 1, 2, 3, 1, 0])
NET = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))  # 4 units


def make_learner(rule: ml.rules.Rule, modules: Any, **options: Any) -> ml.Learner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ml.Learner(NET, rule, modules, rng=ml.rng(0), **options)


def gradients(rule: ml.rules.Rule, modules: Any) -> dict[str, Array]:
    return make_learner(rule, modules).gradients(X, Y)[1]


def same(a: Mapping[str, Array], b: Mapping[str, Array], names: Any = None) -> bool:
    names = set(a) | set(b) if names is None else names
    return all(name in a and name in b and np.array_equal(host(a[name]), host(b[name])) for name in names)


def names_of(module: Module) -> list[str]:
    """Of a module's parameters and its objective's."""
    assert module.objective is not None
    return [*module.parameters(), *module.objective.parameters]


def backlink(**options: Any) -> ml.rules.Rule:
    return ml.rules.backlink(**options)


RULES = {
    "gll": ml.rules.gll(),
    "gll 1c2f": ml.rules.gll(aux="1c2f"),
    "backlink": backlink(length=2),
    "backlink unfolded": backlink(length=1, alpha=0.25, weighting="unfolded", keep="inputs"),
    "checkpointed bp": ml.rules.bp(keep="inputs"),
}


@pytest.mark.parametrize("name", RULES)
def test_1_one_module_is_bp(name):
    """Gradients, and three steps of training, buffers included."""
    assert same(gradients(RULES[name], 1), gradients(ml.rules.bp(), 1))
    ours, bp = make_learner(RULES[name], 1), make_learner(ml.rules.bp(), 1)
    for _ in range(3):
        assert np.array_equal(host(ours.step(X, Y, lr=0.1)), host(bp.step(X, Y, lr=0.1)))
    assert same(ours.parameters(), bp.parameters()) and same(ours.buffers(), bp.buffers())


@pytest.mark.parametrize("modules", [2, 3, 4])
def test_bp_does_not_know_how_it_is_cut(modules):
    assert same(gradients(ml.rules.bp(), modules), gradients(ml.rules.bp(), 1))
    assert same(gradients(ml.rules.bp(keep="inputs"), modules), gradients(ml.rules.bp(), 1))


@pytest.mark.parametrize("weighting", ["literal", "unfolded"])
@pytest.mark.parametrize("modules", [2, 3, 4])
def test_2_length_0_and_alpha_1_are_gll(modules, weighting):
    gll = gradients(ml.rules.gll(), modules)
    assert same(gradients(backlink(length=0, alpha=0.3, weighting=weighting), modules), gll)
    for length in (1, 2):
        assert same(gradients(backlink(length=length, alpha=1.0, weighting=weighting), modules), gll)


@pytest.mark.parametrize("weighting", ["literal", "unfolded"])
@pytest.mark.parametrize("sizes", [[2, 2], [1, 3], [3, 1]], ids=str)
def test_3_two_modules_linked_all_the_way_at_alpha_0_are_bp_on_the_main_network(sizes, weighting):
    linked = gradients(backlink(length=sizes[0], alpha=0.0, weighting=weighting), sizes)
    bp = gradients(ml.rules.bp(), sizes)
    assert same(linked, bp, names=bp)


@pytest.mark.parametrize("weighting", ["literal", "unfolded"])
def test_4_below_the_range_alpha_is_not_used(weighting):
    below = [name for unit in NET.units[:1] for name in unit.parameters]
    inside = [name for unit in NET.units[1:2] for name in unit.parameters]
    by_alpha = [gradients(backlink(length=1, alpha=alpha, weighting=weighting), 2) for alpha in (0.0, 0.25, 0.5, 1.0)]
    gll = gradients(ml.rules.gll(), 2)
    top = [name for name in gll if name not in inside]
    for grads in by_alpha:
        assert same(grads, gll, names=below)
        assert same(grads, gll, names=top), "auxiliary networks and module K get none either"
    assert not any(same(by_alpha[0], by_alpha[1], names=[name]) for name in inside)


@pytest.mark.parametrize("name", ["gll", "gll 1c2f"])
@pytest.mark.parametrize("modules", [2, 4])
def test_14_nothing_above_a_module_reaches_its_gradients(name, modules):
    learner = make_learner(RULES[name], modules)
    before = learner.gradients(X, Y)[1]
    for k, module in enumerate(learner.modules[:-1]):
        own = names_of(module)
        changed = make_learner(RULES[name], modules)
        for above in changed.modules[k + 1 :]:
            for array in names_of(above):
                changed.load({array: changed.parameters()[array] + 0.1})
        assert same(changed.gradients(X, Y)[1], before, names=own)


@pytest.mark.parametrize("length", [1, 2])
def test_a_link_reaches_one_module_down_and_no_further(length):
    """BackLink couples neighbours only: the module two above changes no gradient."""
    rule = backlink(length=length, alpha=0.25)
    learner = make_learner(rule, 4)
    before = learner.gradients(X, Y)[1]
    for array in names_of(learner.modules[2]):
        learner.load({array: learner.parameters()[array] + 0.1})
    after = learner.gradients(X, Y)[1]
    assert same(before, after, names=learner.modules[0].parameters())
    assert not same(before, after, names=learner.modules[1].parameters())


@pytest.mark.parametrize("modules", [2, 3, 4])
def test_15_literal_is_unfolded_at_length_1(modules):
    for alpha in (0.0, 0.3, 0.5):
        literal, unfolded = (backlink(length=1, alpha=alpha, weighting=w) for w in ("literal", "unfolded"))
        assert same(gradients(literal, modules), gradients(unfolded, modules))
    literal, unfolded = (backlink(length=2, alpha=0.3, weighting=w) for w in ("literal", "unfolded"))
    assert not same(gradients(literal, 2), gradients(unfolded, 2))


@pytest.mark.parametrize("weighting", ["literal", "unfolded"])
@pytest.mark.parametrize("modules", [2, 3, 4, [2, 1, 1], [1, 3]], ids=str)
@pytest.mark.parametrize("keep", ["caches", "inputs"])
def test_16_the_total_error_at_alpha_0_through_whole_modules_is_bp_on_the_main_network(weighting, modules, keep):
    bp = gradients(ml.rules.bp(), modules)
    rule = backlink(length="module", alpha=0.0, weighting=weighting, error="total", keep=keep)
    assert same(gradients(rule, modules), bp, names=bp)


@pytest.mark.parametrize("weighting", ["literal", "unfolded"])
def test_17_the_three_errors_are_one_where_modules_are_longer_than_the_link(weighting):
    def all_three(length, modules):
        options = {"length": length, "alpha": 0.3, "weighting": weighting}
        return [gradients(backlink(error=error, **options), modules) for error in ("own", "own-scaled", "total")]

    own, scaled, total = all_three(1, [1, 2, 1])  # module 3 is the last: its first unit is not linked
    assert same(own, scaled) and same(own, total)
    own, scaled, total = all_three(1, [2, 1, 1])
    first = [name for unit in NET.units[:2] for name in unit.parameters if not name.startswith(("conv1", "bn1"))]
    assert not any(np.array_equal(a[name], b[name]) for name in first for a, b in [(own, scaled), (own, total)])
    assert same(own, total, names=[name for name in own if name not in first])


@pytest.mark.parametrize("error", ["own", "own-scaled", "total"])
def test_alpha_1_is_gll_whichever_error_is_meant(error):
    assert same(gradients(backlink(length="module", alpha=1.0, error=error), 4), gradients(ml.rules.gll(), 4))


@pytest.mark.parametrize("modules", [2, 3])
@pytest.mark.parametrize("length", [1, 2])
def test_what_is_kept_changes_no_bit(length, modules):
    caches, inputs = (backlink(length=length, alpha=0.25, keep=keep) for keep in ("caches", "inputs"))
    assert same(gradients(caches, modules), gradients(inputs, modules))
