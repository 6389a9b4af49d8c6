"""InfoPro against autograd, as GLL at λ = (0, 1), and the values that it refuses."""

from __future__ import annotations

import re

import numpy as np
import pytest

import minilocal as ml
from minilocal.objectives.infopro import LAMBDAS
from minilocal.verify.compare import DOUBLE
from minilocal.verify.objectives import CASES
from minilocal.verify.synchronous import relative_errors
from tests.helpers.host import host

X = ml.rng(1).standard_normal((6, 8, 8, 3)).astype("f4")
Y = np.array([0, 1, 2, 3, 1, 0])
NET = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))


@pytest.mark.parametrize("case", [*CASES["InfoPro, softmax"][0:3:2], CASES["InfoPro, contrast"][0]], ids=str)
def test_against_autograd(case):
    assert max(relative_errors(case).values()) <= DOUBLE


@pytest.mark.parametrize("modules", [2, 4])
def test_6_without_reconstruction_it_is_gll_bit_for_bit(modules):
    ours = ml.Learner(NET, ml.rules.infopro(lambdas=[0, 1, 0, 1]), modules, rng=ml.rng(0))
    gll = ml.Learner(NET, ml.rules.gll(aux="1c2f"), modules, rng=ml.rng(0))
    new = {n: re.sub(r"^(aux\.\d+)", r"\1.classifier", n) for n in [*gll.parameters(), *gll.buffers()]}
    ours.load({new[n]: a for n, a in gll.parameters().items()})
    for _ in range(3):
        assert np.array_equal(host(ours.step(X, Y, lr=0.1)), host(gll.step(X, Y, lr=0.1)))
    arrays = {**ours.parameters(), **ours.buffers()}
    assert all(np.array_equal(host(arrays[new[n]]), host(a)) for n, a in {**gll.parameters(), **gll.buffers()}.items())


@pytest.mark.parametrize("version", ["softmax", "contrast"])
def test_in_float32_it_is_itself(version):
    rule = ml.rules.infopro(version=version, lambdas=[5, 0.5, 0.25, 2])
    single, double = (ml.Learner(NET, rule, 3, rng=ml.rng(0), dtype=d) for d in ("float32", "float64"))
    (losses, grads), (expected, exact) = single.gradients(X, Y), double.gradients(X, Y)
    assert {g.dtype for g in grads.values()} == {np.dtype("float32")}
    np.testing.assert_allclose(host(losses), host(expected), rtol=1e-5)
    largest = max(np.abs(host(g)).max() for g in exact.values())
    for name, g in exact.items():
        assert np.abs(host(grads[name] - g)).max() <= 1e-3 * np.abs(host(g)).max() + 1e-6 * largest, name


def test_the_image_reaches_every_module_and_the_last_one_does_not_ask_for_it():
    """A first unit of zeros cannot tell two batches apart; those who rebuild them can."""
    rule = ml.rules.infopro(lambdas=[5, 0.5, 5, 0.5])
    learner = ml.Learner(NET, rule, 3, rng=ml.rng(0))
    learner.load({"conv1.weight": np.zeros((3, 3, 3, 16))})
    a, b = learner.gradients(X, Y)[0], learner.gradients(X + 1, Y)[0]
    assert (a[:2] != b[:2]).all() and a[2] == b[2]


def test_published_totals():
    """ResNet-32 at K = 16: 466 906 and for every module below the last a decoder and 1c2f."""
    learner = ml.Learner(ml.nets.resnet(32, rng=ml.rng(0)), ml.rules.infopro(), 16, rng=ml.rng(0))
    decoders, classifiers = 6 * 2091 + 5 * 3819 + 4 * 7275, 6 * 10186 + 5 * 28170 + 4 * 46602
    assert ml.nets.count(learner.parameters()) == 466_906 + decoders + classifiers


@pytest.mark.parametrize("net, modules", [("mlp", 2), ("vgg16", 16), ("alexnet", 8)])
def test_fully_connected_units_are_refused_when_the_learner_is_built(net, modules):
    network = ml.nets.get(net, rng=ml.rng(0))
    with pytest.raises(ml.UserError, match=r"module \d+ of \d+ ends with a fully connected unit") as caught:
        ml.Learner(network, ml.rules.infopro(), modules, rng=ml.rng(0))
    assert "\n" not in str(caught.value)


def test_a_network_that_ends_fully_connected_is_no_obstacle():
    ml.Learner(ml.nets.mlp((5,), rng=ml.rng(0)), ml.rules.infopro(), 1, rng=ml.rng(0))
    ml.Learner(ml.nets.get("alexnet", rng=ml.rng(0)), ml.rules.infopro(), [3, 5], rng=ml.rng(0))


WRONG = [
    ({"lambdas": [1, 2]}, "2 lambdas: give four"), ({"lambdas": []}, "0 lambdas"), ({"lambdas": 5}, "1 lambdas"),
    ({"lambdas": [1, 2, 3, 4, 5]}, "5 lambdas"), ({"lambdas": [1, -1, 1, 1]}, "0 or more"),
    ({"lambdas": [1, "a", 1, 1]}, "0 or more"), ({"lambdas": "resnet32"}, "did you mean 'resnet32-cifar10'"),
    ({"version": "soft"}, "did you mean 'softmax'"), ({"aux": "9c9f"}, "auxiliary network '9c9f'"),
    ({"temperature": 0.5}, "is of the contrast"),
    ({"temperature": 0}, "above 0"), ({"std": [0.1, 0, 0.1]}, "above 0"), ({"mean": "x"}, "give numbers"),
]  # fmt: skip


@pytest.mark.parametrize("options, says", WRONG)
def test_wrong_options_are_one_line(options, says):
    with pytest.raises(ml.UserError, match=says) as caught:
        ml.rules.infopro(**options)
    assert "\n" not in str(caught.value)


PUBLISHED = """
resnet32-cifar10          2: 5 1 0 0      4: 6 0 1 2       8: 5 0 0 2      16: 5 0.05 0.2 0.5
resnet110-cifar10         2: 5 0.5 0 0    4: 1 0 0 1       8: 5 0 0 1      16: 5 0 0.5 1
resnet110-stl10           2: 10 1 0 0     4: 20 0.2 5 2    8: 20 0.2 5 1   16: 20 0.5 10 0.1
resnet110-svhn            2: 1 0.1 0 0    4: 5 0 0.5 1     8: 5 0 0.5 2    16: 5 0.2 0.5 1
resnet110-cifar10-star    2: 5 0.1 0 0    3: 5 0 5 0.1     4: 5 0 5 0.1
resnet110-stl10-star      2: 20 1 0 0     3: 20 0.5 5 2    4: 20 0.5 10 1
"""


def test_the_published_lambdas_are_those_of_the_authors_code():
    """ixx_1, ixy_1, ixx_2, ixy_2 for each K, in the names of that code."""
    printed = {}
    for line in PUBLISHED.strip().splitlines():
        name, _, rest = line.partition(" ")
        cells = re.findall(r"(\d+): ([\d. ]+?)(?=\s{2,}|$)", rest)
        printed[name] = {int(K): tuple(map(float, numbers.split())) for K, numbers in cells}
    assert printed == LAMBDAS
