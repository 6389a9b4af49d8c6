"""float32 in, float32 out, and as many right digits as float32 has: layers, losses, rules."""

import numpy as np
import pytest

import minilocal as ml
from minilocal.verify import losses as loss_checks
from minilocal.verify import rules as rule_checks
from minilocal.verify.compare import OWN, SINGLE, errors
from minilocal.verify.layers import CASES, Inputs, by_engine, by_jax, inputs
from minilocal.verify.synchronous import single_precision

BLOCKS = ("Residual", "PreActivation", "Sequential")  # several layers: their round-off is rules.single's matter


def in_double(t: Inputs) -> Inputs:
    """The same float32 numbers, in float64."""
    wide = {name: a.astype("float64") for name, a in t.p.items()}
    more = {name: a.astype("float64") for name, a in t.more.items()}
    return Inputs(t.layer, wide, t.x.astype("float64"), t.ctx, more, t.dy.astype("float64"))


@pytest.mark.parametrize("case", [c for c in CASES if c.kind not in BLOCKS and not c.large], ids=str)
def test_a_single_layer_loses_five_digits_at_most_two(case):
    t = inputs(case, "float32")
    gaps = errors(by_engine(t), by_jax(in_double(t)))
    assert max(gaps.values()) <= SINGLE, gaps


@pytest.mark.parametrize("shape", [(5, 4), (8, 100)])
@pytest.mark.parametrize("check", [loss_checks.cross_entropy, loss_checks.squared_error])
def test_losses(check, shape):
    assert max(check(shape, 1.0, "float32").values()) <= SINGLE


@pytest.mark.parametrize("case", rule_checks.SINGLE.values(), ids=str)
def test_a_rule_loses_no_more_than_three_times_what_autograd_loses(case):
    ours, theirs = single_precision(case)
    assert ours <= OWN * theirs


@pytest.mark.parametrize(
    "rule",
    [ml.rules.bp(accumulate=2), ml.rules.gll(), ml.rules.backlink(keep="inputs")],
    ids=lambda rule: f"{rule.name} {rule.keep} {rule.accumulate}",
)
def test_a_learner_stays_in_float32(rule):
    net = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
    learner = ml.Learner(net, rule, 2, rng=ml.rng(0), optimizer=ml.optim.SGD(momentum=0.9, weight_decay=1e-4))
    x, y = ml.rng(1).standard_normal((4, 8, 8, 3)).astype("float32"), np.arange(4)
    losses, grads = learner.gradients(x, y)
    assert losses.dtype == np.float64 and {g.dtype.name for g in grads.values()} == {"float32"}
    learner.step(x, y, lr=0.1)
    learner.step(x, y, lr=0.1)
    floats = {name: a for name, a in learner.state().items() if not name.startswith("count:") and a.dtype.kind == "f"}
    assert {a.dtype.name for a in floats.values()} == {"float32"}
    assert learner.predict(x).dtype == np.float32
