"""The convolution in any legal geometry: a linear map, its transpose, and three forms of it that are one."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minilocal import streams
from minilocal.kernels.cpu import conv as blocked
from minilocal.kernels.cpu.conv import conv2d, conv2d_backward
from minilocal.ops.conv import col2im, im2col
from tests.helpers.conv_cases import conv2d_by_loops, draw_numbers, geometries, near
from tests.helpers.host import host
from tests.helpers.plain import plain


@given(geometries(), st.integers(0, 99))
@settings(deadline=None, derandomize=True, max_examples=150)
@example(((1, 40, 36, 8), (3, 3, 8, 4), 1, 1), 0)
@example(((1, 80, 72, 8), (3, 3, 8, 4), 2, 1), 0)
@example(((1, 40, 36, 8), (3, 3, 8, 4), 1, 4), 0)
def test_the_adjoint(geometry, seed):
    """⟨dz, conv(u, W)⟩ = ⟨convᵀ(dz, W), u⟩ for x and for W: the convolution is linear in each."""
    _, _, stride, pad = geometry
    x, W, dz = draw_numbers(geometry, seed)
    dx, dW = conv2d_backward(dz, x, W, stride, pad)
    u, V = streams.rng(seed + 1).standard_normal(x.shape), streams.rng(seed + 2).standard_normal(W.shape)
    assert near((dz * conv2d(u, W, stride, pad)).sum(), (host(dx) * u).sum())
    assert near((dz * conv2d(x, V, stride, pad)).sum(), (host(dW) * V).sum())


@given(geometries(), st.integers(0, 99))
@settings(deadline=None, derandomize=True, max_examples=100)
@example(((1, 40, 36, 8), (3, 3, 8, 4), 1, 1), 0)
@example(((1, 80, 72, 8), (3, 3, 8, 4), 2, 1), 0)
def test_the_blocked_form_is_the_plain_one(geometry, seed):
    _, _, stride, pad = geometry
    x, W, dz = draw_numbers(geometry, seed)
    assert near(conv2d(x, W, stride, pad), plain.conv2d(x, W, stride, pad))
    dx, dW = conv2d_backward(dz, x, W, stride, pad)
    plain_dx, plain_dW = plain.conv2d_backward(dz, x, W, stride, pad)
    assert near(dx, plain_dx) and near(dW, plain_dW)


@given(geometries(), st.integers(0, 99))
@settings(deadline=None, derandomize=True, max_examples=25)
def test_the_plain_form_is_what_the_loops_say(geometry, seed):
    (N, H, B, C), shape, stride, pad = geometry
    x, W, _ = draw_numbers(((min(N, 2), H, B, C), shape, stride, pad), seed)
    assert near(plain.conv2d(x, W, stride, pad), conv2d_by_loops(x, W, stride, pad))


@given(geometries(), st.integers(0, 99))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_col2im_is_the_transpose_of_im2col(geometry, seed):
    _, (k, _, _, _), stride, pad = geometry
    x, _, _ = draw_numbers(geometry, seed)
    cols = im2col(x, k, stride, pad)
    w = streams.rng(seed).standard_normal(cols.shape)
    assert near((cols * w).sum(), (x * col2im(w, x.shape, stride, pad)).sum())


@pytest.mark.parametrize("block", [1, 1000, 20_000])
def test_any_size_of_block_gives_the_same_convolution(block, monkeypatch):
    geometry = ((3, 9, 8, 3), (3, 3, 3, 4), 1, 1)
    x, W, dz = draw_numbers(geometry, 0)
    monkeypatch.setattr(blocked, "BLOCK", block)
    assert near(conv2d(x, W, 1, 1), plain.conv2d(x, W, 1, 1))
    for ours, theirs in zip(conv2d_backward(dz, x, W, 1, 1), plain.conv2d_backward(dz, x, W, 1, 1), strict=True):
        assert near(ours, theirs)


@given(geometries(), st.integers(0, 99))
@settings(deadline=None, derandomize=True, max_examples=60)
@example(((2, 8, 8, 3), (3, 3, 3, 16), 1, 1), 0)
def test_what_is_needed_changes_no_bit(geometry, seed):
    _, _, stride, pad = geometry
    x, W, dz = draw_numbers(geometry, seed)
    dx, dW = conv2d_backward(dz, x, W, stride, pad)
    only_dx, nothing = conv2d_backward(dz, x, W, stride, pad, "input")
    assert nothing is None and np.array_equal(host(only_dx), host(dx))
    nothing, only_dW = conv2d_backward(dz, x, W, stride, pad, "weights")
    assert nothing is None and np.array_equal(host(only_dW), host(dW))


@pytest.mark.parametrize("stride, pad, k", [(1, 1, 3), (1, 0, 1), (1, 0, 3), (2, 1, 3)])
def test_an_error_that_is_added_is_one_more_addition(stride, pad, k):
    """By Winograd's form, as a product, by im2col of dz and by col2im: to the bit, and `add` is only read."""
    geometry = (5, 8, 8, 8), (k, k, 8, 16), stride, pad
    (x, W, dz), (add, _, _) = draw_numbers(geometry, 0), draw_numbers(geometry, 1)
    before = add.copy()
    for backward in (conv2d_backward, plain.conv2d_backward):
        dx, dW = backward(dz, x, W, stride, pad)
        total, same = backward(dz, x, W, stride, pad, "both", add)
        assert np.array_equal(host(total), host(dx) + add) and np.array_equal(host(same), host(dW))
        assert np.array_equal(add, before) and backward(dz, x, W, stride, pad, "weights", None)[0] is None


def test_images_that_are_a_view_are_read_where_they_lie():
    x, W, _ = draw_numbers(((4, 7, 6, 3), (3, 3, 3, 2), 1, 0), 0)
    for view in (x[::2], x[:, ::-1], x.transpose(0, 2, 1, 3)):
        assert near(conv2d(view, W), plain.conv2d(np.ascontiguousarray(view), W))
