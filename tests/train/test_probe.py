"""`ml.linear_probes`: a linear classifier on each module's output, of a network that stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import record
from minilocal.train import dataset_of, load, probe, train
from tests.fake.device import fake
from tests.helpers.small_run import configuration

K = 3


def nothing() -> None: ...


@pytest.fixture(scope="module")
def digits():
    return ml.data.load("digits", limit_train=120, limit_test=40)


def make_learner(rule, **options):
    rng = ml.rng(0)
    net = ml.nets.resnet(8, classes=10, channels=1, size=16, rng=rng)
    return ml.Learner(net, rule, K, rng=rng, **options)


@pytest.mark.parametrize("rule", ["bp", "gll", "fdg"])
def test_every_module_has_an_error_and_nothing_changes(digits, rule):
    learner = make_learner(ml.rules.get(rule))
    for x, y in digits.batches(0, 60):
        learner.step(x, y, lr=0.05)
    before = learner.state()
    errors = ml.linear_probes(learner, digits, steps=3)
    assert len(errors) == K and all(0 <= error <= 100 for error in errors)
    assert errors == ml.linear_probes(learner, digits, steps=3)
    assert before.keys() == learner.state().keys()
    assert all(np.array_equal(before[name], a) for name, a in learner.state().items())


def test_features_are_the_outputs_of_modules_averaged_over_positions(digits):
    learner = make_learner(ml.rules.gll(), dtype="float64")
    features: Any = probe._features(learner, digits.test_x, digits, nothing)
    h, arrays = digits.normalise(digits.test_x, "float64"), {**learner.parameters(), **learner.buffers()}
    for module, own in zip(learner.modules, features, strict=True):
        for unit in module.units:
            h = unit.forward(h, ml.layers.PassContext(training=False), arrays)[0]
        np.testing.assert_allclose(own, h.reshape(len(h), -1, h.shape[-1]).mean(axis=1), rtol=1e-12)


def test_features_are_standardised_by_the_training_images_and_a_constant_one_is_0():
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((50, 3)) * [1, 10, 0] + [5, 0, 2], rng.standard_normal((7, 3))
    standardised: Any = probe._standardised(train, test)
    one, two = standardised
    np.testing.assert_allclose(one.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(one.std(axis=0), [1, 1, 0], atol=1e-12)
    np.testing.assert_allclose(two[:, :2], ((test - train.mean(axis=0))[:, :2] / train[:, :2].std(axis=0)))
    assert not two[:, 2].any()


def test_the_descent_ends_at_the_minimum_of_the_loss():
    """There the gradient is 0, λ w included; the loss is strictly convex, so there is one such point."""
    rng = np.random.default_rng(1)
    x, labels = rng.standard_normal((60, 4)), rng.integers(0, 3, 60)
    weights = _weights(x, labels, 800)
    z = x @ weights["probe.weight"] + weights["probe.bias"]
    p = np.exp(z - z.max(axis=1, keepdims=True))
    dz = (p / p.sum(axis=1, keepdims=True) - np.eye(3)[labels]) / 60
    decay = probe.DESCENT.weight_decay
    np.testing.assert_allclose(x.T @ dz + decay * weights["probe.weight"], 0, atol=1e-10)
    np.testing.assert_allclose(dz.sum(axis=0) + decay * weights["probe.bias"], 0, atol=1e-10)


def _weights(x: np.ndarray, labels: np.ndarray, steps: int) -> dict[str, np.ndarray]:
    """The weights that the descent ends with, read where the optimiser gets them."""
    seen: dict[str, np.ndarray] = {}

    class Spy(ml.optim.SGD):
        def update(self, updates: Any, lr: Any) -> None:
            super().update(updates, lr)
            seen.update(zip(("probe.weight", "probe.bias"), (w for w, *_ in updates), strict=True))

    own = {f: getattr(probe.DESCENT, f) for f in ("momentum", "weight_decay", "nesterov")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "DESCENT", Spy(**own))
        probe._probe(x, x, labels, 3, steps, nothing)
    return seen


def test_the_rate_is_stable_however_long_it_runs():
    """Correlated features make the curvature large: a rate of 2/L would diverge along the steepest direction."""
    rng = np.random.default_rng(2)
    x = np.repeat(rng.standard_normal((80, 1)), 30, axis=1)
    labels = (x[:, 0] > 0).astype(np.int64)
    weights = _weights(x, labels, 500)
    assert np.isfinite(weights["probe.weight"]).all() and np.abs(weights["probe.weight"]).max() < 10
    assert (probe._probe(x, x, labels, 2, 500, nothing) == labels).all()


def test_what_a_plane_separates_is_found_and_what_it_does_not_is_not():
    rng = np.random.default_rng(3)
    x = rng.choice([-1.0, 1.0], (200, 2))
    of_a_plane, exclusive = (x[:, 0] > 0).astype(np.int64), (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    assert (probe._probe(x, x, of_a_plane, 2, 100, nothing) == of_a_plane).all()
    assert (probe._probe(x, x, exclusive, 2, 100, nothing) != exclusive).mean() > 0.2


def test_a_device_has_the_errors_of_the_host(digits):
    net = ml.nets.mlp((12, 12), classes=10, channels=1, size=16, rng=ml.rng(0))
    errors = [
        ml.linear_probes(ml.Learner(net, ml.rules.gll(), 2, rng=ml.rng(1), device=device), digits, steps=5)
        for device in ("cpu", fake)
    ]
    assert errors[0] == errors[1]


def test_a_run_has_the_errors_of_its_probes_in_the_last_row(tmp_path):
    config = configuration(tmp_path / "run", run__probes=True, optim__epochs=2)
    train(config, bar=False)
    first, last = record.rows(tmp_path / "run")
    _, learner, _ = load(tmp_path / "run")
    assert "probe_errors" not in first
    assert last["probe_errors"] == ml.linear_probes(learner, dataset_of(config))


def test_a_run_with_probes_has_the_weights_of_one_without(tmp_path):
    learners = []
    for probes in (False, True):
        train(configuration(tmp_path / str(probes), run__probes=probes, optim__epochs=1), bar=False)
        learners.append(load(tmp_path / str(probes))[1].state())
    assert all(np.array_equal(a, learners[1][name]) for name, a in learners[0].items())


def test_probes_can_be_interrupted(digits):
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ml.linear_probes(make_learner(ml.rules.gll()), digits, between=stop)


def test_several_processes_are_refused():
    with pytest.raises(ml.UserError, match=r"run.probes = True \(test\) met run.processes = 2 \(test\): it is"):
        configuration(None, run__probes=True, run__processes=2)


def test_what_does_not_fit_is_refused_in_one_line(digits):
    learner = make_learner(ml.rules.gll())
    call: Any = ml.linear_probes
    for arguments, options, line in [
        ((learner, digits), {"steps": 0}, "steps = 0: give a whole number, 1 or more"),
        ((digits, digits), {}, r"linear_probes\(learner, ...\) was given a DataSet for the Learner"),
        ((learner, learner), {}, r"linear_probes\(..., dataset\) was given a Learner for the data set"),
    ]:
        with pytest.raises(ml.UserError, match=line) as refused:
            call(*arguments, **options)
        assert "\n" not in str(refused.value)
