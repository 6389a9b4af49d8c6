"""Every layer, over the written table of geometries, against autograd in float64."""

import pytest

from minilocal import layers
from minilocal.layers import Layer
from minilocal.verify.compare import DOUBLE, errors
from minilocal.verify.layers import CASES, by_engine, by_jax, inputs


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_every_gradient(case):
    t = inputs(case)
    gaps = errors(by_engine(t), by_jax(t))
    assert max(gaps.values()) <= DOUBLE, gaps


def test_no_layer_is_left_out():
    known = {kind for kind in vars(layers).values() if isinstance(kind, type) and issubclass(kind, Layer)}
    composed = {layers.Layer, layers.Composite, layers.Identity, layers.PadShortcut}  # inside Residual's cases
    composed.add(layers.WithContext)  # in the rules': its reference needs a module's inputs
    assert {kind.__name__ for kind in known - composed} == {case.kind for case in CASES}
