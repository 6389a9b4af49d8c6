"""What every layer promises besides its gradient: it is pure, keeps its type, and can be asked twice, or in part."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from minilocal import streams
from minilocal.array import Array
from minilocal.layers import (
    BatchNorm,
    Conv,
    Dropout,
    GlobalAveragePool,
    Initializer,
    Layer,
    Linear,
    PassContext,
    PreActivation,
    Residual,
    Sequential,
)  # fmt: skip
from minilocal.layers.base import Need
from minilocal.verify.layers import CASES, Inputs, LayerCase, inputs
from tests.helpers.host import host


def arrays_in(cache: Any) -> list[np.ndarray]:
    """Every array that a cache holds, however deep."""
    if isinstance(cache, np.ndarray):
        return [cache]
    return [a for part in cache for a in arrays_in(part)] if isinstance(cache, (tuple, list)) else []


def equal(ours: Iterable[Array], theirs: Iterable[Array]) -> bool:
    """Whether all are, one by one and bit for bit."""
    return all(np.array_equal(host(a), host(b)) for a, b in zip(ours, theirs, strict=True))


def backward(t: Inputs, cache: Any, need: Need = "both") -> dict[str, Any]:
    if t.more:
        layer: Any = t.layer  # of those that add, each has this backward
        dz, dadd, grads = layer.backward_both(t.dy, cache, t.p, need)
        return {"dx": dz, "dadd": dadd, **grads}
    dx, grads = t.layer.backward(t.dy, cache, t.p, need)
    return {"dx": dx, **grads}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", [case for case in CASES if not case.large], ids=str)
def test_a_layer_is_pure_and_keeps_its_type(case, dtype):
    t = inputs(case, dtype)
    operands = [t.x, t.dy, *t.p.values(), *t.more.values()]
    before = [a.copy() for a in operands]
    own = {name: a.copy() for name, a in t.layer.arrays.items()}
    for a in operands:
        a.flags.writeable = False

    y, cache = t.layer.forward(t.x, t.ctx, t.p, **t.more)
    kept = [a.copy() for a in arrays_in(cache)]
    first = backward(t, cache)
    second = backward(t, cache)

    assert y.dtype == dtype and all(a.dtype == dtype for a in first.values())
    assert first["dx"].shape == t.x.shape and all(first[name].shape == t.p[name].shape for name in t.layer.parameters)
    assert set(first) - {"dx", "dadd"} == set(t.layer.parameters)
    assert equal(operands, before), "it wrote into what it was given"
    assert equal(arrays_in(cache), kept), "it wrote into its cache"
    assert all(np.array_equal(first[name], second[name]) for name in first), "the cache was used up"
    assert equal(own.values(), t.layer.arrays.values()), "a forward updated something"
    if t.ctx.training:
        assert not any(np.shares_memory(a, w) for a in arrays_in(cache) for w in t.p.values()), "a cache holds weights"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_needed_changes_no_bit(case):
    t = inputs(case)
    _, cache = t.layer.forward(t.x, t.ctx, t.p, **t.more)
    both, only_dx, only_weights = (backward(t, cache, need) for need in ("both", "input", "weights"))
    assert np.array_equal(only_dx["dx"], both["dx"]) and not only_dx.keys() & t.layer.parameters.keys()
    assert only_weights["dx"] is None
    assert all(np.array_equal(only_weights[name], both[name]) for name in t.layer.parameters)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_layer_knows_the_shape_it_will_give(case):
    t = inputs(case)
    assert t.dy.shape[1:] == tuple(t.layer.out_shape(case.shape[1:]))


def multiply_adds(layer: Layer, shape: tuple[int, ...]) -> list[int]:
    """Of each convolution and linear layer that runs in a forward pass of one input."""
    counts = []

    def counted(layer: Layer) -> None:
        forward = layer.forward

        def count(x: Any, *others: Any, **more: Any) -> Any:
            y, cache = forward(x, *others, **more)
            counts.append(y[0].size * next(iter(layer.parameters.values()))[..., 0].size)
            return y, cache

        if isinstance(layer, (Conv, Linear)):
            object.__setattr__(layer, "forward", count)
        for child in layer.children():
            counted(child)

    counted(layer)
    layer.forward(np.zeros((2, *shape), "f4"), PassContext())
    return counts


@pytest.mark.parametrize("case", [case for case in CASES if not case.large], ids=str)
def test_the_layer_knows_its_multiply_adds(case):
    """An output is a sum over as many products as a weight has rows."""
    layer = case.make(Initializer(0))
    assert layer.macs(case.shape[1:]) == sum(multiply_adds(layer, case.shape[1:]))


class Doubled(Conv):
    """A convolution whose forward is its own."""

    def forward(self, x: Array, ctx: PassContext, p: Any = None) -> tuple[Array, Array]:
        z, cache = super().forward(x, ctx, p)
        return z + z, cache


class Shifted(BatchNorm):
    """A batch norm whose forward is its own, and takes what every layer's does."""

    def forward(self, x: Array, ctx: PassContext, p: Any = None) -> tuple[Array, Any]:  # type: ignore[override]
        y, cache = super().forward(x, ctx, p)
        return y + 1, cache


