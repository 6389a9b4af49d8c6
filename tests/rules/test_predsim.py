"""PredSim against autograd, at the limits of β, and the weight of its last loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.verify.compare import DOUBLE
from minilocal.verify.objectives import CASES
from minilocal.verify.synchronous import relative_errors
from tests.helpers.host import host

X = ml.rng(1).standard_normal((6, 8, 8, 3))
Y = np.array([0, 1, 2, 3, 1, 0])
NET = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))


def make_learner(modules, **options):
    return ml.Learner(NET, ml.rules.predsim(**options), modules, rng=ml.rng(0), dtype="float64")


@pytest.mark.parametrize("case", [CASES["PredSim"][i] for i in (0, 2, 4)], ids=str)
def test_against_autograd(case):
    assert max(relative_errors(case).values()) <= DOUBLE


def test_7_beta_0_is_gll_with_the_pooled_linear_classifier():
    """Every map in one block: 0c1f, up to the round-off of another way to average."""
    ours = make_learner(4, beta=0.0, dim_in_decoder=1)
    gll = ml.Learner(NET, ml.rules.gll(), 4, rng=ml.rng(0), dtype="float64")
    names = {f"aux.{k}.2.{what}": f"aux.{k}.pred.2.{what}" for k in range(3) for what in ("weight", "bias")}
    ours.load({new: gll.parameters()[old] for old, new in names.items()})
    (losses, grads), (expected, of_gll) = ours.gradients(X, Y), gll.gradients(X, Y)
    np.testing.assert_allclose(losses, host(expected), rtol=1e-12)
    for name, g in of_gll.items():
        np.testing.assert_allclose(grads[names.get(name, name)], host(g), rtol=1e-10, atol=1e-13)
    assert not any(grads[f"aux.{k}.sim.0.weight"].any() for k in range(3))


def test_the_last_loss_has_the_weight_that_is_asked_for():
    """A hundredth of the gradient in the paper's code, all of it in AugLocal's port; reported is what is taught."""
    by_weight = {w: make_learner(2, beta=0.99, final_weight=w).gradients(X, Y) for w in (1.0, "1-beta", 0.25, 2)}
    last = [*make_learner(2).modules[1].parameters(), "fc.weight", "fc.bias"]
    for w, share in (("1-beta", 0.01), (0.25, 0.25), (2, 2)):
        assert (
            np.isclose(by_weight[w][0][1], share * by_weight[1.0][0][1]) and by_weight[w][0][0] == by_weight[1.0][0][0]
        )
        for name, g in by_weight[1.0][1].items():
            expected = share * g if name in last else g
            np.testing.assert_allclose(by_weight[w][1][name], expected, rtol=1e-9, atol=1e-15)


def test_in_float32_it_is_itself():
    kinds: list[dict[str, Any]] = [{}, {"final_weight": "1-beta"}]
    for options in kinds:
        learner = ml.Learner(NET, ml.rules.predsim(**options), 3, rng=ml.rng(0))
        losses, grads = learner.gradients(X.astype("f4"), Y)
        expected = make_learner(3, **options).gradients(X, Y)
        assert {g.dtype for g in grads.values()} == {np.dtype("float32")}
        np.testing.assert_allclose(host(losses), expected[0], rtol=1e-5)
        for name, g in expected[1].items():
            assert np.abs(grads[name] - g).max() <= 1e-3 * np.abs(g).max() + 1e-7, name


WRONG = [
    ({"beta": 1.01}, r"beta 1.01 is outside \[0, 1\]"), ({"beta": -0.1}, "outside"), ({"beta": "1"}, "outside"),
    ({"beta": float("nan")}, "outside"), ({"dim_in_decoder": 0}, "1 or more"), ({"zero": 1}, "true or false"),
    ({"final_weight": "beta"}, "or '1-beta'"), ({"final_weight": 0}, "above 0"),
]  # fmt: skip


@pytest.mark.parametrize("options, says", WRONG)
def test_wrong_options_are_one_line(options, says):
    with pytest.raises(ml.UserError, match=says) as caught:
        ml.rules.predsim(**options)
    assert "\n" not in str(caught.value)
