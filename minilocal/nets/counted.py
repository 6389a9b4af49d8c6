"""Counted, not measured: the multiplications of a network."""

from __future__ import annotations

from math import prod
from typing import Any

from minilocal.nets.net import Net


def macs(net: Net) -> int:
    """Multiplications, each with its addition, of convolutions and linear layers for one image, forward.

    A training step of BP takes three times as many, and twice that in floating point operations.
    """
    total, shape = 0, net.shape
    for layer in (*net.units, net.head):
        total += of_layer(layer, shape)
        shape = layer.out_shape(shape)
    return total


def of_layer(layer: Any, shape: tuple[int, ...]) -> int:
    """Of one layer, found by what it is made of: a row of layers, blocks with a way around, one set of weights."""
    if hasattr(layer, "layers"):
        return _row(layer.layers, shape)
    if hasattr(layer, "main"):
        return _row([layer.main], shape) + of_layer(layer.shortcut, shape)
    if hasattr(layer, "conv2"):
        return _row([layer.conv1, layer.conv2], shape) + of_layer(layer.shortcut, shape)
    weights = [w for w in layer.parameters.values() if w.ndim > 1]
    return sum(w.size for w in weights) * prod(layer.out_shape(shape)[:-1])


def _row(layers: list[Any], shape: tuple[int, ...]) -> int:
    total = 0
    for layer in layers:
        total += of_layer(layer, shape)
        shape = layer.out_shape(shape)
    return total
