"""Small networks for the checks of whole rules, and random numbers for their arrays.

Each has units of the kinds that matter to a rule: convolutions with batch norm, residual blocks, vectors, dropout.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from minilocal import streams
from minilocal.array import host_copy
from minilocal.layers import (
    BatchNormReLU,
    Conv,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Initializer,
    Layer,
    Linear,
    ReLU,
    Sequential,
)
from minilocal.learner import Learner
from minilocal.nets import Net, mlp, resnet


def with_dropout(rng: np.random.Generator) -> Net:
    """Four fully connected units; dropout stands in the second, third and fourth."""
    initial, widths = Initializer.of(rng), [18, 9, 8, 7, 4]
    units: list[Layer] = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        first: list[Layer] = [Flatten() if i == 0 else Dropout(0.3, name=f"drop.{i}")]
        units.append(Sequential([*first, Linear(inputs, outputs, initial, name=f"layers.{i}"), ReLU()]))
    return Net("dropout", units, Sequential([]), 4, (3, 3, 2), initial)


def convolutions(name: str, height: int, width: int) -> Net:
    """Four units of a convolution and a batch norm, for images of height × width."""
    initial = Initializer(0)
    units: list[Layer] = [
        Sequential([Conv(i, o, 3, initial, stride=s, pad=1, name=f"u{n}.0"), BatchNormReLU(o, initial, name=f"u{n}.1")])
        for n, (i, o, s) in enumerate([(3, 4, 1), (4, 6, 2), (6, 6, 1), (6, 8, 2)])
    ]
    head = Sequential([GlobalAveragePool(), Flatten(), Linear(8, 4, initial, name="fc")])
    return Net(name, units, head, 4, (height, width, 3), initial)


def wide_channels(rng: np.random.Generator) -> Net:
    """Three units of a convolution and a batch norm, the last two with 80 channels out."""
    initial, units = Initializer.of(rng), list[Layer]()
    for n, (i, o) in enumerate([(3, 8), (8, 80), (80, 80)]):
        conv = Conv(i, o, 3, initial, pad=1, name=f"u{n}.0")
        units.append(Sequential([conv, BatchNormReLU(o, initial, name=f"u{n}.1")]))
    head = Sequential([GlobalAveragePool(), Flatten(), Linear(80, 4, initial, name="fc")])
    return Net("wide channels", units, head, 4, (6, 6, 3), initial)


NETS: dict[str, Callable[[], Net]] = {
    "dropout": lambda: with_dropout(streams.rng(0)),
    "mlp": lambda: mlp((7, 6, 5, 6), classes=4, channels=2, size=3, rng=streams.rng(0)),
    "mlp, four units": lambda: mlp((7, 6, 8), classes=4, channels=2, size=3, rng=streams.rng(0)),
    "resnet8": lambda: resnet(8, classes=4, size=8, rng=streams.rng(0)),
    "convolutions": lambda: convolutions("convolutions", 8, 8),
    # A mean over many pixels makes samples alike, and a batch norm behind it magnifies round-off.
    "few pixels": lambda: convolutions("few pixels", 2, 2),
    "wide channels": lambda: wide_channels(streams.rng(0)),
    "wide": lambda: convolutions("wide", 6, 11),
}


@lru_cache
def network(name: str) -> Net:
    """The small network of that name; the same object each time, so that JAX compiles its references once."""
    return NETS[name]()


def randomise(learner: Learner) -> None:
    """Gives every array random numbers around its initial ones, so that no scale is 1 and no shift 0.

    The numbers depend on the names alone: they are the same in every Learner, and in both types but for rounding.
    """
    for number, (name, a) in enumerate(sorted({**learner.parameters(), **learner.buffers()}.items())):
        learner.load({name: random_like(name, host_copy(a, "float64"), streams.rng(number)).astype("float32")})


def random_like(name: str, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random array in the place of an initial one: near it where its values have a meaning, like batch norm's."""
    noise = rng.standard_normal(array.shape)
    if name.endswith("running_var"):
        return 0.5 + np.abs(noise)
    deviation = array.std()
    return array + (0.3 if deviation == 0 else deviation) * noise
