"""A rule's certificate: green for rules that do what they say, and NO on the line of what a wrong one breaks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import Flatten, Linear, Sequential
from minilocal.verify import certify
from minilocal.verify.certificate import Certificate
from minilocal.verify.promise import promised
from minilocal.verify.reference.missing import NoReference

NET = ml.nets.mlp((7, 6, 5, 6, 5), classes=3, channels=1, size=3, rng=ml.rng(0))


class Fading(ml.boundaries.Boundary):
    """The next module's error into every unit, halved with each unit further down."""

    def linked_units(self, units: int) -> int:
        return units

    def weights(self, j: int) -> tuple[float, float]:
        return 1 - 0.5 ** (j + 1), 0.5 ** (j + 1)


class Squared(ml.objectives.ObjectiveSpec):
    """A squared error whose backward is off by a factor."""

    def __init__(self, off: float = 1.0) -> None:
        self.off = off

    def build(self, context: ml.objectives.ModuleContext) -> Any:
        name = f"aux.{context.module}"
        linear = Linear(context.shape[-1], context.classes, context.initial, name=f"{name}.0")

        def squared(z: Any, batch: Any) -> Any:
            value, error = ml.losses.squared_error(z, np.eye(context.classes, dtype=z.dtype)[batch.y])
            return value, self.off * error

        return ml.objectives.Branches([ml.objectives.Branch(Sequential([Flatten(), linear], name), squared, 0.5)])


def says(rule: ml.rules.Rule, **named: Any) -> tuple[Certificate, dict[str, str]]:
    """The certificate, and its lines that do not hold."""
    certificate = certify(rule, NET, **named)
    return certificate, {claim.what: claim.result for claim in certificate.claims if not claim.holds}


