"""The reference of every layer: its forward pass in `jax.numpy`, from the layer's geometry and its arrays by name.

`reference(layer, x, p, ctx)` dispatches on the layer's class, so layers made of layers compose by themselves. Of the
engine a reference reads geometry (stride, pad), names and children; it calls none of its functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

import numpy as np

from minilocal import layers
from minilocal.boundaries.averaged_unit import AveragedUnit
from minilocal.layers import Layer, PassContext
from minilocal.verify.jax_cpu import jnp, lax
from minilocal.verify.reference.missing import NoReference

Parameters = Mapping[str, Any]
THIS_FILE = "minilocal/verify/reference/layers.py"


@singledispatch
def reference(layer: Layer, x: Any, p: Parameters, ctx: PassContext, **more: Any) -> Any:
    """y = layer(x), in `jax.numpy`; `more` is an added shortcut, for a norm that takes one.

    Raises: NoReference for a layer class without a reference.
    """
    raise NoReference(type(layer).__name__, THIS_FILE)


def arrays_of(layer: Layer, p: Parameters) -> dict[str, Any]:
    """The arrays of this layer, out of those of a network."""
    return {name: p[name] for name in layer.arrays}


def array(layer: Layer, local: str, p: Parameters) -> Any:
    """The layer's array of that local name."""
    return p[f"{layer.name}.{local}" if layer.name else local]


