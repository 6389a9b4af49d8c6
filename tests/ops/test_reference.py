"""`reference()` trains as the fast forms do: equal but for round-off, and to the bit where they share code."""

from __future__ import annotations

import warnings
from contextlib import nullcontext

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import conv_norm
from tests.fake.device import fake

NET = ml.nets.resnet(8, classes=4, size=16, rng=ml.rng(0))
X, Y = ml.rng(1).standard_normal((6, *NET.shape)), np.array([0, 1, 2, 3, 1, 0])
LONGEST = len(X) * 16 * 16  # terms of the longest sums: a weight gradient's and a batch norm's, over all pixels
ROUND_OFF = LONGEST * np.finfo("float64").eps  # of a sum of so many terms, relative to the largest
RULES = {name: ml.rules.get(name) for name in ml.rules.NAMES} | {
    "bp, inputs": ml.rules.bp(keep="inputs"),
    "bp, micro-batches": ml.rules.bp(accumulate=2),
    "backlink, unfolded": ml.rules.backlink(length=2, weighting="unfolded"),
    "infopro, contrast": ml.rules.infopro(version="contrast"),
    "asynchronous dgl": ml.rules.dgl(buffer=1),
}
AT_ONCE = [name for name, rule in RULES.items() if name not in ("ddg", "fdg", "asynchronous dgl")]


def make_learner(rule, net=NET, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"optimizer": ml.optim.SGD(momentum=0.9, weight_decay=1e-3), "dtype": "float64", **options}
        return ml.Learner(net, rule, 3, rng=ml.rng(0), **options)


def gradients(rule, reference, net=NET, **options):
    device = options.get("device")
    x, y = (X, Y) if device is None else (device.asarray(X), device.asarray(Y))
    with ml.ops.reference() if reference else nullcontext():
        _, grads = make_learner(rule, net, **options).gradients(x, y)
    return {name: g if device is None else g.get() for name, g in grads.items()}


def weights_after(rule, reference, steps=3):
    learner = make_learner(rule)
    with ml.ops.reference() if reference else nullcontext():
        for _ in range(steps):
            learner.step(X, Y, lr=0.05)
    return {**learner.parameters(), **learner.buffers()}


def relative_error(ours, theirs):
    """The largest difference, relative to the largest number of all arrays."""
    assert ours.keys() == theirs.keys()
    largest = max(np.abs(a).max() for a in theirs.values())
    return max(np.abs(ours[name] - a).max() for name, a in theirs.items()) / largest


@pytest.mark.parametrize("name", AT_ONCE)
def test_gradients_are_the_fast_ones_but_for_round_off(name):
    assert 0 < relative_error(gradients(RULES[name], True), gradients(RULES[name], False)) < ROUND_OFF


@pytest.mark.parametrize("name", RULES)
def test_three_steps_lead_to_the_same_weights_but_for_round_off(name):
    fast = weights_after(RULES[name], False)
    assert 0 < relative_error(weights_after(RULES[name], True), fast) < ROUND_OFF


def test_a_gradient_that_is_off_by_more_is_seen(monkeypatch):
    fast = gradients(RULES["bp"], False)
    monkeypatch.setattr(conv_norm, "conv2d_stats", _off(ml.ops.conv2d_stats))
    assert relative_error(gradients(RULES["bp"], True), fast) > ROUND_OFF


def _off(forward):
    """A convolution that is wrong in its twelfth digit."""
    return lambda *args: (lambda z, *more: (z * (1 + 1e-11), *more))(*forward(*args))


@pytest.mark.parametrize("name", AT_ONCE)
def test_where_the_plain_code_runs_anyway_no_bit_changes(name, monkeypatch):
    """On a library without kernels of its own."""
    monkeypatch.setattr(fake, "kernels", False)
    fast, plain = (gradients(RULES[name], reference, device=fake, cuda_graph=False) for reference in (False, True))
    assert fast.keys() == plain.keys() and all(np.array_equal(fast[key], g) for key, g in plain.items())


def test_products_too_small_to_be_cut_give_the_same_bits():
    """The fast product of a small MLP is the plain one. Its bias gradients are sums in another order."""
    net = ml.nets.mlp((12, 11), classes=4, size=16, rng=ml.rng(0))
    fast, plain = (gradients(ml.rules.backlink(), reference, net) for reference in (False, True))
    assert all(np.array_equal(fast[name], g) for name, g in plain.items() if name.endswith("weight"))
    assert relative_error(plain, fast) < ROUND_OFF
