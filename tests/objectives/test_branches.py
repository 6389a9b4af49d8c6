"""Objectives of several branches: names, counts, weights, and what a branch of weight 0 does."""

from __future__ import annotations

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import Initializer, PassContext
from minilocal.losses import binary_cross_entropy, cross_entropy, similarity
from minilocal.objectives import LAMBDAS, Batch, ModuleContext
from minilocal.objectives.infopro import MEAN, STD, InfoPro, Reconstruction, decoder
from minilocal.objectives.predsim import block
from tests.helpers.host import host

RUN = PassContext()


def place(shape, *, module=1, modules=4, image=(32, 32, 3), widest=64):
    return ModuleContext(module, modules, 2, 16, shape, 10, widest, image, Initializer(3))


def batch(h, image, dtype="float64"):
    rng = ml.rng(0)
    return Batch(rng.standard_normal((h.shape[0], *image)).astype(dtype), rng.integers(0, 10, h.shape[0]))


# ---------------------------------------------------------------------------------------------- InfoPro


@pytest.mark.parametrize("channels, side, count", [(16, 32, 2091), (32, 16, 3819), (64, 8, 7275)])
def test_the_decoders_parameters_as_published(channels, side, count):
    network = decoder(place((side, side, channels)))
    assert ml.nets.count(network.parameters) == count and network.out_shape((side, side, channels)) == (32, 32, 3)


def test_infopros_arrays_are_named_by_their_branch():
    names = list(ml.objectives.infopro(aux="0c1f").build(place((8, 8, 64))).parameters)
    assert names == [
        "aux.1.decoder.0.weight", "aux.1.decoder.0.bias", "aux.1.decoder.1.weight", "aux.1.decoder.1.bias",
        "aux.1.decoder.3.weight", "aux.1.decoder.3.bias", "aux.1.classifier.2.weight", "aux.1.classifier.2.bias",
    ]  # fmt: skip


def test_the_contrast_compares_128_features():
    branches = ml.objectives.infopro(version="contrast").build(place((8, 8, 64)))
    assert branches.parameters["aux.1.classifier.7.weight"].shape == (128, 128)


def test_lambdas_run_linearly_from_module_1_to_module_k_minus_1():
    objective = InfoPro((6.0, 0.0, 1.0, 2.0))
    assert [objective.weights(k, 5) for k in range(4)] == [
        (6.0, 0.0), pytest.approx((13 / 3, 2 / 3)), pytest.approx((8 / 3, 4 / 3)), (1.0, 2.0),
    ]  # fmt: skip
    assert objective.weights(0, 2) == (6.0, 0.0), "with two modules the second pair is unused"


def test_a_name_stands_for_the_published_lambdas_of_its_k():
    objective = InfoPro("resnet32-cifar10")
    for K in (2, 4, 8, 16):
        ixx_1, ixy_1, ixx_2, ixy_2 = LAMBDAS["resnet32-cifar10"][K]
        assert objective.weights(0, K) == (ixx_1, ixy_1)
        assert K == 2 or objective.weights(K - 2, K) == (ixx_2, ixy_2)
    assert objective.weights(0, 3) == (6, 0), "K = 3 is not published and has those of 4"
    assert objective.weights(14, 32) == pytest.approx((5 - 4.8 * 14 / 30, 0.05 + 0.45 * 14 / 30))
    assert InfoPro("resnet110-cifar10-star").weights(1, 3) == (5, 0.1)


def test_the_target_is_the_image_without_its_normalisation_kept_inside_0_and_1():
    image = ml.rng(0).random((2, 4, 4, 3))
    x = (image - np.array(MEAN)) / np.array(STD)
    a = ml.rng(1).standard_normal(image.shape)
    y = np.zeros(2, int)  # no label is read
    for ours, plain in zip(Reconstruction(MEAN, STD)(a, Batch(x, y)), binary_cross_entropy(a, image), strict=True):
        np.testing.assert_allclose(host(ours), host(plain), rtol=1e-12, atol=1e-15)
    far = Reconstruction((0.5,), (1.0,))(a[..., :1], Batch(10 * x[..., :1], y))
    clipped = binary_cross_entropy(a[..., :1], np.clip(10 * x[..., :1] + 0.5, 0, 1))
    assert np.array_equal(host(far[1]), host(clipped[1]))


