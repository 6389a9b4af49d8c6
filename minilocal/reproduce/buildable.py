"""Whether a cell's network can be cut as its configuration says, told without its data set."""

from __future__ import annotations

from functools import cache

import numpy as np

from minilocal import nets
from minilocal.config import Config
from minilocal.errors import UserError
from minilocal.layers.initial import Initializer
from minilocal.nets.net import Size
from minilocal.report.bytes import IMAGES
from minilocal.split import split
from minilocal.train import dataset_of


class Zeros(Initializer):
    """Initial weights of 0, which take no time: only units are counted."""

    def _normal(self, name: str, shape: tuple[int, ...], deviation: float) -> np.ndarray:
        return np.zeros(shape, "float32")

    def _uniform(self, name: str, shape: tuple[int, ...], bound: float) -> np.ndarray:
        return np.zeros(shape, "float32")


def obstacle(config: Config) -> str:
    """Why the network does not fit its images, has fewer units than modules, or a link is longer than a module.

    "" where it can be built. Tables of papers leave out links that are longer than a module.
    """
    net = config.net
    try:
        size, channels, _ = images(config)
        units = _units(net.name, net.shortcut, net.fc_norm, size, channels)
        cut = [len(module) for module in split(range(units), net.modules, net.name)]
    except UserError as error:
        return str(error)
    length, shortest = config.rule.options.get("length"), min(cut)
    if len(cut) > 1 and isinstance(length, int) and length > shortest:
        return f"a link of {length} units is longer than a module of {shortest}"
    return ""


@cache
def _units(name: str, shortcut: str | None, fc_norm: bool | None, size: Size, channels: int) -> int:
    """The number of units of a network for these images."""
    net = nets.get(name, classes=10, channels=channels, size=size, rng=Zeros(0), shortcut=shortcut, fc_norm=fc_norm)
    return len(net.units)


def images(config: Config) -> tuple[Size, int, int]:
    """Size, channels and classes of the images: known, or those of a user's own data set, which is loaded.

    Raises: UserError where that cannot be loaded.
    """
    if config.data.name in IMAGES:
        return IMAGES[config.data.name]
    dataset = dataset_of(config)
    return dataset.size, dataset.channels, len(dataset.classes)
