"""The Learner's contract, and every wrong thing that can be handed to it."""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any, cast

import numpy as np
import pytest

import minilocal as ml

K = 3


def make_learner(rule=None, *, modules=K, dtype="float64", seed=0, **more):
    net = ml.nets.mlp((12, 11, 10), classes=4, rng=ml.rng(seed), channels=2, size=3)
    return ml.Learner(net, rule or ml.rules.backlink(), modules, rng=ml.rng(seed + 1), dtype=dtype, **more)


@pytest.fixture
def batch():
    rng = ml.rng(5)
    return rng.standard_normal((8, 3, 3, 2)), rng.integers(0, 4, 8)


def test_losses_are_one_float64_a_module_and_nan_where_there_is_none(batch):
    losses, _ = make_learner(ml.rules.bp()).gradients(*batch)
    assert losses.dtype == np.float64 and losses.shape == (K,)
    assert np.isnan(losses[:-1]).all() and np.isfinite(losses[-1])
    assert np.isfinite(make_learner(ml.rules.gll()).gradients(*batch)[0]).all()


def test_gradients_have_the_names_and_shapes_of_parameters_and_change_nothing(batch):
    learner = make_learner()
    before = {n: a.copy() for n, a in learner.state().items()}
    _, grads = learner.gradients(*batch)
    assert list(grads) == list(learner.parameters())
    assert all(g.shape == learner.parameters()[n].shape for n, g in grads.items())
    assert all((before[n] == a).all() for n, a in learner.state().items())


def test_a_step_is_the_gradients_and_the_optimiser(batch):
    a, b = make_learner(optimizer=ml.optim.SGD(momentum=0.0)), make_learner(optimizer=ml.optim.SGD(momentum=0.0))
    losses, grads = a.gradients(*batch)
    assert (losses == b.step(*batch, lr=0.1)).all()
    for name, g in grads.items():
        assert (b.parameters()[name] == a.parameters()[name] - 0.1 * g).all(), name


def test_learners_of_one_net_share_nothing(batch):
    net = ml.nets.mlp((6,), classes=4, rng=ml.rng(0), channels=2, size=3)
    start = {n: a.copy() for n, a in net.parameters().items()}
    one, two = (ml.Learner(net, ml.rules.gll(), 2, rng=ml.rng(1)) for _ in range(2))
    x, y = batch
    one.step(x, y, lr=0.5)
    assert all((net.parameters()[n] == a).all() and (two.parameters()[n] == a).all() for n, a in start.items())


def test_only_parameters_with_a_gradient_move():
    sgd, w = ml.optim.SGD(momentum=0.9, weight_decay=0.1), np.ones(3)
    state: dict[str, Any] = {}
    sgd.update([(w, np.zeros(3), state)], 1.0)
    assert (w == 0.9).all() and set(state) == {"v"}


def test_micro_batches_without_batch_norm_make_the_gradient_of_the_batch(batch):
    whole, parts = make_learner(ml.rules.bp()), make_learner(ml.rules.bp(accumulate=3))
    for name, g in whole.gradients(*batch)[1].items():
        np.testing.assert_allclose(parts.gradients(*batch)[1][name], g, rtol=1e-12, atol=1e-15)


def test_same_seed_same_learner_and_another_seed_another(batch):
    a, b, c = (make_learner(ml.rules.backlink(), seed=s).gradients(*batch)[1] for s in (0, 0, 1))
    assert all((a[n] == b[n]).all() for n in a) and any((a[n] != c[n]).any() for n in a)


def test_state_restores_bit_for_bit_and_goes_on_alike(batch):
    for optimizer in (ml.optim.SGD(momentum=0.9, weight_decay=1e-4, nesterov=True), ml.optim.Adam()):
        one, two = make_learner(optimizer=optimizer), make_learner(optimizer=optimizer, seed=3)
        one.step(*batch, lr=0.1)
        two.restore(one.state())
        for learner in (one, two):
            learner.step(*batch, lr=0.1)
        assert all((a == two.state()[n]).all() for n, a in one.state().items())


def test_load_takes_a_subset_and_checks_names_and_shapes():
    learner = make_learner()
    learner.load({"layers.1.bias": np.full(11, 2.0)})
    assert (learner.parameters()["layers.1.bias"] == 2).all()
    with pytest.raises(ml.UserError, match=r"did you mean 'layers\.1\.bias'"):
        learner.load({"layers.1.bais": np.zeros(11)})
    with pytest.raises(ml.UserError, match="another network"):
        learner.load({"layers.0.bias": np.zeros(12), "layers.1.bias": np.zeros(12)})
    assert (learner.parameters()["layers.0.bias"] != 0).any(), "nothing is loaded when something is wrong"