def test_constants_are_one_for_each_channel_and_grey_images_have_cifars_average():
    grey = ml.objectives.infopro().build(place((8, 8, 64), image=(32, 32, 1))).branches[0].loss
    assert isinstance(grey, Reconstruction) and grey.mean == (sum(MEAN) / 3,) and grey.std == (sum(STD) / 3,)
    one = ml.objectives.infopro(mean=0.5, std=[0.5]).build(place((8, 8, 64))).branches[0].loss
    assert isinstance(one, Reconstruction) and one.mean == one.std == (0.5, 0.5, 0.5)
    with pytest.raises(ml.UserError, match="mean has 2 numbers, the images have 3 channels"):
        ml.objectives.infopro(mean=[0.5, 0.5]).build(place((8, 8, 64)))


# ---------------------------------------------------------------------------------------------- PredSim


@pytest.mark.parametrize(
    "shape, most, expected",
    [
        ((32, 32, 128), 4096, (8, 4)),  # the paper's code
        ((32, 32, 16), 4096, (2, 2)), ((16, 16, 32), 4096, (2, 1)), ((8, 8, 64), 4096, (1, 1)),
        ((32, 32, 16), 512, (8, 4)), ((16, 16, 32), 512, (4, 4)), ((8, 8, 64), 512, (4, 2)),
        ((4, 4, 512), 100, (4, 4)), ((9, 7, 10), 200, (2, 2)), ((1, 1, 9000), 4096, (1, 1)),
        ((2, 32, 64), 256, (8, 8)), ((32, 2, 64), 256, (8, 4)), ((1, 32, 64), 256, (8, 8)),
    ],
)  # fmt: skip
def test_blocks_double_in_turn_height_first(shape, most, expected):
    assert block(shape, most) == expected


def test_predsims_arrays_are_named_by_their_branch_and_its_classifier_starts_from_nothing():
    p = ml.objectives.predsim().build(place((32, 32, 16))).parameters
    assert {n: a.shape for n, a in p.items()} == {
        "aux.1.sim.0.weight": (3, 3, 16, 16), "aux.1.pred.2.weight": (4096, 10), "aux.1.pred.2.bias": (10,),
    }  # fmt: skip
    assert not host(p["aux.1.pred.2.weight"]).any()
    assert host(p["aux.1.sim.0.weight"]).any() and host(p["aux.1.pred.2.bias"]).any()
    random = ml.objectives.predsim(zero=False).build(place((32, 32, 16))).parameters
    assert host(random["aux.1.pred.2.weight"]).any()
    p = ml.objectives.predsim().build(place((100,))).parameters
    assert {n: a.shape for n, a in p.items()} == {
        "aux.1.sim.0.weight": (100, 100), "aux.1.pred.0.weight": (100, 10), "aux.1.pred.0.bias": (10,),
    }  # fmt: skip


@pytest.mark.parametrize("beta", [0.0, 0.6, 0.99, 1.0])
def test_predsims_loss_is_beta_similarity_and_the_rest_prediction(beta):
    branches = ml.objectives.predsim(beta, zero=False).build(place((4, 4, 6), widest=6))
    h = ml.rng(1).standard_normal((5, 4, 4, 6))
    images = batch(h, (8, 8, 3))
    U, p = (branch.network.forward(h, RUN)[0] for branch in branches.branches)
    expected = beta * similarity(U, images.y, 10)[0] + (1 - beta) * cross_entropy(p, images.y)[0]
    assert np.isclose(host(branches.forward(h, images, RUN)[0]), host(expected), rtol=1e-14)


# ---------------------------------------------------------------------------------------------- both


class Mine(ml.objectives.ObjectiveSpec):
    """An objective of the user's."""


