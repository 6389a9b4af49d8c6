"""Unpublished combinations of answers, against autograd and at their limits; one word for each of a rule's answers."""

from __future__ import annotations

import ast
import inspect
import warnings

import numpy as np
import pytest

import minilocal as ml
from minilocal.verify.compare import DOUBLE, errors
from minilocal.verify.objectives import CASES
from minilocal.verify.synchronous import relative_errors

X = ml.rng(1).standard_normal((6, 8, 8, 3)).astype("f4")
Y = np.array([0, 1, 2, 3, 1, 0])
NET = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
CHOSEN = [
    CASES["BackLink and InfoPro"][0], CASES["BackLink and PredSim"][1], *CASES["BackLink and other networks"],
    *CASES["PGL and BackLink"],
]  # fmt: skip
LOCAL = {
    "dgl": ml.rules.dgl(), "predsim": ml.rules.predsim(), "infopro": ml.rules.infopro(), "pgl": ml.rules.pgl(),
    "contrast": ml.rules.infopro(version="contrast"),
}  # fmt: skip


def make_learner(rule, modules):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ml.Learner(NET, rule, modules, rng=ml.rng(0))


def same(a, b, names):
    return all(np.array_equal(a[n], b[n]) for n in names)


@pytest.mark.parametrize("case", CHOSEN, ids=str)
def test_against_autograd(case):
    assert max(relative_errors(case).values()) <= DOUBLE


@pytest.mark.parametrize("name", LOCAL)
def test_1_one_module_is_bp_bit_for_bit(name):
    ours, bp = make_learner(LOCAL[name], 1), make_learner(ml.rules.bp(), 1)
    for _ in range(3):
        assert np.array_equal(ours.step(X, Y, lr=0.1), bp.step(X, Y, lr=0.1))
    assert ours.parameters().keys() == bp.parameters().keys()
    assert same(ours.parameters(), bp.parameters(), bp.parameters())


@pytest.mark.parametrize("name", LOCAL)
def test_14_nothing_above_a_module_reaches_its_gradients(name):
    learner = make_learner(LOCAL[name], 4)
    before = learner.gradients(X, Y)[1]
    for k, module in enumerate(learner.modules[:-1]):
        changed = make_learner(LOCAL[name], 4)
        for above in changed.modules[k + 1 :]:
            for array in (*above.parameters(), *above.objective.parameters):
                changed.load({array: changed.parameters()[array] + 0.1})
        after = changed.gradients(X, Y)[1]
        assert same(before, after, [*module.parameters(), *module.objective.parameters])
        assert not same(before, after, learner.modules[-1].parameters())


@pytest.mark.parametrize(
    "objective", [ml.objectives.infopro(), ml.objectives.predsim(), ml.objectives.classifier("mlp-sr")], ids=str
)
def test_a_link_of_no_units_or_alpha_1_is_the_objective_alone(objective):
    alone = make_learner(ml.rules.compose(objective=objective, boundary=ml.boundaries.closed()), 3).gradients(X, Y)[1]
    for link in (ml.boundaries.link(0), ml.boundaries.link(1, 1.0)):
        assert same(
            alone, make_learner(ml.rules.compose(objective=objective, boundary=link), 3).gradients(X, Y)[1], alone
        )
    linked = make_learner(ml.rules.compose(objective=objective, boundary=ml.boundaries.link(1)), 3).gradients(X, Y)[1]
    assert not same(alone, linked, ["layer2.0.conv1.weight"])


def test_what_is_kept_changes_no_bit_of_any_objective():
    for objective in (ml.objectives.infopro(), ml.objectives.predsim()):
        kept = (
            ml.rules.compose(objective=objective, boundary=ml.boundaries.link(2), keep=keep)
            for keep in ("caches", "inputs")
        )
        a, b = (make_learner(rule, 2) for rule in kept)
        for _ in range(2):
            assert np.array_equal(a.step(X, Y, lr=0.1), b.step(X, Y, lr=0.1))
        assert same(a.parameters(), b.parameters(), a.parameters()) and same(a.buffers(), b.buffers(), a.buffers())


def test_micro_batches_go_with_every_objective():
    rule = ml.rules.compose(objective=ml.objectives.infopro(), boundary=ml.boundaries.link(1), accumulate=2)
    whole = make_learner(rule, 3).gradients(X, Y)
    one = ml.rules.compose(objective=ml.objectives.infopro(), boundary=ml.boundaries.link(1))
    halves = [make_learner(one, 3).gradients(X[i : i + 3], Y[i : i + 3]) for i in (0, 3)]
    np.testing.assert_allclose(whole[0], (halves[0][0] + halves[1][0]) / 2, rtol=1e-6)
    for name, g in whole[1].items():
        np.testing.assert_allclose(g, (halves[0][1][name] + halves[1][1][name]) / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["dgl", "predsim", "infopro", "pgl"])
