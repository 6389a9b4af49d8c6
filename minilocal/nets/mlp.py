"""The multilayer perceptron: linear, ReLU, linear, ReLU, ..., linear."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import prod

import numpy as np

from minilocal.errors import UserError, whole
from minilocal.layers import Flatten, Layer, Linear, ReLU, Sequential
from minilocal.layers.initial import Initializer
from minilocal.nets.net import Net, Size, image
from minilocal.nets.recipe import with_recipe


@with_recipe
def mlp(
    hidden: Sequence[int] = (256, 256, 256),
    *,
    classes: int = 10,
    rng: np.random.Generator | Initializer,
    channels: int = 3,
    size: Size = 32,
    init: str = "framework",
) -> Net:
    """Hidden layers of the given widths and an output layer; each is a unit, layer i is named `layers.{i}`.

    Args:
        hidden: the width of every hidden layer, from the bottom up.
        classes: 2 or more.
        rng: a generator, as minilocal.rng(0): one key is drawn from it, and all initial weights are named by that.
        channels: of an image, 1 or more.
        size: the side of an image, in pixels, or (height, width).
        init: how weights begin, one of minilocal.layers.SCHEMES. An Initializer as `rng` has its own scheme.

    Raises: UserError for widths that are no sequence of whole numbers, 1 or more, and for classes, channels or a size
    that are none.
    """
    if isinstance(hidden, str) or not isinstance(hidden, Iterable):
        raise UserError(f"mlp: hidden = {hidden!r}: give the width of every hidden layer, as (256, 256).")
    hidden = [whole("mlp: a hidden width", width) for width in hidden]
    shape = image("mlp", size, channels)
    initial = Initializer.of(rng, init)
    widths = [prod(shape), *hidden, whole("mlp: classes", classes)]
    units: list[Layer] = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        linear = Linear(inputs, outputs, initial, name=f"layers.{i}", last=i == len(hidden))
        first: list[Layer] = [Flatten()] if i == 0 else []
        units.append(Sequential([*first, linear] + ([ReLU()] if i < len(hidden) else []), linear.name))
    return Net("mlp", units, Sequential([], "head"), classes, shape, initial)
