"""Networks: their units and parameters as published, and their forward and backward against autograd."""

import json
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.errors import UserError
from minilocal.nets import count
from minilocal.nets.recipe import from_recipe, matches_recipe
from minilocal.verify.compare import DOUBLE
from minilocal.verify.nets import CASES, LARGE, relative_errors
from tests.helpers.host import host

COUNTS = [  # name, options, units, parameters for 10 and 100 classes
    ("resnet20", {"shortcut": "A-both"}, 10, 269_722, 275_572),
    ("resnet20", {}, 10, 272_474, 278_324),
    ("resnet32", {"shortcut": "A-end"}, 16, 464_154, 470_004),
    ("resnet32", {}, 16, 466_906, 472_756),
    ("resnet56", {"shortcut": "A-end"}, 28, 853_018, 858_868),
    ("resnet56", {}, 28, 855_770, 861_620),
    ("resnet110", {"shortcut": "A-both"}, 55, 1_727_962, 1_733_812),
    ("resnet110", {}, 55, 1_730_714, 1_736_564),
    ("resnet18", {}, 9, 11_173_962, 11_220_132),
]


@pytest.mark.parametrize("name, options, units, ten, hundred", COUNTS)
def test_parameters_and_units(name, options, units, ten, hundred):
    for classes, parameters in ((10, ten), (100, hundred)):
        net = ml.nets.get(name, classes=classes, rng=ml.rng(0), **options)
        assert len(net.units) == units and count(net.parameters()) == parameters


def test_parameters_and_units_of_wrn_28_10():
    net = ml.nets.get("wrn28-10", rng=ml.rng(0))
    assert len(net.units) == 13 and count(net.parameters()) == 36_489_290
    assert count(net.parameters()) + 90 * 641 == 36_546_980, "100 classes: 90 more columns of 640 weights and a bias"


@pytest.mark.parametrize("hidden, parameters", [(512, 15_253_578), (4096, 33_646_666)])
def test_vgg16(hidden, parameters):
    net = ml.nets.vgg16(rng=ml.rng(0), hidden=hidden)
    assert len(net.units) == 16 and count(net.parameters()) == parameters and not net.head.layers


@pytest.mark.parametrize("name", ["vgg16", "alexnet"])
def test_batch_norm_in_hidden_fully_connected_layers_on_request(name):
    """As in torch.nn.Sequential(Dropout, Linear, BatchNorm1d, ReLU, ..., Linear): two numbers a feature more."""
    plain, normed = (ml.nets.get(name, rng=ml.rng(0), fc_norm=asked) for asked in (None, True))
    hidden = plain.parameters()["classifier.1.bias"].size
    assert count(normed.parameters()) == count(plain.parameters()) + 2 * 2 * hidden
    names = [n for n in normed.parameters() if n.startswith("classifier") and n.endswith("weight")]
    assert names == [f"classifier.{i}.weight" for i in (1, 2, 5, 6, 8)]
    assert [n for n in normed.buffers() if n.startswith("classifier") and n.endswith("mean")] == [
        f"classifier.{i}.running_mean" for i in (2, 6)
    ]
    assert [len(unit.children()) for unit in normed.units[-3:]] == [4, 3, 1] and len(normed.units) == len(plain.units)
    same = ml.nets.get(name, rng=ml.rng(0), fc_norm=False).parameters()
    assert same.keys() == plain.parameters().keys()


def test_other_networks_have_no_such_choice():
    with pytest.raises(UserError, match="fc_norm True was asked for, but resnet8 has none to choose"):
        ml.nets.get("resnet8", rng=ml.rng(0), fc_norm=True)


def test_alexnet():
    net = ml.nets.alexnet(rng=ml.rng(0))
    assert len(net.units) == 8 and count(net.parameters()) == 7_507_914 and not net.head.layers
    assert net.shapes[4] == (4, 4, 256)


def test_mlp():
    net = ml.nets.mlp((256, 256, 256), rng=ml.rng(0))
    assert len(net.units) == 4 and count(net.parameters()) == 3072 * 256 + 256 + 2 * (256 * 256 + 256) + 2570


@pytest.mark.parametrize("n, units", [(8, 4), (20, 10), (32, 16), (44, 22)])
def test_a_resnet_halves_its_maps_twice(n, units):
    net = ml.nets.resnet(n, rng=ml.rng(0))
    m = (n - 2) // 6
    assert net.shapes == [(32, 32, 16)] * (m + 1) + [(16, 16, 32)] * m + [(8, 8, 64)] * m and len(net.units) == units