@reference.register(layers.Linear)
def linear(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    y = jnp.einsum("ni,io->no", x, array(layer, "weight", p), precision="highest")
    return y + array(layer, "bias", p) if layer.bias else y


@reference.register(layers.Conv)
def conv(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    z = lax.conv_general_dilated(
        x,
        array(layer, "weight", p),
        window_strides=(layer.stride, layer.stride),
        padding=[(layer.pad, layer.pad)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision="highest",
    )
    return z + array(layer, "bias", p) if layer.bias else z


@reference.register(layers.BatchNorm)
def batch_norm(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    over = tuple(range(x.ndim - 1))
    if ctx.training:
        mean, variance = jnp.mean(x, axis=over), jnp.var(x, axis=over)
    else:
        mean, variance = array(layer, "running_mean", p), array(layer, "running_var", p)
    return (x - mean) / jnp.sqrt(variance + layer.eps) * array(layer, "weight", p) + array(layer, "bias", p)


@reference.register(layers.BatchNormReLU)
def batch_norm_relu(layer: Any, x: Any, p: Parameters, ctx: PassContext, add: Any = None) -> Any:
    y = batch_norm(layer, x, p, ctx)
    return _relu(y if add is None else y + add)


@reference.register(layers.ReLU)
def relu(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    return _relu(x)


def _relu(x: Any) -> Any:
    return jnp.where(x > 0, x, 0)  # slope 0 at 0, where jnp.maximum's would be 1/2


@reference.register(layers.MaxPool)
def max_pool(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, *_windows(layer))


@reference.register(layers.AveragePool)
def average_pool(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    return lax.reduce_window(x, 0.0, lax.add, *_windows(layer)) / layer.size**2


def _windows(layer: Any) -> tuple[tuple[int, ...], tuple[int, ...], str]:
    return (1, layer.size, layer.size, 1), (1, layer.stride, layer.stride, 1), "VALID"


@reference.register(layers.GlobalAveragePool)
def global_average_pool(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    return jnp.sum(x, axis=(1, 2), keepdims=True) / (x.shape[1] * x.shape[2])


@reference.register(layers.AdaptiveAveragePool)
def adaptive_average_pool(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    bins = layer.height, layer.width
    rows, columns = (_bins(side, n).astype(x.dtype) for side, n in zip(x.shape[1:3], bins, strict=True))
    return jnp.einsum("ah,nhwc,bw->nabc", rows, x, columns, precision="highest")


def _bins(side: int, bins: int) -> np.ndarray:
    """The matrix that averages: row i holds 1/size from ⌊i side/bins⌋ to ⌈(i+1) side/bins⌉ - 1."""
    matrix = np.zeros((bins, side))
    for i in range(bins):
        first, last = int(np.floor(i * side / bins)), int(np.ceil((i + 1) * side / bins))
        matrix[i, first:last] = 1 / (last - first)
    return matrix


@reference.register(layers.Resize)
def resize(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    """Linear interpolation between the two neighbours of each place, one axis after the other."""
    for axis, size in ((1, layer.height), (2, layer.width)):
        side = x.shape[axis]
        places = [r * (side - 1) / max(1, size - 1) for r in range(size)]
        low = np.array([min(int(np.floor(place)), side - 1) for place in places])
        shape = [-1 if a == axis else 1 for a in range(4)]
        w = jnp.reshape(jnp.asarray(np.array(places) - low, x.dtype), shape)
        x = (1 - w) * jnp.take(x, low, axis) + w * jnp.take(x, np.minimum(low + 1, side - 1), axis)
    return x


@reference.register(layers.Patch)
def patch(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    """By selecting rows and columns whose patch it is."""
    n = layer.patches
    for axis, index in ((1, layer.row), (2, layer.column)):
        ends = [side * x.shape[axis] // n for side in range(n + 1)]
        x = jnp.take(x, np.arange(ends[index], ends[index + 1]), axis)
    return x


@reference.register(layers.BlockAverage)
def block_average(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    h, w = layer.height, layer.width
    rows = [x[:, i : i + h] for i in range(0, x.shape[1], h)]
    return jnp.stack(
        [jnp.stack([r[:, :, j : j + w].mean((1, 2)) for j in range(0, x.shape[2], w)], 1) for r in rows], 1
    )


@reference.register(layers.Dropout)
def dropout(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    """The mask comes from the same random stream as the engine's: it is an input here, and not verified."""
    if not ctx.training:
        return x
    keep = ctx.rng(f"dropout {layer.name}").random(x.shape, dtype="float32") >= layer.rate
    return jnp.where(keep, x / (1 - layer.rate), 0)


@reference.register(layers.Flatten)
def flatten(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    return x if x.ndim == 2 else jnp.reshape(jnp.moveaxis(x, 3, 1), (x.shape[0], -1))


@reference.register(layers.Sequential)
def sequential(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    for child in layer.layers:
        x = reference(child, x, p, ctx)
    return x


@reference.register(layers.Identity)
def identity(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    return x


@reference.register(layers.PadShortcut)
def pad_shortcut(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    after = layer.outputs - layer.before - x.shape[3]
    return jnp.pad(x[:, :: layer.stride, :: layer.stride], ((0, 0), (0, 0), (0, 0), (layer.before, after)))


@reference.register(layers.Residual)
def residual(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    a = reference(layer.norm1, reference(layer.conv1, x, p, ctx), p, ctx)
    return reference(layer.norm2, reference(layer.conv2, a, p, ctx), p, ctx, add=reference(layer.shortcut, x, p, ctx))


@reference.register(layers.PreActivation)
def pre_activation(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    a = reference(layer.conv1, reference(layer.norm1, x, p, ctx), p, ctx)
    return reference(layer.conv2, reference(layer.norm2, a, p, ctx), p, ctx) + reference(layer.shortcut, x, p, ctx)


@reference.register(AveragedUnit)
def averaged_unit(layer: Any, x: Any, p: Parameters, ctx: PassContext) -> Any:
    """M(x) + B(x): the unit under the averaged arrays, which are constants, and under those that learn."""

    def under(prefix: str) -> dict[str, Any]:
        return {name: p[prefix + name] for name in layer.unit.arrays}

    y = reference(layer.unit, x, lax.stop_gradient(under(layer.of_average)), ctx)
    if layer.bias == "unit":
        return y + reference(layer.unit, x, under(layer.of_bias), ctx)
    return y + p[layer.of_bias.removesuffix(".")] if layer.bias == "channel" else y
