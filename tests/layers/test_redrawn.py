"""Initial arrays drawn again under other names: those of a layer that was made under these names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minilocal.layers import BatchNorm, Conv, Initializer, Layer, Linear, ReLU, Residual, Sequential
from minilocal.layers.initial import SCHEMES
from minilocal.layers.redrawn import redrawn
from tests.helpers.host import host

KINDS: dict[str, Callable[[Initializer, str], Layer]] = {
    "convolution": lambda initial, name: Conv(3, 4, 3, initial, bias=True, name=name),
    "linear": lambda initial, name: Linear(5, 4, initial, name=name),
    "batch norm": lambda initial, name: BatchNorm(4, initial, name=name),
    "residual": lambda initial, name: Residual(3, 4, 2, initial, name=name),
    "no parameters": lambda initial, name: ReLU(name),
    "several": lambda initial, name: Sequential(
        [Conv(3, 4, 1, initial, name=f"{name}.0"), BatchNorm(4, initial, name=f"{name}.1")], name
    ),
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", KINDS)
def test_they_are_those_of_a_layer_made_under_these_names(kind, scheme):
    initial = Initializer(7, scheme)
    expected = KINDS[kind](initial, "aux.0.unit").parameters
    fresh = redrawn(KINDS[kind](Initializer(8), "unit"), initial, "aux.0.")
    assert [f"aux.0.{name}" for name in fresh] == list(expected)
    assert all(np.array_equal(host(expected[f"aux.0.{name}"]), a) and a.dtype == "f4" for name, a in fresh.items())
