"""DGL: GLL with its own auxiliary networks."""

from __future__ import annotations

import numpy as np
import pytest

import minilocal as ml
from minilocal.verify.compare import DOUBLE
from minilocal.verify.objectives import CASES
from minilocal.verify.synchronous import relative_errors
from tests.helpers.host import host

NET = ml.nets.resnet(8, classes=4, size=16, rng=ml.rng(0))


@pytest.mark.parametrize("case", [c for c in CASES["DGL"] if c.name != "mlp-sr-auglocal"], ids=str)
def test_against_autograd(case):
    assert max(relative_errors(case).values()) <= DOUBLE


@pytest.mark.parametrize("aux", ["mlp-sr", "mlp-sr-auglocal", "mlp", "cnn"])
def test_it_is_gll_with_that_network_bit_for_bit(aux):
    x, y = ml.rng(1).standard_normal((4, 16, 16, 3)).astype("f4"), np.arange(4)
    a, b = (ml.Learner(NET, rule(aux=aux), 3, rng=ml.rng(0)) for rule in (ml.rules.dgl, ml.rules.gll))
    for _ in range(2):
        assert np.array_equal(host(a.step(x, y, lr=0.1)), host(b.step(x, y, lr=0.1)))
    assert all(np.array_equal(host(w), host(b.parameters()[n])) for n, w in a.parameters().items())


def test_the_published_total_of_resnet_110_in_two_modules():
    """1 727 962 of the network with parameter-free shortcuts, 54 858 of one mlp-sr at 32 channels."""
    net = ml.nets.resnet(110, rng=ml.rng(0), shortcut="A-end")
    learner = ml.Learner(net, ml.rules.dgl(), [27, 28], rng=ml.rng(0))
    assert ml.nets.count(learner.parameters()) == 1_727_962 + 54_858


def test_an_unknown_network_is_one_line():
    with pytest.raises(ml.UserError, match="did you mean 'mlp-sr'"):
        ml.rules.dgl(aux="mlpsr")
