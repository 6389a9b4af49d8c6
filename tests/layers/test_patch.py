"""A patch of a map: n×n of them are the map, and each backward writes into its own part."""

from __future__ import annotations

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import PassContext, Patch
from tests.helpers.host import host

RUN = PassContext()


def test_four_patches_by_hand():
    x = np.arange(6.0).reshape(1, 2, 3, 1)
    patches = [Patch(i, j, 2).forward(x, RUN)[0][0, :, :, 0].tolist() for i in (0, 1) for j in (0, 1)]
    assert patches == [[[0]], [[1, 2]], [[3]], [[4, 5]]]


@pytest.mark.parametrize("sides", [(4, 6), (5, 7), (3, 3)], ids=str)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_patches_are_the_map_and_their_errors_its_error(sides, n):
    x = ml.rng(0).standard_normal((2, *sides, 3)).astype("float32")
    layers = [[Patch(i, j, n) for j in range(n)] for i in range(n)]
    rows = [np.concatenate([host(layer.forward(x, RUN)[0]) for layer in row], 2) for row in layers]
    assert np.array_equal(np.concatenate(rows, 1), x)
    pairs = [(layer, layer.forward(x, RUN)) for row in layers for layer in row]
    back = [host(layer.backward(y, cache)[0]) for layer, (y, cache) in pairs]
    assert np.array_equal(sum(back), x) and all(dx.dtype == np.float32 for dx in back)
    assert all(y.shape[1:] == layer.out_shape(x.shape[1:]) for layer, (y, _) in pairs)
    assert pairs[0][0].backward(pairs[0][1][0], pairs[0][1][1], need="weights") == (None, {})


def test_a_patch_is_a_copy():
    x = np.zeros((1, 2, 2, 1))
    y, _ = Patch(0, 0, 1).forward(x, RUN)
    y += 1
    assert not x.any()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [((0, 0, 0), "patches = 0"), ((2, 0, 2), "Patch row = 2: give 0 to 1"), ((0, -1, 2), "Patch column = -1")],
)
def test_bad_arguments(arguments, why):
    with pytest.raises(ml.UserError, match=why):
        Patch(*arguments)


@pytest.mark.parametrize("shape", [(7,), (1, 4, 3), (4, 1, 3), (4, 4, 3, 1)])
def test_a_map_that_cannot_be_cut_is_refused(shape):
    for name, shown in (("", "Patch"), ("p", "Patch 'p'")):
        with pytest.raises(ml.UserError, match=rf"^{shown} was .* images \(H, W, C\) of at least 2 rows and columns"):
            Patch(0, 0, 2, name=name).out_shape(shape)