def test_a_length_beyond_a_module_warns_once_and_is_clamped(batch):
    with pytest.warns(UserWarning, match="BackLink length 3, but module 1 has 2 units"):
        long = make_learner(ml.rules.backlink(length=3), modules=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exact = make_learner(ml.rules.backlink(length=2), modules=2)
    a, b = long.gradients(*batch)[1], exact.gradients(*batch)[1]
    assert all((a[n] == b[n]).all() for n in a)


def test_prediction_uses_the_main_network_alone(batch):
    a, b = make_learner(ml.rules.gll()), make_learner(ml.rules.bp())
    assert (a.predict(batch[0]) == b.predict(batch[0])).all() and a.predict(batch[0]).shape == (8, 4)


def test_a_numpy_learning_rate_widens_nothing(batch):
    a, b = (
        make_learner(dtype="float32", optimizer=ml.optim.SGD(momentum=0.9, weight_decay=1e-4, nesterov=True))
        for _ in range(2)
    )
    for _ in range(2):
        a.step(*batch, lr=0.1)
        b.step(*batch, lr=np.float64(0.1))
    assert all((a.parameters()[n] == p).all() and p.dtype == np.float32 for n, p in b.parameters().items())


def test_a_number_of_modules_may_be_numpys(batch):
    assert len(make_learner(modules=np.int64(2)).modules) == 2


def test_float32_images_may_be_given_to_float64_and_back(batch):
    x, _ = batch
    assert make_learner(dtype="float32").predict(x).dtype == np.float32
    assert make_learner().predict(x.astype("f4")).dtype == np.float64


WRONG = [
    (lambda x, y: (x.transpose(0, 3, 1, 2), y), "channels first"),
    (lambda x, y: (x[:, :2], y), r"images \(8, 2, 3, 2\) met mlp"),
    (lambda x, y: (x[0], y), "takes"),
    (lambda x, y: (x[:0], y[:0]), "no images"),
    (lambda x, y: ((x * 9).astype("uint8"), y), "normalise"),
    (lambda x, y: (x, y[:3]), "one label an image"),
    (lambda x, y: (x.tolist(), y), "images came as a list"),
    (lambda x, y: (x, y.tolist()), "labels came as a list"),
    (lambda x, y: (x, y.astype(float)), "whole numbers"),
    (lambda x, y: (x, y + 4), "labels run from 0 to 3"),
    (lambda x, y: (x, y - 9), "label -9"),
]


@pytest.mark.parametrize("spoil, says", WRONG)
def test_a_wrong_batch_is_one_line_and_changes_nothing(batch, spoil, says):
    learner = make_learner()
    before = {n: a.copy() for n, a in learner.state().items()}
    with pytest.raises(ml.UserError, match=says) as caught:
        learner.step(*spoil(*batch), lr=0.1)
    assert "\n" not in str(caught.value)
    assert all((before[n] == a).all() for n, a in learner.state().items())


CONSTRUCTIONS = [
    (lambda: make_learner(modules=5), "K = 5 modules for a network of 4 units"),
    (lambda: make_learner(modules=0), "give 1 to 4"),
    (lambda: make_learner(modules=[1, 1]), "the network has 4"),
    (lambda: make_learner(dtype="float16"), "float32, float64"),
    (lambda: make_learner(device="gpu"), "Known: cpu, cuda"),
    (lambda: ml.rules.backlink(alpha=1.5), r"alpha 1.5 is outside \[0, 1\]"),
    (lambda: ml.rules.backlink(length=-1), "length = -1"),
    (lambda: ml.rules.backlink(weighting="litteral"), "did you mean 'literal'"),
    (lambda: ml.rules.backlink(aux="1c2"), "did you mean '1c2f'"),
    (lambda: ml.rules.get("backlnk"), "did you mean 'backlink'"),
    (lambda: ml.rules.get("backlink", lenght=2), "did you mean 'length'"),
    (lambda: ml.rules.bp(accumulate=0), "1 or more"),
    (lambda: ml.rules.bp(keep="input"), "did you mean 'inputs'"),
    (
        lambda: ml.rules.compose(objective=ml.objectives.classifier(), boundary=ml.boundaries.closed(), keep="inputs"),
        "none does here",
    ),
    (lambda: make_learner("backlink"), r"minilocal\.rules\.get\('backlink'\)"),
    (
        lambda: ml.rules.compose(objective=ml.objectives.classifier(), boundary=ml.boundaries.open()),
        "a local objective is ignored",
    ),
    (
        lambda: ml.rules.compose(objective=ml.objectives.none(), boundary=ml.boundaries.link()),
        "need the global error",
    ),
    (lambda: ml.nets.get("resnet21", rng=ml.rng(0)), "nearest is ResNet-20"),
    (lambda: ml.nets.get("resnet32x", rng=ml.rng(0)), "did you mean 'resnet32'"),
    (lambda: ml.nets.get("vgg16", rng=ml.rng(0), size=16), "32×32 or more"),
    (lambda: ml.nets.get("vgg16", rng=ml.rng(0), shortcut="B"), "none to choose"),
    (lambda: ml.nets.resnet(8, rng=ml.rng(0), shortcut="C"), "A-both, A-end, B"),
    (lambda: ml.nets.resnet(8, rng=ml.rng(0), init="kaiming"), "initialisation 'kaiming'"),
    (lambda: ml.nets.mlp(classes=1, rng=ml.rng(0)), "2 or more"),
    (lambda: ml.optim.SGD(momentum=-1), "momentum = -1"),
    (lambda: ml.optim.schedule("cosin", 0.1, 10), "did you mean 'cosine'"),
    (lambda: ml.optim.schedule("steps:a,b", 0.1, 10), "steps:EPOCH"),
]


@pytest.mark.parametrize("build, says", CONSTRUCTIONS)
def test_what_does_not_fit_is_refused_in_one_line(build, says):
    with pytest.raises(ml.UserError, match=says) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_arrays_of_two_libraries_are_refused(batch):
    x, elsewhere = batch[0], cast(Any, _Device())
    assert ml.namespace(x, x) is np
    with pytest.raises(TypeError, match=r"arrays met in one call.*to_device"):
        ml.namespace(x, elsewhere)


class _Device:
    """An array that says that it lives elsewhere."""

    def __array_namespace__(self):
        return math


def test_cuda_without_cupy_names_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ml.UserError, match=r"pip install -e '\.\[cuda12\]'"):
        make_learner(device="cuda")
