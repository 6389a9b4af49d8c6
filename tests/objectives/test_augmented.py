"""AugLocal's auxiliary networks: which units they repeat, their strides, their sizes, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import (
    BatchNorm,
    BatchNormReLU,
    Conv,
    Flatten,
    GlobalAveragePool,
    Initializer,
    Layer,
    Linear,
    PreActivation,
    ReLU,
    Residual,
    Sequential,
)
from minilocal.objectives.augmented import depth_at, sampled, strides
from minilocal.objectives.base import ClassifierLoss
from minilocal.objectives.behind import macs_behind
from tests.helpers.host import host

NET = ml.nets.resnet(32, rng=ml.rng(0))


def learner(depth: int, modules: Any = None, net: ml.nets.Net = NET) -> ml.Learner:
    rule = ml.rules.auglocal(depth=depth)
    cut = f"auglocal:{depth}" if modules is None else modules
    return ml.Learner(net, rule, cut, rng=ml.rng(0))


def auxiliary(ours: ml.Learner, module: int = 0) -> list[Layer]:
    """The layers of a module's auxiliary network."""
    objective = ours.modules[module].objective
    assert isinstance(objective, ClassifierLoss)
    return objective.network.layers


@pytest.mark.parametrize(
    ("depth", "modules", "parameters", "millions"),
    [
        (1, 15, 806_412, 104.9), (2, 14, 1_341_058, 104.9), (3, 13, 1_511_608, 123.7), (4, 12, 1_705_390, 152.1),
        (5, 11, 1_684_388, 172.0), (6, 10, 1_727_898, 187.2),
    ],
)  # fmt: skip
def test_the_sizes_of_its_code_on_resnet_32(depth, modules, parameters, millions):
    ours = learner(depth)
    objectives = [(m.objective, NET.shapes[m.top]) for m in ours.modules[:-1]]
    assert [len(m.units) for m in ours.modules] == [1] * (modules - 1) + [depth + 1]
    assert sum(a.size for o, _ in objectives if o for a in o.parameters.values()) == parameters
    assert round(sum(macs_behind(o, shape) for o, shape in objectives) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("depth", "l", "units", "halvings"),
    [
        (2, 0, [8, 15], [2, 2]), (2, 6, [10, 15], [1, 2]), (2, 7, [11, 15], [2, 1]), (2, 11, [13, 15], [1, 1]),
        (5, 0, [3, 6, 9, 12, 15], [1, 2, 1, 2, 1]), (5, 9, [11, 13, 15], [2, 1, 1]),
    ],
)  # fmt: skip
def test_the_units_and_strides_of_its_code(depth, l, units, halvings):
    repeated = sampled(l, 16, depth_at(l, 16 - depth, depth, 0.5))
    assert repeated == units
    assert strides(NET.shapes[l][-1], [NET.shapes[i][-1] for i in repeated]) == halvings


def test_a_block_halves_once_and_what_is_left_waits_for_the_next():
    assert strides(16, [64]) == [2] and strides(16, [64, 64]) == [2, 2] and strides(16, [32, 64]) == [2, 2]
    assert strides(64, [32, 64]) == [1, 1]


def test_halves_are_rounded_to_the_even_number():
    assert [depth_at(l, 4, 2, 1.0) for l in range(3)] == [2, 2, 1]  # round(1.5) = 2
    assert [depth_at(l, 4, 3, 1.0) for l in range(3)] == [3, 2, 1]
    assert sampled(0, 6, 2) == [2, 5]  # round(2.5) = 2


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0])
def test_the_depth_falls_from_d_towards_1(tau):
    depths = [depth_at(l, 9, 5, tau) for l in range(8)]
    assert depths[0] == 5 and depths == sorted(depths, reverse=True)
    assert depths[-1] == max(1, round(5 - 4 * tau))
    assert depth_at(0, 2, 5, tau) == 5, "one boundary"


def test_where_few_units_are_left_all_of_them_are_repeated():
    assert sampled(12, 16, 3) == [13, 14, 15] and sampled(13, 16, 5) == [14, 15]


def test_batch_norm_stands_before_the_linear_layer_at_depth_1():
    def norms(module: int, depth: int) -> int:
        return sum(isinstance(layer, BatchNorm) for layer in auxiliary(learner(depth), module)[1:])

    assert norms(0, 1) == 1 and norms(0, 2) == 0
    assert norms(13, 2) == 0 and norms(12, 2) == 0  # round(1.5) is 2: at τ = 0.5 two stays two


