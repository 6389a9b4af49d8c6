"""The multilayer perceptron: linear, ReLU, linear, ReLU, ..., linear."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from minilocal.errors import UserError
from minilocal.layers import Flatten, Layer, Linear, ReLU, Sequential
from minilocal.layers.initial import Initial
from minilocal.nets.net import Net


def mlp(
    hidden: Sequence[int] = (256, 256, 256),
    *,
    classes: int = 10,
    rng: np.random.Generator | Initial,
    channels: int = 3,
    size: int = 32,
    init: str = "framework",
) -> Net:
    """Hidden layers of the given widths and an output layer; each is a unit, layer i is named `layers.{i}`.

    Raises: UserError for a width below 1.
    """
    if any(width < 1 for width in hidden):
        raise UserError(f"mlp: hidden widths {tuple(hidden)} hold one below 1.")
    initial = Initial.of(rng, init)
    widths = [size * size * channels, *hidden, classes]
    units: list[Layer] = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        linear = Linear(inputs, outputs, initial, name=f"layers.{i}", last=i == len(hidden))
        first: list[Layer] = [Flatten()] if i == 0 else []
        units.append(Sequential([*first, linear] + ([ReLU()] if i < len(hidden) else []), linear.name))
    return Net("mlp", units, Sequential([], "head"), classes, (size, size, channels), initial)
