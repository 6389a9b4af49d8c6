"""What nets, Learners and others say of themselves: tables, and one readable line each."""

from __future__ import annotations

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import Layer
from minilocal.memory.per_module import KeptBytes
from minilocal.summary import _bytes

RULES = {name: ml.rules.get(name) for name in ml.rules.NAMES} | {
    "bp, inputs": ml.rules.bp(keep="inputs"),
    "backlink, inputs": ml.rules.backlink(keep="inputs"),
    "asynchronous dgl": ml.rules.dgl(buffer=2, slowed=1, noise=0.5),
}


def kept_bytes(learner: ml.Learner, images: int) -> KeptBytes:
    kept, _ = _bytes(learner, images)
    assert kept is not None
    return kept


def net(n=8):
    return ml.nets.resnet(n, classes=4, size=8, rng=ml.rng(0))


def make_learner(rule=None, modules=3, network=None, **more):
    return ml.Learner(network or net(), rule or ml.rules.backlink(), modules, rng=ml.rng(1), **more)


def test_a_network_says_its_units_shapes_parameters_and_multiplications():
    network = net()
    summary = network.summary()
    lines = summary.splitlines()
    assert repr(summary) == str(summary) and lines[0] == "resnet8: 4 units, images 8×8×3, 4 classes"
    assert lines[4].split() == ["stem", "8×8×16", "464", f"{8 * 8 * 27 * 16:,}"]
    assert lines[-1].split() == ["total", f"{ml.nets.count(network.parameters()):,}", f"{network.macs:,}"]
    assert "head" in summary and "head" not in ml.nets.mlp((5,), rng=ml.rng(0)).summary()


def test_a_learner_says_what_each_module_keeps_and_takes_no_step():
    learner = make_learner(dtype="float64")
    before = learner.state()
    summary = learner.summary(batch_size=5)
    assert all(np.array_equal(before[n], a) for n, a in learner.state().items())
    assert "With 5 images a step takes" in summary and "into the last unit" in summary.splitlines()[1]
    row = next(line for line in summary.splitlines() if line.startswith("layer2.0"))
    aux = ml.nets.count(learner.modules[1].objective.parameters)
    assert row.split()[2] == "2" and f" {aux} " in row and repr(summary) == summary


@pytest.mark.parametrize("name", RULES)
def test_what_a_module_keeps_is_what_a_real_step_keeps(name):
    """The table's bytes come from arrays without memory; here the same is counted on arrays with it."""
    real = make_learner(RULES[name])
    abstract, (x, y) = kept_bytes(real, 6), (ml.rng(2).standard_normal((6, 8, 8, 3)).astype("f4"), np.arange(6) % 4)
    for _ in range(real.rule.least_batches(3) - 1):
        real.step(x, y, lr=0.0)
    with KeptBytes(real, (x, y)) as kept:
        real.step(x, y, lr=0.0)
    assert (abstract.peak, abstract.waiting) == (kept.peak, kept.waiting)


def test_backlink_waits_with_its_linked_units_gll_with_nothing_and_bp_with_everything():
    waiting = {}
    for name in ("bp", "gll", "backlink", "backlink, inputs"):
        kept = kept_bytes(make_learner(RULES[name], 4, net(20)), 4)
        waiting[name] = kept.waiting
        assert kept.waiting[-1] == 0
    assert waiting["gll"] == [0] * 4
    for k in range(3):
        assert 0 < waiting["backlink, inputs"][k] < waiting["backlink"][k] < waiting["bp"][k]


def test_rules_that_hold_batches_wait_with_what_they_hold_between_two_steps():
    """Remembered bytes of 6 images: caches, inputs, messages, stashed weights, and FDG's held gradients of module 3."""
    waiting = {name: kept_bytes(make_learner(RULES[name]), 6).waiting for name in ("ddg", "fdg", "asynchronous dgl")}
    weights = [sum(w.nbytes for unit in m.units for w in unit.parameters.values()) for m in make_learner().modules]
    assert waiting["ddg"] == [371040, 132992, 0] and waiting["ddg"][0] > 2 * weights[0]  # two copies of the weights
    assert waiting["fdg"] == [717504, 253696, 231952]
    assert waiting["asynchronous dgl"] == [0, 58464, 29232]


def test_a_layer_that_reads_numbers_leaves_the_bytes_out():
    class Reads(Layer):
        def forward(self, x, run, p=None):
            return x * float(x.sum() * 0 + 1), None

        def backward(self, dy, cache, p=None, need="both"):
            return None if need == "weights" else dy, {}

    linear = ml.layers.Sequential([ml.layers.Flatten(), ml.layers.Linear(27, 4, ml.layers.Initializer(0), name="fc")])
    own = ml.nets.Net("own", [Reads(), linear], ml.layers.Sequential([]), 4, (3, 3, 3), ml.layers.Initializer(0))
    summary = make_learner(ml.rules.gll(), 2, own).summary()
    assert "The bytes are not known" in summary and "?" in summary


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(ml.UserError, match="batch_size = 0"):
        make_learner().summary(0)


def test_every_object_says_what_it_is_in_a_line():
    digits = ml.data.load("digits")
    for thing in (net(), make_learner(), make_learner().rule, digits, ml.optim.SGD(), *net().units, *net().head.layers):
        line = repr(thing)
        assert "\n" not in line and " at 0x" not in line and len(line) < 250, line
    assert repr(net()) == "<Net resnet8: 4 units, images 8×8×3, 4 classes, 77,652 parameters>"
    assert repr(make_learner()).startswith("<Learner of resnet8 by BackLink: 3 modules of 2, 1, 1 units, SGD(")
    assert repr(net().units[1]) == "Residual('layer1.0', 4,672 parameters)"
    assert repr(digits).startswith("<DataSet digits: ")