def test_the_layers_behind_its_blocks_are_named_as_if_batch_norm_always_stood_there():
    for depth, numbers in ((1, [0, 1, 2, 3, 4]), (2, [0, 1, 2, 3, 5])):
        assert [layer.name for layer in auxiliary(learner(depth))] == [f"aux.0.{n}" for n in numbers]


def test_its_blocks_are_of_the_kind_of_the_units():
    wide = ml.nets.get("wrn10-1", rng=ml.rng(0))
    for net, kind in ((NET, Residual), (wide, PreActivation)):
        assert isinstance(auxiliary(learner(1, 3, net))[0], kind)


def test_a_block_of_a_network_without_shortcuts_is_a_convolution_batch_norm_and_relu():
    initial = Initializer(0)
    widths = [3, 8, 8, 16]
    units: list[Layer] = [
        Sequential([Conv(c, d, 5, initial, pad=2, name=f"{i}.0"), ReLU(f"{i}.1")], f"{i}")
        for i, (c, d) in enumerate(pairwise(widths))
    ]
    head = Sequential([GlobalAveragePool(), Flatten(), Linear(16, 10, initial, name="fc")])
    net = ml.nets.Net("own", units, head, 10, (8, 8, 3), initial)
    block = auxiliary(learner(1, 3, net))[0]
    assert isinstance(block, Sequential)
    assert [type(layer) for layer in block.layers] == [Conv, BatchNormReLU]
    assert host(block.layers[0].parameters["aux.0.0.0.weight"]).shape == (3, 3, 8, 16)
    assert block.out_shape((8, 8, 8)) == (4, 4, 16), "half the map, as the width has doubled"


def test_its_weights_are_its_own():
    ours = learner(2)
    names = [name for module in ours.modules[:-1] if module.objective for name in module.objective.parameters]
    arrays = ours.parameters()
    main = NET.parameters()
    assert len(set(names)) == len(names) and not main.keys() & set(names)
    same = [n for n in names for m in main.values() if arrays[n].shape == m.shape and arrays[n].ndim == 4]
    assert same and not any(
        np.array_equal(host(arrays[n]), host(m))
        for n in names
        for m in main.values()
        if arrays[n].shape == m.shape and m.ndim == 4
    )


def test_the_true_loss_trains_the_last_module_as_in_gll():
    gll, ours = (ml.Learner(NET, rule, [1] * 13 + [3], rng=ml.rng(0)) for rule in (ml.rules.gll(), ml.rules.auglocal()))
    x, y = ml.rng(1).standard_normal((2, 32, 32, 3)).astype("float32"), np.array([0, 1])
    (l_gll, g_gll), (l_ours, g_ours) = gll.gradients(x, y), ours.gradients(x, y)
    assert l_gll[-1] == l_ours[-1]
    assert all(np.array_equal(host(g_gll[n]), host(g_ours[n])) for n in gll.modules[-1].parameters())


# ---------------------------------------------------------------------- at the door


@pytest.mark.parametrize("options", [{"depth": 0}, {"depth": 1.5}, {"tau": -0.1}, {"tau": 1.1}, {"tau": float("nan")}])
def test_a_depth_below_1_and_a_tau_outside_0_to_1_are_refused(options):
    with pytest.raises(ml.UserError, match="AugLocal"):
        ml.rules.auglocal(**options)


def test_fully_connected_units_are_refused():
    for net in (ml.nets.mlp((8, 8, 8), rng=ml.rng(0)), ml.nets.get("vgg16", rng=ml.rng(0))):
        above = r"repeat blocks of convolutions, and unit .* above module 1 is none: use a ResNet"
        with pytest.raises(ml.UserError, match=above):
            ml.Learner(net, ml.rules.auglocal(), 3, rng=ml.rng(0))


@pytest.mark.parametrize(
    ("text", "net", "message"),
    [
        ("auglocal:15", "resnet32", "which has 16 units: the depth is 1 to 14"),
        ("auglocal:0", "resnet32", "the depth is 1 to 14"),
        ("auglocal", "resnet32", "say the depth, as in auglocal:2"),
        ("auglocal:2", "vgg16", "that split is of ResNet-n, n = 6m [+] 2"),
    ],
)
def test_a_cut_that_is_none_is_refused(text, net, message):
    with pytest.raises(ml.UserError, match=message):
        ml.split.published(text, net)