RULES = {
    "gll": ml.rules.gll(),
    "backlink": ml.rules.backlink(length=1, alpha=0.3),
    "total": ml.rules.backlink(length="module", alpha=0.3, error="total"),
    "own-scaled": ml.rules.backlink(length=2, alpha=0.3, error="own-scaled", weighting="unfolded", keep="inputs"),
    "accumulate": ml.rules.compose(objective=ml.objectives.classifier("0c1f"), boundary=Fading(), accumulate=2),
    "pgl": ml.rules.pgl(period=2, duration=1, around=ml.rules.backlink()),
    "own": ml.rules.compose("own", objective=Squared(), boundary=Fading()),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_does_what_it_says_is_certified(name):
    certificate, wrong = says(RULES[name])
    assert certificate and not wrong, certificate


def test_what_it_prints():
    pytest.importorskip("jax")
    lines = repr(
        certify(ml.rules.compose("Fading", objective=ml.objectives.classifier("0c1f"), boundary=Fading()), NET)
    ).splitlines()
    assert lines[0] == "Fading: 7 of 7 claims hold" and all(line.startswith("yes ") for line in lines[1:8])
    assert "from JAX's, 1e-09 allowed" in lines[1]
    assert "weights (1, 0): boundary=closed" in lines[3] and lines[3].endswith("  bit for bit")
    assert lines[5].endswith("forward lock kept, update lock broken, backward lock 2 units, 1 up")
    assert lines[8:] == [
        "what it promises, unit by unit:",
        "    unit 1   0.75 ∂L_1 + 0.25 ∂L_2",
        "    unit 2   0.5 ∂L_1 + 0.5 ∂L_2",
        "    unit 3   0.75 ∂L_2 + 0.25 ∂L_3",
        "    unit 4   0.5 ∂L_2 + 0.5 ∂L_3",
        "    unit 5   ∂L_3",
        "    unit 6   ∂L_3",
    ]


def test_phases_are_certified_one_by_one():
    certificate, _ = says(RULES["pgl"])
    what = [claim.what for claim in certificate.claims]
    assert {"gradients of units, local epochs", "gradients of units, global epochs"} <= set(what)
    assert {"locality is as it says, local epochs", "locality is as it says, global epochs"} <= set(what)
    assert (certificate.promised["global epochs"] == [0, 0, 1]).all()
    assert (
        certificate.promised["local epochs"].tolist()
        == promised(ml.rules.backlink(), ml.Learner(NET, ml.rules.backlink(), 3, rng=ml.rng(0)).modules).tolist()
    )


@pytest.mark.parametrize("off", [1.01, 1 + 1e-6])
def test_a_loss_whose_error_is_not_its_derivative(off):
    certificate, wrong = says(ml.rules.compose("wrong", objective=Squared(off), boundary=Fading()))
    assert not certificate and set(wrong) == {"gradients of units", "gradients of the losses' weights"}
    assert all("from finite differences" in text and "has no form in JAX" in text for text in wrong.values())
    assert "NO  gradients of units " in repr(certificate) and "wrong: 5 of 7 claims hold" in repr(certificate)


def test_without_a_form_in_jax_differences_certify_the_same_rules(monkeypatch):
    def missing(*a: Any) -> Any:
        raise NoReference("Linear", "layers.py")

    reference = pytest.importorskip("minilocal.verify.reference.plain")
    monkeypatch.setattr(reference, "plain_gradients", missing)
    for name in ("backlink", "total", "pgl", "accumulate"):
        certificate, wrong = says(RULES[name])
        assert not wrong and "(Linear has no form in JAX)" in certificate.claims[0].result, certificate


@pytest.mark.parametrize("by", ["jax", "differences"])
def test_an_engine_that_mixes_wrongly_is_seen(by, monkeypatch):
    from minilocal.engine import synchronous

    if by == "differences":
        monkeypatch.setattr("minilocal.verify.certificate._by_jax", lambda *a: (None, "JAX is not installed"))
    else:
        pytest.importorskip("jax")
    right = synchronous.mix
    monkeypatch.setattr(synchronous, "mix", lambda one, other, a, b: right(one, other, a, b + 1e-5))
    _, wrong = says(RULES["backlink"])
    assert next(iter(wrong)) == "gradients of units" and "losses" not in " ".join(wrong)


@pytest.mark.parametrize("by", ["jax", "differences"])
def test_nothing_is_claimed_of_weights_that_are_not_there(by, monkeypatch):
    """Under BP an MLP has no loss with weights of its own."""
    if by == "differences":
        monkeypatch.setattr("minilocal.verify.certificate._by_jax", lambda *a: (None, "JAX is not installed"))
    else:
        pytest.importorskip("jax")
    what = [claim.what for claim in certify(ml.rules.bp(), NET).claims]
    assert "gradients of units" in what and "gradients of the losses' weights" not in what


def test_a_rule_that_is_never_the_same_twice():
    class Counting(Fading):
        calls = 0

        def weights(self, j: int) -> tuple[float, float]:
            Counting.calls += 1
            return 1.0, 0.1 * (Counting.calls % 7)

    _, wrong = says(ml.rules.compose("counting", objective=ml.objectives.classifier("0c1f"), boundary=Counting()))
    assert wrong["ten steps, twice"] == wrong["ten steps, copied after five"] == "the losses differ"
    assert wrong["all else"] == "two runs differ: nothing to compare"


def test_an_error_that_does_not_cross_where_the_rule_says_so(monkeypatch):
    from minilocal.engine import synchronous

    monkeypatch.setattr(synchronous, "mix", lambda g_loc, g_glb, a, b: g_loc)
    _, wrong = says(RULES["backlink"])
    assert wrong["locality is as it says"].startswith("boundary 1|2: measured ErrorPath(units=0")


def test_a_limit_that_does_not_hold_names_the_first_gradient_that_differs():
    class Twice(ml.objectives.ClassifierLoss):
        def backward(self, cache: Any, p: Any = None, need: Any = "both") -> Any:
            error, grads = super().backward(cache, p, need)
            return None if error is None else 2 * error, grads

    class TwiceAtTheTop(Squared):
        def last(self, head: Sequential, context: ml.objectives.ModuleContext) -> Any:
            return Twice(head)

    _, wrong = says(ml.rules.compose("last", objective=TwiceAtTheTop(), boundary=Fading()))
    assert wrong["one module: BP"] == "layers.0.weight differs" and "gradients of units" in wrong


def test_the_ten_losses_are_the_same_every_time():
    one, two = (certify(RULES["backlink"], NET).losses for _ in range(2))
    assert one.shape == (10, 3) and np.array_equal(one, two) and np.isfinite(one).all()
    assert np.isnan(certify(ml.rules.bp(), NET).losses[:, :2]).all()


@pytest.mark.parametrize("name", ["ddg", "fdg", "dni"])
def test_a_rule_whose_gradients_belong_to_other_batches_is_refused(name):
    with pytest.raises(ml.UserError, match="certify takes rules whose errors arrive within the step"):
        certify(ml.rules.get(name), NET)


def test_what_else_is_refused():
    with pytest.raises(ml.UserError, match="certify takes rules"):
        certify(ml.rules.dgl(buffer=2), NET)
    with pytest.raises(ml.UserError, match="one module has none"):
        certify(ml.rules.bp(), NET, modules=1)
    with pytest.raises(ml.UserError, match="call it"):
        certify(ml.rules.gll, NET)  # type: ignore[arg-type]


def test_an_error_is_scaled_at_every_boundary_without_local_losses_too():
    class HalfOpen(ml.boundaries.Boundary):
        passes_on = True
        provides_error = True

        def linked_units(self, units: int) -> int:
            return units

        def sends(self, units: int) -> tuple[float, float]:
            return 1.0, 0.5

    certificate, wrong = says(ml.rules.compose("half open", boundary=HalfOpen()))
    assert not wrong and certificate.promised[""][:, 2].tolist() == [0.5, 0.5, 1, 1, 1, 1]