@pytest.mark.parametrize("conv_class, norm_class", [(Doubled, BatchNorm), (Conv, Shifted), (Doubled, Shifted)])
@pytest.mark.parametrize("training", [True, False])
def test_a_subclass_of_a_convolution_or_a_batch_norm_runs_its_own_forward(conv_class, norm_class, training):
    x, ctx = streams.rng(0).standard_normal((2, 5, 5, 3), "f4"), PassContext(training)
    conv, norm = conv_class(3, 4, 3, Initializer(0), name="conv"), norm_class(4, Initializer(1), name="norm")
    y, _ = Sequential([conv, norm], "0").forward(x, ctx)
    assert np.array_equal(host(y), host(norm.forward(conv.forward(x, ctx)[0], ctx)[0]))


def test_children_are_in_order_and_hold_all_arrays():
    conv, pool = Conv(3, 4, 3, Initializer(0), name="0.conv"), GlobalAveragePool("0.pool")
    assert Sequential([conv, pool], "0").children() == [conv, pool] and conv.children() == []
    block = Residual(4, 8, 2, Initializer(0), name="1")
    assert block.children() == [block.conv1, block.norm1, block.conv2, block.norm2, block.shortcut]
    wide = PreActivation(4, 8, 2, Initializer(0), name="2")
    for layer in (block, wide):
        assert list(layer.parameters) == [name for child in layer.children() for name in child.parameters]


@pytest.mark.parametrize("case", [case for case in CASES if not case.large], ids=str)
def test_without_p_a_layer_uses_its_own_arrays(case):
    t = inputs(case, "float32")
    passed, _ = t.layer.forward(t.x, t.ctx, t.layer.arrays, **t.more)
    more: dict[str, Any] = {**t.more}
    own, _ = t.layer.forward(t.x, t.ctx, **more)
    assert np.array_equal(host(passed), host(own))


def all_of(kind: str) -> list[LayerCase]:
    return [case for case in CASES if case.kind == kind]


def test_dropout_at_rate_0_is_the_identity_and_keeps_nothing():
    layer, x = Dropout(0, name="d"), np.ones((2, 3), "f4")
    y, cache = layer.forward(x, PassContext())
    dx, grads = layer.backward(x, cache)
    assert y is x and cache is None and dx is x and grads == {}


@pytest.mark.parametrize("case", all_of("Dropout")[:2], ids=str)
def test_the_mask_has_a_name(case):
    """The same place and time draw the same mask; another step, unit, epoch, layer or micro-batch draws its own."""
    t = inputs(case)
    y, _ = t.layer.forward(t.x, PassContext(key=1, epoch=2, step=3, unit=4))
    again, _ = t.layer.forward(t.x, PassContext(key=1, epoch=2, step=3, unit=4))
    assert np.array_equal(host(y), host(again))
    for other in ({"key": 9}, {"epoch": 9}, {"step": 9}, {"unit": 9}, {"part": 9}):
        where: dict[str, Any] = {"key": 1, "epoch": 2, "step": 3, "unit": 4} | other
        assert not np.array_equal(host(y), host(t.layer.forward(t.x, PassContext(**where))[0])), other
    renamed: Layer = case.make(None)
    renamed.name = "another"
    other_name, _ = renamed.forward(t.x, PassContext(key=1, epoch=2, step=3, unit=4))
    assert not np.array_equal(host(y), host(other_name))
