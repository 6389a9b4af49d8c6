"""What crosses a boundary: the table of docs/rules.md, measured, for every rule that there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import inputs, rules
from minilocal.engine import synchronous
from minilocal.locality.certificate import ErrorPath, measure
from minilocal.locality.influence import _batches, influence, toy_net
from minilocal.locality.perturb import PerturbedRun, Site, Subject, first_difference

NET, SIZES = toy_net(5), (2, 2, 1)
KEPT, BROKEN = "kept", "broken"


def full(lag):
    return [ErrorPath(2, lag, 1), ErrorPath(2, lag, 2)]


NOTHING = [ErrorPath(0, None, 0)] * 2
LOCAL = ((0,), NOTHING, {"own loss"}, (KEPT, BROKEN, BROKEN), (None, None, 0))
BACKPROPAGATION = ((0,), full(0), {"last loss"}, (KEPT, KEPT, KEPT), (0, 0, 0))
LINKED = ((0,), [ErrorPath(1, 0, 1)] * 2, {"own loss", "next module's loss"}, (KEPT, BROKEN, "1 unit, 1 up"), (1, 0, 0))
NEXT = ((0,), [ErrorPath(2, 0, 1)] * 2, {"next module's loss"}, (KEPT, BROKEN, "2 units, 1 up"), (1, 0, 0))
# rule: for each phase, lags of activations, error paths, losses that train module 1, locks, influence of updates
EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "bp": [BACKPROPAGATION],
    "gll": [LOCAL],
    "dgl": [LOCAL],
    "predsim": [LOCAL],
    "infopro": [LOCAL],
    "backlink": [LINKED],
    "pgl": [LOCAL, BACKPROPAGATION],
    "dni": [((0,), [ErrorPath(0, None, 0, synthesiser_lag=0)] * 2, {"synthesiser"}, (KEPT, BROKEN, BROKEN), (2, 1, 0))],
    "ddg": [((0,), full(1), {"last loss"}, (KEPT, BROKEN, BROKEN), (2, 1, 0))],
    "interlocking": [NEXT],
    "auglocal": [LOCAL],
    "hpff": [NEXT],
    "man": [((0,), [ErrorPath(0, None, 0, weights_lag=1)] * 2, {"own loss"}, (KEPT, BROKEN, BROKEN), (4, 2, 0))],
    "contsup": [LOCAL],
    "fdg": [((1,), full(1), {"last loss"}, (BROKEN, BROKEN, BROKEN), (2, 1, 1))],
}  # fmt: skip
SEEN = ("labels", "image")
INPUTS = {"bp": (), "ddg": (), "fdg": (), "dni": (), "infopro": SEEN, "hpff": SEEN, "man": SEEN}  # elsewhere the labels


@pytest.mark.parametrize("name", rules.NAMES)
def test_every_rule_lets_cross_what_its_papers_say(name):
    rows = measure(rules.get(name), NET, SIZES)
    assert not [text for row in rows for text in row.disagreements]
    assert name in EXPECTED, f"{name} agrees with its own answers; add what its paper says to EXPECTED"
    seen = [
        (set(row.activation_lags), row.error_paths, set(row.learns_from), row.locks, row.influence_of_updates)
        for row in rows
    ]
    assert seen == [({up}, down, sources, locks, influence) for up, down, sources, locks, influence in EXPECTED[name]]
    assert rows[0].sees == INPUTS.get(name, ("labels",))
    everything = ml.Learner(NET, rules.get(name), SIZES, rng=ml.rng(0)).parameters()
    assert rows[0].added_parameters == sum(w.size for n, w in everything.items() if n not in NET.parameters())


@pytest.mark.parametrize(
    ("context", "modules", "expected"),
    [
        ("none", 3, ()),
        ("image", 3, ("image",)),
        ("below", 3, ("below",)),
        ("both", 3, ("image", "below")),
        ("both", 2, ("image",)),
    ],
)
@pytest.mark.parametrize("name", ["contsup", "bp"])
def test_contexts_cross_upward_and_bring_no_error_down(name, context, modules, expected):
    rule = rules.get(name, context=context)
    (row,) = measure(rule, toy_net(3), modules)
    assert row.contexts == expected and not row.disagreements
    assert row.activation_lags == [(0,)] * (modules - 1)
    if name == "contsup":
        assert all(path == ErrorPath(0, None, 0) for path in row.error_paths)
        assert row.influence_of_updates == (None,) * (modules - 1) + (0,), "as GLL's"


def test_the_total_error_locks_what_the_own_error_does_not():
    """Modules that are linked to their first unit: under the total error each of them waits for all above, as in BP."""
    sizes, locks = [2, 1, 1, 1], {"own": "1 unit, 1 up", "own-scaled": "1 unit, 1 up", "total": "1 unit, 3 up"}
    for error, backward in locks.items():
        (row,) = measure(rules.backlink(length=1, error=error), NET, sizes)
        assert not row.disagreements
        assert row.locks == (KEPT, KEPT if error == "total" else BROKEN, backward)
        assert [path.depth for path in row.error_paths] == ([1, 2, 3] if error == "total" else [1, 1, 1])
    (row,) = measure(rules.backlink(length="module", error="total"), NET, sizes)
    assert not row.disagreements and row.locks == (KEPT, KEPT, KEPT)


def test_fifteen_rules_are_expected():
    assert set(EXPECTED) >= set(rules.NAMES) and len(EXPECTED) == 15


def composed(**answers):
    return rules.compose("composed", objective=ml.objectives.classifier("0c1f"), **answers)


def test_asynchronous_modules_get_activations_at_random_lags_and_no_errors():
    (row,) = measure(composed(boundary=ml.boundaries.closed(), when=ml.when.asynchronous(buffer=2)), toy_net(3), 3)
    assert not row.disagreements and row.error_paths == NOTHING and row.learns_from == ("own loss",)
    assert all(max(lags) > 0 for lags in row.activation_lags) and any(len(lags) > 1 for lags in row.activation_lags)
    assert row.locks == (BROKEN, BROKEN, BROKEN) and row.influence_of_updates[:2] == (None, None)


def test_a_link_reaches_its_length_in_one_module_and_the_bottom_only_through_updates():
    """Linked units below linked units would chain the last loss down in one step if a total error crossed."""
    (row,) = measure(composed(boundary=ml.boundaries.link(2)), toy_net(7), (3, 2, 1, 1))
    assert not row.disagreements
    assert row.error_paths == [ErrorPath(2, 0, 1), ErrorPath(2, 0, 1), ErrorPath(1, 0, 1)]
    assert row.waits == (2, 1) and row.locks == (KEPT, BROKEN, "2 units, 1 up")
    assert row.influence_of_updates == (2, 1, 0, 0)  # a module further down for each step


@pytest.mark.parametrize("alpha, sources", [(1.0, ("own loss",)), (0.0, ("own loss", "next module's loss"))])
def test_alpha_decides_which_losses_train_module_1(alpha, sources):
    (row,) = measure(composed(boundary=ml.boundaries.link(1, alpha)), NET, SIZES)
    assert row.learns_from == sources and not row.disagreements
    assert (row.error_paths == NOTHING) == (alpha == 1)


def test_an_unpublished_composition_has_the_localities_of_its_parts():
    local, guided = measure(composed(boundary=ml.boundaries.link(1), when=ml.when.periodic(3, 1)), NET, SIZES)
    assert (local.phase, guided.phase) == ("local epochs", "global epochs")
    assert local.error_paths == [ErrorPath(1, 0, 1)] * 2 and guided.error_paths == full(0)
    assert not local.disagreements + guided.disagreements


def test_a_synthesiser_conditioned_on_the_label_sees_it():
    (row,) = measure(rules.dni(labels=True, kernel=1), toy_net(2, channels=2), 2)
    assert row.sees == ("labels",) and not row.disagreements


def test_on_vectors_and_with_two_modules():
    net = ml.nets.mlp((8, 8, 8), classes=4, rng=ml.rng(0), channels=2, size=3)
    (row,) = measure(rules.backlink(length=1), net, 2)
    assert row.error_paths == [ErrorPath(1, 0, 1)] and not row.disagreements
    assert row.learns_from == ("own loss", "last loss")  # with two modules the next is the last


def test_an_engine_that_lets_the_error_leak_below_the_range_is_caught(monkeypatch):
    honest = synchronous.PendingModule

    def leaky(module, lowest, ctx):
        return honest(module, lowest if lowest == len(module.units) else max(0, lowest - 1), ctx)

    monkeypatch.setattr(synchronous, "PendingModule", leaky)
    (row,) = measure(rules.backlink(length=1), NET, SIZES)
    assert row.disagreements and "boundary 1|2" in row.disagreements[0]
    from minilocal import cli

    assert cli.main(["locality", "--rule", "backlink", "--net", "mlp", "--modules", "3,3,1"]) == 1


def test_a_wrong_lag_is_caught(monkeypatch):
    """DDG whose boundaries hold an error for two iterations, said to be one."""
    from minilocal.engine.delayed import DelayedEngine

    rule, init = rules.ddg(), DelayedEngine.__init__

    def slow(self, *args):
        init(self, *args)
        for queue in self.in_flight.down:
            queue.append(None)

    monkeypatch.setattr(DelayedEngine, "__init__", slow)
    (row,) = measure(rule, toy_net(2), 2)
    assert any("lag=2" in text for text in row.disagreements)


def test_a_run_without_a_perturbation_is_plain_training_with_frozen_weights():
    subject = Subject(NET, rules.backlink(), SIZES, _batches(NET, 3))
    hashes, again = PerturbedRun(subject).run(), PerturbedRun(subject).run()
    assert hashes == again and len(hashes) == 5 + 5 + 3  # activations, units, objectives
    assert first_difference(hashes, again, 0) == {}
    learner = subject.learner()
    start = {n: w.copy() for n, w in learner.parameters().items()}
    run = PerturbedRun(subject)

    def same_learner(_, optimizer):
        learner.optimizer = optimizer
        return learner

    same = {"learner": same_learner, "batches": subject.batches}
    run.subject = type("Same", (), same)()
    run.run()
    assert all((start[n] == w).all() for n, w in learner.parameters().items())


def test_runs_that_differ_too_early_and_numbers_that_are_not_finite_are_refused(monkeypatch):
    site = Site("update", 0, 0)
    with pytest.raises(AssertionError, match="not the same training"):
        first_difference({site: [(b"a",), (b"b",)]}, {site: [(b"x",), (b"b",)]}, 1)
    assert first_difference({site: [(b"a",), (b"b",)]}, {site: [(b"a",), (b"x",)]}, 1) == {site: 0}
    x, y = _batches(NET, 1)[0]
    monkeypatch.setitem(inputs.LARGEST, "float64", np.inf)
    with pytest.raises(FloatingPointError), np.errstate(all="ignore"):
        PerturbedRun(Subject(NET, rules.bp(), SIZES, [(x * 1e307, y)])).run()


def test_one_module_has_no_boundary():
    with pytest.raises(ml.UserError, match="one module has none"):
        influence(Subject(NET, rules.bp(), 1, ()))
