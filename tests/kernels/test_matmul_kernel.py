"""Rows times a matrix, however they are cut."""

import numpy as np
import pytest

from minilocal import streams
from minilocal.kernels.cpu import matmul, matmul_dw, relu, relu_backward, sum_rows

SHAPES = [(3, 4, 5), (1, 1, 1), (5000, 40, 30), (100, 300, 200), (17, 1200, 130)]


@pytest.mark.parametrize("rows, inputs, outputs", SHAPES)
def test_products_and_their_transposes(rows, inputs, outputs):
    rng = streams.rng(0)
    x, W = rng.standard_normal((rows, inputs)), rng.standard_normal((inputs, outputs))
    dy = rng.standard_normal((rows, outputs))
    assert np.allclose(matmul(x, W), np.einsum("ni,io->no", x, W), rtol=0, atol=1e-10)
    assert np.allclose(matmul(dy, W.T), np.einsum("no,io->ni", dy, W), rtol=0, atol=1e-10)
    assert np.allclose(matmul_dw(x, dy), np.einsum("ni,no->io", x, dy), rtol=0, atol=1e-10)
    assert np.allclose(sum_rows(dy), dy.sum(axis=0), rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(3, 4), (2, 50, 40, 20)], ids=str)
def test_relu_and_its_mask_at_zero(shape):
    rng = streams.rng(0)
    x, dy = rng.standard_normal(shape), rng.standard_normal(shape)
    x[0] = 0.0
    a = relu(x)
    assert np.array_equal(a, np.where(x > 0, x, 0))
    assert np.array_equal(relu_backward(dy, a), np.where(x > 0, dy, 0))
