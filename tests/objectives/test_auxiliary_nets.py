"""Auxiliary classifiers: parameter counts as published, names as in torch.nn.Sequential, every place legal."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import AdaptiveAveragePool, Dropout, Initializer, PassContext
from minilocal.objectives import NAMES, ModuleContext
from minilocal.objectives.auxiliary_nets import auxiliary_network
from minilocal.verify.compare import DOUBLE
from minilocal.verify.objectives import CASES
from minilocal.verify.synchronous import relative_errors
from tests.helpers.host import host

SIDES = {16: 32, 32: 16, 64: 8}
COUNTS = {  # InfoPro's family and DGL's, from their code: 10 classes, 16 / 32 / 64 channels
    "0c1f": (170, 330, 650), "0c2f": (3466, 5514, 9610), "1c1f": (5002, 19210, 37642),
    "1c2f": (10186, 28170, 46602), "1c3f": (26698, 44682, 63114), "2c2f": (19466, 65162, 83594),
    # the options, counted by hand: two numbers a feature of a norm; flat, every number of the map has a weight
    "1c2f+bn": (10186 + 256, 28170 + 256, 46602 + 256), "1c3f+bn+dropout": (26698 + 512, 44682 + 512, 63114 + 512),
    "1c2f+dropout": (10186, 28170, 46602), "0c1f+flat": (163850, 81930, 40970), "1c2f+flat": (1054666, 544266, 562698),
    "mlp-sr": (14378, 54858, 214154), "mlp": (13514, 51594, 201482), "cnn": (5354, 19914, 76682),
}  # fmt: skip
INDICES = {
    "0c1f": [2], "0c2f": [2, 4], "1c1f": [0, 1, 5], "1c2f": [0, 1, 5, 7], "1c3f": [0, 1, 5, 7, 9],
    "2c2f": [0, 1, 3, 4, 8, 10],
    "1c2f+bn": [0, 1, 5, 6, 8], "1c2f+dropout": [0, 1, 5, 8], "1c2f+bn+dropout": [0, 1, 5, 6, 9],
    "1c3f+bn+dropout": [0, 1, 5, 6, 9, 10, 13], "0c1f+flat": [1], "1c2f+flat": [0, 1, 4, 6],
    "mlp-sr": [1, 2, 4, 5, 7, 8, 12, 13, 15, 16, 18, 19, 21], "mlp-sr-auglocal": [1, 2, 4, 5, 7, 8, 12, 13, 15, 16, 18],
    "mlp": [3, 4, 6, 7, 9, 10, 12], "cnn": [0, 1, 3, 4, 7, 9],
}  # fmt: skip


def place(shape, *, module=0, unit=1, units=16, widest=64):
    return ModuleContext(module, 16, unit, units, shape, 10, widest, (32, 32, 3), Initializer(3))


@pytest.mark.parametrize("aux, counts", COUNTS.items())
def test_parameter_counts_as_published(aux, counts):
    for (C, H), expected in zip(SIDES.items(), counts, strict=True):
        assert ml.nets.count(auxiliary_network(aux, place((H, H, C))).parameters) == expected


@pytest.mark.parametrize("aux, indices", INDICES.items())
def test_names_are_those_of_the_equivalent_sequential(aux, indices):
    names = auxiliary_network(aux, place((32, 32, 16), module=3)).parameters
    assert [f"aux.3.{i}.weight" for i in indices] == [n for n in names if n.endswith("weight")]


def test_aux_adapt_changes_with_the_width():
    got = [ml.nets.count(auxiliary_network("aux-adapt", place((H, H, C))).parameters) for C, H in SIDES.items()]
    assert got == [COUNTS["2c2f"][0], COUNTS["1c3f"][1], COUNTS["1c2f"][2]]


def test_aux_adapt_goes_by_thirds_of_the_depth_at_other_widths():
    heads = [auxiliary_network("aux-adapt", place((8, 8, 128), unit=u, units=9, widest=512)) for u in range(1, 10)]
    convolutions = [sum(n.endswith("weight") and a.ndim == 4 for n, a in h.parameters.items()) for h in heads]
    connected = [sum(n.endswith("weight") and a.ndim == 2 for n, a in h.parameters.items()) for h in heads]
    assert convolutions == [2] * 3 + [1] * 6 and connected == [2] * 3 + [3] * 3 + [2] * 3


def test_at_other_widths_the_convolution_doubles_the_channels_up_to_the_widest_and_halves_large_maps():
    def first(shape):
        layers = auxiliary_network("1c1f", place(shape, widest=512)).layers
        return outline(layers[0])[2], outline(layers[0])[4], layers[0].out_shape(shape)

    assert first((32, 32, 64)) == (128, 2, (16, 16, 128)) and first((16, 16, 512)) == (512, 2, (8, 8, 512))
    assert first((16, 16, 384)) == (512, 2, (8, 8, 512)) and first((8, 8, 128)) == (128, 1, (8, 8, 128))


def test_layers_have_the_numbers_of_the_equivalent_sequential():
    names = [layer.name for layer in auxiliary_network("1c2f", place((8, 8, 16))).layers]
    assert names == [f"aux.0.{i}" for i in (0, 1, 3, 4, 5, 6, 7)]


@pytest.mark.parametrize("aux", [*NAMES, "1c2f+bn+dropout", "0c1f+flat", "2c2f+flat+bn", "aux-adapt+dropout"])
@pytest.mark.parametrize("shape", [(32, 32, 16), (4, 4, 64), (1, 1, 512), (9, 7, 48), (100,)])
def test_every_head_classifies_wherever_it_stands(aux, shape):
    head = auxiliary_network(aux, place(shape, widest=max(512, shape[-1]) if shape[-1] not in SIDES else 64))
    assert head.out_shape(shape) == (10,)
    h = np.asarray(ml.rng(0).standard_normal((3, *shape)), "f4")
    z, cache = head.forward(h, PassContext())
    error, grads = head.backward(np.asarray(ml.rng(1).standard_normal((3, 10)), "f4"), cache)
    e = host(error)
    assert z.shape == (3, 10) and e.shape == h.shape and grads.keys() == head.parameters.keys()
    assert {a.dtype.char for a in (z, e, *grads.values())} == {"f"}


BN = ("BatchNormReLU", 128)
HEADS = {  # what stands behind the map of 16 channels, 8×8
    "0c2f": [("GlobalAveragePool",), ("Flatten",), ("Linear", 16, 128, True), ("ReLU",), ("Linear", 128, 10, True)],
    "0c2f+bn": [("GlobalAveragePool",), ("Flatten",), ("Linear", 16, 128, True), BN, ("Linear", 128, 10, True)],
    "0c2f+dropout+bn": [
        ("GlobalAveragePool",), ("Flatten",), ("Linear", 16, 128, True), BN, ("Dropout",), ("Linear", 128, 10, True),
    ],
    "0c1f+flat": [("Flatten",), ("Linear", 1024, 10, True)],
}  # fmt: skip


@pytest.mark.parametrize("aux", HEADS)
def test_options_layer_by_layer(aux):
    assert [outline(layer) for layer in auxiliary_network(aux, place((8, 8, 16))).layers] == HEADS[aux]


def test_dropout_drops_half_of_the_hidden_features_in_training_only():
    head = auxiliary_network("0c2f+dropout", place((8, 8, 16)))
    drop = head.layers[4]
    assert isinstance(drop, Dropout) and drop.rate == 0.5 and drop.name == "aux.0.4"
    h = np.ones((64, 8, 8, 16), "f4")
    z, caches = head.forward(h, PassContext())
    kept = caches[4] > 0
    assert 0.4 < kept.mean() < 0.6 and set(np.unique(caches[4])) == {0, 2}
    evaluated, nothing = head.forward(h, PassContext(training=False))
    without: Any = h
    for layer in head.layers:
        if layer is not drop:
            without, _ = layer.forward(without, PassContext(training=False))
    assert nothing[4] is None and (evaluated != z).any() and (evaluated == without).all()


def test_the_order_of_options_is_no_matter():
    a, b = (auxiliary_network(aux, place((8, 8, 16))).parameters for aux in ("1c2f+bn+dropout", "1c2f+dropout+bn"))
    assert a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)


@pytest.mark.parametrize("case", CASES["Auxiliary networks with options"], ids=str)
def test_losses_and_gradients_with_options_are_those_of_autograd(case):
    errors = relative_errors(case)
    assert max(errors.values()) <= DOUBLE, errors


@pytest.mark.parametrize(
    ("aux", "line"),
    [
        ("1c2f+drop", "option 'drop' is not known; did you mean 'dropout'? Known: bn, dropout, flat"),
        ("1c2+bn", "auxiliary network '1c2' is not known; did you mean '1c2f'?"),
        ("1c2f+bn+bn", "names an option twice"),
        ("0c1f+bn", "0c1f has none; give 0c2f+bn"),
        ("1c1f+dropout", "1c1f has none; give 1c2f+dropout"),
        ("1c1f+flat+dropout+bn", "1c1f has none; give 1c2f+dropout."),
        ("mlp-sr+bn", "mlp-sr has no options. There are +bn, +dropout, +flat behind 0c1f, 0c2f"),
        ("1c2f+", "option '' is not known"),
        ("9c9f", "Known: 0c1f, 0c2f, 1c1f, 1c2f, 1c3f, 2c2f, aux-adapt, mlp-sr, mlp-sr-auglocal, mlp, cnn, with +bn"),
    ],
)
def test_options_that_cannot_be_are_refused_in_a_line(aux, line):
    with pytest.raises(ml.UserError) as caught:
        ml.rules.gll(aux=aux)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def warnings_of(net, rule, modules=3):
    """What a Learner warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ml.Learner(net, rule, modules, rng=ml.rng(0))
    return [str(w.message) for w in caught]


