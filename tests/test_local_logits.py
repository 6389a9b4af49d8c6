"""`Learner.local_logits`: what every module's own classifier says, in evaluation mode."""

from __future__ import annotations

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import PassContext
from tests.fake.device import counting, fake
from tests.helpers.host import host

K = 3
X, Y = ml.rng(1).standard_normal((300, 8, 8, 3)), ml.rng(2).integers(0, 4, 300)  # more than one portion
LINK = ml.boundaries.link(1)
CLASSIFY = {name: ml.rules.get(name) for name in ("gll", "backlink", "dgl", "predsim", "infopro", "pgl")} | {
    "infopro, star": ml.rules.infopro(lambdas=(1, 1, 1, 1)),
    "backlink and predsim": ml.rules.compose(objective=ml.objectives.predsim(), boundary=LINK),
}
SILENT = {name: ml.rules.get(name) for name in ("bp", "dni", "ddg", "fdg")} | {
    "infopro, contrast": ml.rules.infopro(version="contrast"),
    "predsim, similarity only": ml.rules.predsim(beta=1.0),
}


def make_learner(rule, **options):
    net = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
    learner = ml.Learner(net, rule, K, rng=ml.rng(1), **options)
    learner.step(X[:8].astype("f4"), Y[:8], lr=0.05) if not options.get("device") else None
    return learner


@pytest.mark.parametrize("name", CLASSIFY)
def test_every_module_with_a_classifier_has_logits(name):
    logits = make_learner(CLASSIFY[name]).local_logits(X)
    lambdas = name == "infopro"  # the published ones of K = 4 leave the classifier of module 1 out
    assert [z is None for z in logits] == [lambdas, False, False]
    assert all(z.shape == (300, 4) and z.dtype == np.float32 for z in logits if z is not None)


@pytest.mark.parametrize("name", SILENT)
def test_a_module_without_a_classifier_that_learns_has_none(name):
    assert [z is None for z in make_learner(SILENT[name]).local_logits(X)] == [True, True, False]


@pytest.mark.parametrize("name", [*CLASSIFY, *SILENT])
def test_the_last_entry_is_predict_bit_for_bit_and_nothing_changes(name):
    learner = make_learner((CLASSIFY | SILENT)[name])
    before = learner.state()
    assert np.array_equal(learner.local_logits(X)[-1], learner.predict(X))
    assert all(np.array_equal(before[n], a) for n, a in learner.state().items())


def test_a_modules_logits_are_its_auxiliary_network_behind_its_units():
    learner = make_learner(ml.rules.backlink(aux="1c2f"), dtype="float64")
    h, run = X, PassContext(training=False)
    for module, logits in zip(learner.modules, learner.local_logits(X), strict=True):
        for unit in module.units:
            h, _ = unit.forward(h, run, {**learner.parameters(), **learner.buffers()})
        z, _ = module.objective.network.forward(h, run, {**learner.parameters(), **learner.buffers()})
        np.testing.assert_allclose(logits, z, rtol=1e-12, atol=1e-14)  # portions of 256: other sums in a product


def test_a_network_of_one_module_has_its_head_alone():
    net = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
    learner = ml.Learner(net, ml.rules.gll(), 1, rng=ml.rng(1))
    (only,) = learner.local_logits(X)
    assert np.array_equal(host(only), host(learner.predict(X)))


def test_an_own_objective_without_logits_has_none():
    class Mute:
        parameters, buffers = {}, {}

        def forward(self, h, batch, run, p=None):
            return (h * h).mean().astype("f8"), h

        def backward(self, cache, p=None, need="both"):
            return 2 * cache / cache.size, {}

        def update_running_stats(self, cache, p=None):
            pass

    class Own(ml.objectives.ObjectiveSpec):
        def build(self, place):
            return Mute()

    learner = make_learner(ml.rules.compose(objective=Own(), boundary=ml.boundaries.closed()))
    assert [z is None for z in learner.local_logits(X)] == [True, True, False]


def test_on_a_device_nothing_waits_and_nothing_is_copied(monkeypatch):
    monkeypatch.setattr(fake, "kernels", False)
    on_device, on_host = (make_learner(ml.rules.backlink(), dtype="float64", device=d) for d in (fake, "cpu"))
    on_host.load({n: a.get() for n, a in {**on_device.parameters(), **on_device.buffers()}.items()})
    x = fake.asarray(X)
    with counting() as counts:
        logits = on_device.local_logits(x)
    assert counts.syncs == counts.uploads == 0
    for z, expected in zip(logits, on_host.local_logits(X), strict=True):
        np.testing.assert_allclose(z.get(), expected, rtol=1e-9, atol=1e-12)
