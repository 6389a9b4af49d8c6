"""Layers: forward and backward by hand, side by side under their equation."""

from minilocal.layers.activation import ReLU
from minilocal.layers.base import Layer, PassContext
from minilocal.layers.conv import Conv
from minilocal.layers.dropout import Dropout
from minilocal.layers.flatten import Flatten
from minilocal.layers.initial import SCHEMES, Initializer
from minilocal.layers.linear import Linear
from minilocal.layers.norm import BatchNorm, BatchNormReLU
from minilocal.layers.patch import Patch
from minilocal.layers.pool import AdaptiveAveragePool, AveragePool, GlobalAveragePool, MaxPool
from minilocal.layers.residual import Identity, PadShortcut, PreActivation, Residual
from minilocal.layers.resize import BlockAverage, Resize
from minilocal.layers.sequential import Composite, Sequential
from minilocal.layers.with_context import WithContext

__all__ = [
    "SCHEMES",
    "AdaptiveAveragePool",
    "AveragePool",
    "BatchNorm",
    "BatchNormReLU",
    "BlockAverage",
    "Composite",
    "Conv",
    "Dropout",
    "Flatten",
    "GlobalAveragePool",
    "Identity",
    "Initializer",
    "Layer",
    "Linear",
    "MaxPool",
    "PadShortcut",
    "PassContext",
    "Patch",
    "PreActivation",
    "ReLU",
    "Residual",
    "Resize",
    "Sequential",
    "WithContext",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