def test_behind_fully_connected_units_a_learner_says_what_is_left_out():
    mlp, vgg = ml.nets.mlp((9, 9, 9, 9), rng=ml.rng(0), size=4), ml.nets.alexnet(rng=ml.rng(0), hidden=16)
    (line,) = warnings_of(mlp, ml.rules.dgl())
    assert line == (
        "mlp-sr behind the fully connected units that modules 1, 2 end with is one linear layer, as 0c1f is: this is "
        "greedy local learning through 0c1f."
    )
    (line,) = warnings_of(vgg, ml.rules.dgl(aux="cnn"), 8)
    assert line == "cnn behind the fully connected units that modules 6, 7 end with is one linear layer, as 0c1f is."
    (line,) = warnings_of(mlp, ml.rules.backlink(aux="1c2f+bn"), 2)
    assert line == "1c2f+bn behind the fully connected units that module 1 ends with has no convolutions."
    assert not warnings_of(mlp, ml.rules.gll(aux="0c2f"))
    assert not warnings_of(ml.nets.resnet(8, rng=ml.rng(0)), ml.rules.dgl())


def outline(layer):
    """A layer's kind and its numbers."""
    names = ("inputs", "outputs", "size", "stride", "pad", "bias", "bins", "channels")
    return type(layer).__name__, *(getattr(layer, name) for name in names if hasattr(layer, name))


