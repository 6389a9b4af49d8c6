"""Initial weights: each scheme's distribution, as the table at the top of layers/initial.py has it."""

from __future__ import annotations

import numpy as np
import pytest

from minilocal.errors import UserError
from minilocal.layers import Initializer
from minilocal.layers.initial import SCHEMES

K, I, O = 3, 20, 30
FAN_IN = K * K * I


def uniform(bound):
    """(lowest, highest, deviation): a uniform distribution's deviation is its bound / √3."""
    return -bound, bound, bound / 3**0.5


def normal(deviation):
    return -np.inf, np.inf, deviation


def of_conv(scheme):
    return normal((2 / (K * K * O)) ** 0.5) if scheme in ("infopro", "ddg") else uniform(FAN_IN**-0.5)


def of_linear(scheme):
    return normal((2 / I) ** 0.5) if scheme == "ddg" else uniform(I**-0.5)


def check_distribution(array, lowest, highest, deviation):
    """All within bounds that are nearly reached; mean 0 and the deviation within 5 of their own standard errors.

    Of n numbers the mean strays by σ/√n and the deviation by at most σ/√(2n); each bound is nearer than 20/n of it.
    """
    n = array.size
    assert array.dtype == "f4" and lowest <= array.min() and array.max() <= highest
    if np.isfinite(highest):
        assert array.max() > highest * (1 - 20 / n) and array.min() < lowest * (1 - 20 / n)
    assert abs(array.mean()) < 5 * deviation / n**0.5
    assert abs(array.std() / deviation - 1) < 5 / (2 * n) ** 0.5


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_and_biases_are_of_the_schemes_distribution(scheme):
    initial = Initializer(7, scheme)
    conv, linear = initial.conv("c", K, I, O), initial.linear("l", I, 40 * O)
    assert conv.shape == (K, K, I, O) and linear.shape == (I, 40 * O)
    check_distribution(conv, *of_conv(scheme))
    check_distribution(linear, *of_linear(scheme))
    check_distribution(initial.bias("b", FAN_IN, 5000), *uniform(FAN_IN**-0.5))


def test_an_initializer_has_its_own_scheme():
    own = Initializer(7, "ddg")
    assert Initializer.of(own) is own and own.of(own) is own and Initializer.of(own, "fdg") is own
    for build in (lambda: Initializer.of(own, "nonsense"), lambda: Initializer(7, "nonsense")):
        with pytest.raises(UserError, match="initialisation 'nonsense' is not known"):
            build()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_gamma_is_1_or_uniform_between_0_and_1(scheme):
    gamma = Initializer(7, scheme).gamma("g", 5000)
    assert gamma.shape == (5000,) and gamma.dtype == "f4"
    if scheme in ("fdg", "dgl"):
        check_distribution(2 * gamma - 1, *uniform(1))
    else:
        assert (gamma == 1).all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_of_the_output_layers_only_predsims_begins_at_0(scheme):
    initial = Initializer(7, scheme)
    last = initial.linear("l", I, O, last=True)
    assert (last == 0).all() if scheme == "predsim" else np.array_equal(last, initial.linear("l", I, O))


def test_each_array_has_a_stream_of_its_own():
    initial = Initializer(7)
    again, others = initial.conv("a", 1, 4, 4), (initial.conv("b", 1, 4, 4), initial.inside("p").conv("a", 1, 4, 4))
    assert np.array_equal(again, Initializer(7).conv("a", 1, 4, 4))
    assert not any(np.array_equal(again, other) for other in (*others, Initializer(8).conv("a", 1, 4, 4)))
    inner = initial.inside("p").inside("q")
    assert inner.prefix == "p q " and inner.scheme == initial.scheme
