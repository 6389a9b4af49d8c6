"""The multiply-adds of a synthesiser, counted by hand."""

from __future__ import annotations

import pytest

from minilocal.boundaries import synthetic_gradient
from minilocal.layers import Initializer
from minilocal.objectives import ModuleContext


def context(shape):
    return ModuleContext(
        module=1, modules=2, unit=1, units=2, shape=shape, classes=10, widest=8, image=(4, 6, 3), initial=Initializer(0)
    )


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize(
    ("shape", "macs"),
    [((4, 6, 8), 3 * 3 * 3 * 8 * 8 * 4 * 6), ((7,), 2 * 7 * 7)],  # three convolutions 3×3; two linear layers
)
def test_the_multiply_adds_of_a_synthesiser(shape, macs, labels):
    synthesiser = synthetic_gradient(labels=labels, kernel=3).synthesiser(context(shape))
    assert synthesiser.macs(shape) == macs + labels * 10 * shape[-1]
