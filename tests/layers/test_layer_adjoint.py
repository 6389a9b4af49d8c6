"""⟨dy, J u⟩ = ⟨Jᵀ dy, u⟩ for layers of any legal geometry: three forward passes check every gradient at once.

J u is a central difference in a random direction of the input and of all parameters together. A step may straddle the
kink of a ReLU, or the moment when another pixel becomes the largest; a hundred times smaller step then does not, while
a wrong gradient is wrong with both.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilocal import layers as ml
from minilocal import streams
from minilocal.layers import Initializer, Layer, PassContext
from minilocal.verify.small_nets import random_like
from tests.helpers.host import host

STEPS = (1e-5, 1e-7)


def adjoint_error(layer: Layer, shape: tuple[int, ...], seed: int, training: bool = True) -> float:
    """How far the two sides are apart, relative to the larger."""
    rng = streams.rng(seed)
    p = {name: random_like(name, host(a), rng) for name, a in layer.arrays.items()}
    x, ctx = rng.standard_normal(shape), PassContext(training=training, key=seed)
    u, v = rng.standard_normal(shape), {name: rng.standard_normal(p[name].shape) for name in layer.parameters}

    def at(s: float) -> np.ndarray:
        return host(layer.forward(x + s * u, ctx, {**p, **{name: p[name] + s * v[name] for name in v}})[0])

    y, cache = layer.forward(x, ctx, p)
    dy = rng.standard_normal(y.shape)
    error, grads = layer.backward(dy, cache, p)
    dx = host(error)
    back = (dx * u).sum() + sum((grads[name] * v[name]).sum() for name in v)
    forth = [((at(step) - at(-step)) / (2 * step) * dy).sum() for step in STEPS]
    return min(abs(f - back) / max(1.0, abs(f), np.abs(dx).max() * np.abs(u).max()) for f in forth)


@st.composite
def cases(draw):
    """A layer and a batch that fits it."""
    kind = draw(st.sampled_from(["conv", "norm", "max", "average", "adaptive", "global", "residual", "pre", "linear"]))
    N, C, O = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    initial, side, stride = Initializer(draw(st.integers(0, 99))), st.integers(3, 8), draw(st.integers(1, 3))
    shape = (N, draw(side), draw(side), C)
    k, option = draw(st.integers(1, 3)), draw(st.sampled_from(["A-both", "A-end", "B"]))
    many = (N + 2, *shape[1:])  # a batch norm of few rows is too steep for a difference quotient
    return {
        "conv": lambda: (ml.Conv(C, O, k, initial, stride=stride, pad=draw(st.integers(0, 3)), bias=True), shape),
        "norm": lambda: (ml.BatchNorm(C, initial), many),
        "max": lambda: (ml.MaxPool(k, stride), shape),
        "average": lambda: (ml.AveragePool(k, stride), shape),
        "adaptive": lambda: (ml.AdaptiveAveragePool(draw(st.integers(1, 5))), shape),
        "global": lambda: (ml.GlobalAveragePool(), shape),
        "residual": lambda: (ml.Residual(C, 2 * C, min(stride, 2), initial, option=option), many),
        "pre": lambda: (ml.PreActivation(C, O, min(stride, 2), initial), many),
        "linear": lambda: (ml.Linear(C, O, initial), (N, C)),
    }[kind]()


@given(cases(), st.integers(0, 99), st.booleans())
@settings(deadline=None, derandomize=True, max_examples=200)
def test_the_adjoint_of_any_layer(case, seed, training):
    layer, shape = case
    assert adjoint_error(layer, shape, seed, training) < 1e-6


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9])
def test_dropout(rate):
    assert adjoint_error(ml.Dropout(rate), (5, 7), seed=0) < 1e-8