def test_the_names_are_those_of_common_pytorch_code():
    names = ml.nets.resnet(8, rng=ml.rng(0)).parameters()
    assert {"conv1.weight", "bn1.bias", "layer2.0.conv1.weight", "layer2.0.downsample.0.weight"} <= names.keys()
    names = ml.nets.vgg16(rng=ml.rng(0), hidden=8).parameters()
    assert {"features.0.weight", "classifier.1.weight", "classifier.4.bias", "classifier.6.weight"} <= names.keys()


@pytest.mark.parametrize("name", [name for name in CASES if name not in LARGE])
def test_forward_and_backward_against_autograd(name):
    gaps = relative_errors(name)
    assert max(gaps.values()) <= DOUBLE, gaps


@pytest.mark.parametrize("options", [{}, {"fc_norm": True}], ids=str)
@pytest.mark.parametrize("name", ["alexnet", "vgg16"])
def test_a_large_network_by_a_directional_derivative(name, options):
    """⟨∇L, u⟩ against (L(w + εu) - L(w - εu)) / 2ε in float64, the masks of dropout held."""
    make = {"alexnet": ml.nets.alexnet, "vgg16": ml.nets.vgg16}[name]
    net = make(classes=5, hidden=16, rng=ml.rng(0), **options)
    learner = ml.Learner(net, ml.rules.bp(), 2, rng=ml.rng(0), dtype="float64")
    rng = ml.rng(1)
    x, y = rng.standard_normal((3, 32, 32, 3)), np.arange(3)
    _, grads = learner.gradients(x, y)
    start = {name: a.copy() for name, a in learner.parameters().items()}
    u = {name: host(a).std() * rng.standard_normal(a.shape) for name, a in start.items()}

    def at(s: float) -> float:
        learner.load({name: start[name] + s * u[name] for name in u})
        return float(learner.gradients(x, y)[0][-1])

    eps = 1e-6
    forth, back = (at(eps) - at(-eps)) / (2 * eps), sum((grads[name] * u[name]).sum() for name in u)
    assert abs(forth - back) <= 1e-5 * abs(back)


@pytest.mark.parametrize("name", ["mlp", "resnet8", "resnet18", "wrn10-1", "alexnet", "vgg16"])
def test_images_that_are_not_square(name):
    """A kernel transposed, on an image transposed, gives the map transposed; a recipe has the two sides."""
    wide, high = (ml.nets.get(name, rng=ml.rng(0), channels=2, size=size) for size in ((33, 64), (64, 33)))
    assert wide.shape == (33, 64, 2) and high.shape == (64, 33, 2) and "33×64×2" in repr(wide)
    assert wide.recipe and wide.recipe["size"] == [33, 64]
    again = from_recipe(json.loads(json.dumps(wide.recipe)))
    assert again.shape == wide.shape and matches_recipe(again)
    first, second = (ml.Learner(net, ml.rules.bp(), 1, rng=ml.rng(0), dtype="float64") for net in (wide, high))
    weights = {name: a.transpose(1, 0, 2, 3) if a.ndim == 4 else a for name, a in first.parameters().items()}
    x = ml.rng(1).standard_normal((2, 33, 64, 2))
    flattened = {"mlp": ("layers.0.weight", (2, 33, 64)), "alexnet": ("classifier.1.weight", (256, 4, 8))}
    if name in flattened:  # the rows of these weights follow the pixels
        layer, (C, H, W) = flattened[name]
        weights[layer] = weights[layer].reshape(C, H, W, -1).transpose(0, 2, 1, 3).reshape(C * H * W, -1)
    second.load(weights)
    expected = host(first.predict(x))
    assert abs(host(second.predict(x.transpose(0, 2, 1, 3))) - expected).max() <= 1e-9 * abs(expected).max()


@pytest.mark.parametrize("size", [(32,), (32, 32, 3), (32, 0), (32, 1.5), "32", None])
def test_a_size_that_is_none(size: Any) -> None:
    with pytest.raises(UserError, match="resnet8: size = "):
        ml.nets.resnet(8, size=size, rng=ml.rng(0))


def test_images_that_are_too_small_are_refused():
    with pytest.raises(UserError, match="images of 64×31: it needs 32×32 or more"):
        ml.nets.alexnet(size=(64, 31), rng=ml.rng(0))
    with pytest.raises(UserError, match="32×32 or more"):
        ml.nets.vgg16(size=16, rng=ml.rng(0))
    with pytest.raises(UserError, match=r"the depth is 6m \+ 2"):
        ml.nets.resnet(18, rng=ml.rng(0))