CONV = [("Conv", 16, 16, 1, 1, 0, False), ("BatchNormReLU", 16)]
WIDE = [("Conv", 16, 16, 3, 1, 1, False), ("BatchNormReLU", 16)]
FULL, BARE = ([("Linear", 64, 64, bias), ("BatchNormReLU", 64)] for bias in (True, False))
MEAN, LAST = [("AdaptiveAveragePool", 2), ("Flatten",)], [("Linear", 64, 10, True)]
REDUCE = [("AdaptiveAveragePool", 8)]
OUTLINES = {  # as in DGL's and AugLocal's code: 16 channels, 32×32
    "mlp-sr": REDUCE + 3 * CONV + MEAN + 3 * FULL + LAST,
    "mlp-sr-auglocal": REDUCE + 3 * CONV + MEAN + 2 * BARE + LAST,
    "mlp": REDUCE + MEAN + 3 * FULL + LAST,
    "cnn": [*WIDE, *WIDE, MEAN[0], ("BatchNorm", 16), MEAN[1], *LAST],
}


@pytest.mark.parametrize("aux", OUTLINES)
def test_dgls_networks_layer_by_layer(aux):
    assert [outline(layer) for layer in auxiliary_network(aux, place((32, 32, 16))).layers] == OUTLINES[aux]


def test_the_spatial_reduction_is_by_4_a_side_rounded_up():
    pools = [auxiliary_network("mlp", place((H, H, 16))).layers[0] for H in (1, 4, 5, 8, 16, 24, 96)]
    assert [pool.bins for pool in pools if isinstance(pool, AdaptiveAveragePool)] == [1, 1, 2, 2, 4, 6, 24]


def test_maps_that_are_not_square_are_reduced_by_each_of_their_sides():
    for aux in ("mlp-sr", "mlp"):
        assert auxiliary_network(aux, place((6, 11, 16))).layers[0].out_shape((6, 11, 16)) == (2, 3, 16)
    first = auxiliary_network("1c2f", place((4, 16, 128), widest=256)).layers[0]
    assert first.out_shape((4, 16, 128)) == (4, 16, 128)  # at the network's own stride only where both sides bear it


def test_behind_fully_connected_units_the_convolutions_are_left_out():
    def shapes(aux):
        return [a.shape for a in auxiliary_network(aux, place((100,))).parameters.values()]

    assert shapes("1c2f") == [(100, 128), (128,), (128, 10), (10,)]
    assert shapes("0c1f") == [(100, 10), (10,)]


def test_totals_of_pgls_table_2():
    """ResNet-32 with 2c2f heads at J = 16: 1.244 million parameters, as that paper prints."""
    net = ml.nets.resnet(32, rng=ml.rng(0))
    learner = ml.Learner(net, ml.rules.gll(aux="2c2f"), 16, rng=ml.rng(1))
    assert round(ml.nets.count(learner.parameters()) / 1e6, 3) == 1.244
