"""The initial arrays of a layer, drawn again under other names."""

from __future__ import annotations

import numpy as np

from minilocal.errors import UserError
from minilocal.layers.base import Layer
from minilocal.layers.conv import Conv
from minilocal.layers.initial import Initializer, constant
from minilocal.layers.linear import Linear
from minilocal.layers.norm import BatchNorm


def redrawn(layer: Layer, initial: Initializer, prefix: str) -> dict[str, np.ndarray]:
    """{name: initial array} of each of the layer's parameters, from the streams named prefix + name.

    Raises: UserError for a layer with parameters of its own that is no convolution, linear layer or batch norm.
    """
    if children := layer.children():
        return {name: a for child in children for name, a in redrawn(child, initial, prefix).items()}
    fresh: dict[str, np.ndarray] = {}
    for name, a in layer.parameters.items():
        at, local = prefix + name, name.rpartition(".")[2]
        if isinstance(layer, Conv):
            k, inputs, outputs = layer.size, layer.inputs, layer.outputs
            weight = local == "weight"
            fresh[name] = initial.conv(at, k, inputs, outputs) if weight else initial.bias(at, k * k * inputs, outputs)
        elif isinstance(layer, Linear):
            weight, inputs, outputs = local == "weight", layer.inputs, layer.outputs
            fresh[name] = initial.linear(at, inputs, outputs) if weight else initial.bias(at, inputs, outputs)
        elif isinstance(layer, BatchNorm):
            fresh[name] = initial.gamma(at, layer.channels) if local == "weight" else constant(0, *a.shape)
        else:
            raise UserError(
                f"{type(layer).__name__} {layer.name!r} is of no kind whose initial weights are known, so they cannot "
                'be drawn again: give start="copy".'
            )
    return fresh


__all__ = ["redrawn"]