def test_every_option_is_a_plain_value_that_a_file_can_hold(name):
    for value in ml.rules.options(name).values():
        assert value is None or isinstance(value, (str, float, int, bool, list))
    bare, with_defaults = ml.rules.get(name), ml.rules.get(name, **ml.rules.options(name))
    assert (bare.objective, bare.when, bare.describe()) == (
        with_defaults.objective,
        with_defaults.when,
        with_defaults.describe(),
    )


@pytest.mark.parametrize("rule, kept, prose", [
    (ml.rules.bp(), "caches", "kept for the backward: caches"),
    (ml.rules.bp(keep="inputs"), "inputs", "inputs only"),
    (ml.rules.ddg(), "stashed", "a copy of the weights"),
    (ml.rules.fdg(backward_weights="recompute"), "recompute", "current weights"),
])  # fmt: skip
def test_one_word_says_what_waits_for_an_error(rule, kept, prose):
    assert rule.kept == kept and prose in rule.describe()


def test_the_answers_say_when_errors_and_activations_arrive():
    assert [ml.rules.get(name).boundary.lags for name in ("bp", "backlink", "dni", "ddg", "fdg")] == [
        (0, 0), (0, 0), (0, 0), (0, 1), (1, 1),
    ]  # fmt: skip
    assert [ml.rules.get(name).boundary.delayed for name in ml.rules.NAMES if name in ("pgl", "ddg")] == [False, True]


def test_the_answers_say_how_many_batches_pass_until_each_module_has_been_updated():
    backward_first, asynchronous = ml.when.always(first="backward"), ml.when.asynchronous()
    assert [when.least_batches(4) for when in (ml.when.always(), ml.when.periodic(), backward_first, asynchronous)] == [
        1,
        1,
        2,
        3,
    ]
    assert asynchronous.least_batches(1) == 1
    assert {when.engine for when in (ml.when.When(), ml.when.always(), ml.when.periodic())} == {"synchronous"}
    assert asynchronous.engine == "asynchronous"


OWN_DEFAULTS = {
    "dgl": {"aux", "buffer"},
    "pgl": {"around", "aux"},
    "contsup": {"aux"},
    "man": {"aux"},
}  # the other options are those of a rule's answers


@pytest.mark.parametrize("name", ml.rules.NAMES)
def test_a_default_stands_once_at_the_answer_whose_option_it_is(name):
    (function,) = ast.parse(inspect.getsource(ml.rules.constructor(name))).body
    assert isinstance(function, ast.FunctionDef) and not function.args.args, "a rule takes keywords only"
    written = {
        option.arg
        for option, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        if isinstance(default, ast.Constant)
    }
    assert written == OWN_DEFAULTS.get(name, set())


class Own(ml.boundaries.Boundary):
    """A boundary of the user's."""


def test_a_boundary_says_what_it_is():
    boundaries = [ml.boundaries.closed(), ml.boundaries.open(), ml.boundaries.link(length=2), Own()]
    assert [repr(boundary).partition("(")[0] for boundary in boundaries] == [
        "ClosedBoundary", "OpenBoundary", "BackwardLink", "Own",
    ]  # fmt: skip
    assert "boundary=ClosedBoundary()" in repr(ml.rules.gll())


class Sum(ml.boundaries.Boundary):
    """Each module learns from its own loss and from all those above it."""

    passes_on = True

    def linked_units(self, units: int) -> int:
        return units


@pytest.mark.parametrize("modules", [2, 3, 4, [1, 2, 1]], ids=str)
def test_errors_that_are_passed_on_whole_give_the_sum_of_the_gradients_of_its_own_loss_and_all_above(modules):
    """Interlocking of reach n has each of them alone: that of the loss n modules up."""

    def gradients(rule):
        learner = ml.Learner(NET, rule, modules, rng=ml.rng(0), dtype="float64")
        return learner, learner.gradients(X, Y)[1]

    ours, summed = gradients(ml.rules.compose(objective=ml.objectives.classifier(), boundary=Sum()))
    K = len(ours.modules)
    of_reach = [gradients(ml.rules.interlocking(reach=n))[1] for n in range(K)]
    expected = {
        name: sum(g[name] for g in of_reach[: K - k])
        for k, module in enumerate(ours.modules)
        for name in module.parameters()
    }
    assert max(errors({name: summed[name] for name in expected}, expected).values()) <= DOUBLE