@pytest.mark.parametrize(
    ("objective", "text"),
    [
        (ml.objectives.augmented(depth=3), "a classifier behind 3 of the network's own later units (τ = 0.5)"),
        (
            ml.objectives.hpff(own=0.25, cascade=0.75, aux="0c1f"),
            "two heads (0c1f, softmax), 0.25 of a classifier, and 0.75 of a classifier and 2×2 decoders of the image",
        ),
        (Mine(), "Mine"),
    ],
)
def test_an_objective_in_a_few_words(objective, text):
    assert objective.describe() == text


OBJECTIVES = [
    ml.objectives.predsim(0.6),
    ml.objectives.infopro((5, 0.5, 0.25, 2)),
    ml.objectives.infopro((5, 0.5, 0.25, 2), "contrast"),
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda spec: spec.describe())
@pytest.mark.parametrize("shape", [(8, 8, 64), (4, 4, 20), (1, 1, 96), (5, 3, 7)], ids=str)
def test_everywhere_float32_stays_float32_and_every_array_learns(objective, shape):
    branches = objective.build(place(shape, image=(8, 8, 3), widest=max(64, shape[-1])))
    h = ml.rng(0).standard_normal((6, *shape)).astype("f4")
    h.flags.writeable = False
    loss, cache = branches.forward(h, batch(h, (8, 8, 3), "float32"), RUN)
    error, grads = branches.backward(cache)
    assert loss.dtype == np.float64 and loss.shape == () and error.shape == h.shape
    assert {a.dtype for a in (error, *grads.values())} == {np.dtype("float32")}
    assert {n: g.shape for n, g in grads.items()} == {n: a.shape for n, a in branches.parameters.items()}


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda spec: spec.describe())
def test_asked_for_one_half_it_gives_that_half(objective):
    branches = objective.build(place((8, 8, 16), image=(8, 8, 3)))
    h = ml.rng(0).standard_normal((4, 8, 8, 16)).astype("f4")
    _, cache = branches.forward(h, batch(h, (8, 8, 3), "float32"), RUN)
    error, grads = branches.backward(cache)
    only, none = branches.backward(cache, need="input")
    nothing, own = branches.backward(cache, need="weights")
    assert np.array_equal(only, error) and none == {} and nothing is None
    assert own.keys() == grads.keys() and all(np.array_equal(own[n], g) for n, g in grads.items())


def test_a_branch_of_weight_0_costs_nothing_teaches_nothing_and_sees_nothing(monkeypatch):
    """Its gradients are 0, not missing: weight decay acts on them, as it does in the papers' code."""
    branches = ml.objectives.infopro((0, 1, 0, 1), aux="1c1f").build(place((8, 8, 16)))
    monkeypatch.setattr(branches.branches[0].network, "forward", None)  # never called
    h = ml.rng(0).standard_normal((4, 8, 8, 16))
    _, cache = branches.forward(h, batch(h, (32, 32, 3)), RUN)
    error, grads = branches.backward(cache)
    branches.update_running_stats(cache)
    assert host(error).any() and grads.keys() == branches.parameters.keys()
    assert all(host(g).any() == ("classifier" in n) for n, g in grads.items())
    moved = {n for n, a in branches.buffers.items() if n.endswith("mean") and host(a).any()}
    assert moved == {"aux.1.classifier.1.running_mean"}


def test_where_every_weight_is_0_the_error_is_0_and_not_missing():
    branches = ml.objectives.infopro((0, 0, 0, 0)).build(place((8, 8, 16)))
    h = ml.rng(0).standard_normal((4, 8, 8, 16))
    loss, cache = branches.forward(h, batch(h, (32, 32, 3)), RUN)
    error, _ = branches.backward(cache)
    assert loss == 0 and host(error).shape == h.shape and not host(error).any()


def test_two_branches_are_the_weighted_sum_of_each_alone():
    h = ml.rng(0).standard_normal((4, 8, 8, 16))
    images = batch(h, (32, 32, 3))

    def out(a, b):
        branches = ml.objectives.infopro((a, b, a, b)).build(place((8, 8, 16)))
        loss, cache = branches.forward(h, images, RUN)
        return loss, branches.backward(cache)[0]

    both, first, second = out(5, 0.5), out(1, 0), out(0, 1)
    for i in (0, 1):
        np.testing.assert_allclose(both[i], 5 * first[i] + 0.5 * second[i], rtol=1e-6)
