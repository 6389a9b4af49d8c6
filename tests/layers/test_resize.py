"""The two layers that are matrices along the sides: by hand, their adjoints, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import BlockAverage, PassContext, Resize
from tests.helpers.host import host

RUN = PassContext()


def test_a_row_of_three_at_five_places_by_hand():
    y, _ = Resize(1, 5).forward(np.array([[[[0.0], [4.0], [6.0]]]]), RUN)
    assert host(y).ravel().tolist() == [0, 2, 4, 5, 6]


def test_corners_stay_corners_and_a_plane_stays_a_plane():
    i, j = np.mgrid[0:4, 0:3]
    y, _ = Resize(10, 7).forward((2.0 * i + 5.0 * j)[None, :, :, None], RUN)
    i, j = np.mgrid[0:10, 0:7]
    np.testing.assert_allclose(host(y)[0, :, :, 0], 2 * i * 3 / 9 + 5 * j * 2 / 6, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "sides, to", [((3, 5), (8, 8)), ((8, 6), (3, 2)), ((1, 1), (4, 3)), ((16, 16), (32, 32)), ((4, 4), (1, 1))]
)
def test_the_shares_of_a_place_add_to_one(sides, to):
    y, _ = Resize(*to).forward(np.ones((2, *sides, 3)), RUN)
    assert y.shape == (2, *to, 3) and np.abs(host(y) - 1).max() < 1e-15


def test_block_means_by_hand_also_of_smaller_blocks_at_the_edges():
    x = np.arange(15.0).reshape(1, 3, 5, 1)
    y, _ = BlockAverage(2, 2).forward(x, RUN)
    assert y[0, :, :, 0].tolist() == [[3, 5, 6.5], [10.5, 12.5, 14]]


LAYERS = [Resize(7, 9), Resize(2, 11), Resize(3, 2), BlockAverage(2, 3), BlockAverage(4, 1), BlockAverage(9, 9)]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda a: f"{type(a).__name__}({a.height}, {a.width})")
def test_the_adjoint_is_exact(layer):
    """⟨A x Bᵀ, dy⟩ = ⟨x, Aᵀ dy B⟩ for every x and dy; a linear layer has no other gradient."""
    rng = ml.rng(0)
    x = rng.standard_normal((2, 5, 4, 3))
    y, cache = layer.forward(x, RUN)
    dy = rng.standard_normal(y.shape)
    dx, grads = layer.backward(dy, cache)
    assert y.shape[1:] == layer.out_shape(x.shape[1:]) and grads == {} and dx.shape == x.shape
    assert abs((y * dy).sum() - (x * dx).sum()) < 1e-13 * np.abs(y * dy).sum()
    assert layer.backward(dy, cache, need="weights") == (None, {})
    assert layer.forward(x.astype("f4"), RUN)[0].dtype == np.float32
    assert layer.backward(dy.astype("f4"), cache)[0].dtype == np.float32


def test_a_map_that_has_the_size_is_handed_on():
    x = np.ones((2, 4, 3, 2))
    y, cache = Resize(4, 3).forward(x, RUN)
    assert y is x and Resize(4, 3).backward(y, cache)[0] is y


def test_vectors_are_refused():
    with pytest.raises(ml.UserError, match="takes images"):
        Resize(4, 4).out_shape((7,))
