"""Kernels: the few pieces of arithmetic in which the time goes, each in up to three forms that are tested equal.

    plain/    a line or two of slices and products, on any array: what the kernel means
    cpu/      NumPy, in blocks that stay in the cache, shared by threads
    cuda/     CuPy, in CUDA C++

The functions here are the doors: they take the fast form for where the arrays live, if there is one, else the plain
one. Their meaning, shapes and equations stand with the plain forms.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minilocal import device, ops
from minilocal.array import Array, namespace
from minilocal.kernels import cpu, cuda
from minilocal.kernels.cuda import conv
from minilocal.ops.batch_norm import Statistics
from minilocal.ops.conv import conv_out_size
from minilocal.ops.sgd import Updates
from minilocal.streams import StreamKey

__all__ = ["Updates", "Statistics", "conv_out_size", "use_tf32", *ops.__all__]


def form(kernel: str, *arrays: Array) -> Any:
    """The form of `kernel` for arrays like these: that of `cpu`, of `cuda`, or the plain one.

    CUDA kernels are for libraries that build them (`RawKernel`), and float32 or float64.
    """
    xp = namespace(*arrays)
    if xp is np:
        return getattr(cpu, kernel, None) or getattr(ops, kernel)
    if hasattr(xp, "RawKernel") and arrays[0].dtype.char in "fd":
        return getattr(cuda, kernel, None) or getattr(ops, kernel)
    return getattr(ops, kernel)


def use_tf32(xp: Any, on: bool) -> None:
    """Whether float32 products on this library's device may round their factors to TF32's 10 bits: those that the
    library makes, and with them wide convolutions, which then go through it. For the whole process.

    Raises: UserError where it is to be on and the GPU or CuPy cannot.
    """
    device.use_tf32(xp, on)
    conv.use_tf32(on)


def conv2d(x: Array, W: Array, stride: int = 1, pad: int = 0) -> Array:
    """z = im2col(x) W.        x (N, H, W, C), W (k, k, C, O)  →  (N, P, Q, O)"""
    return form("conv2d", x, W)(x, W, stride, pad)


def conv2d_backward(
    dz: Array, x: Array, W: Array, stride: int = 1, pad: int = 0, need: str = "both"
) -> tuple[Array | None, Array | None]:
    """dx = col2im(dz Wᵀ), dW = im2col(x)ᵀ dz; one of them None where `need` is "input" or "weights"."""
    found: tuple[Array | None, Array | None] = form("conv2d_backward", dz, x, W)(dz, x, W, stride, pad, need)
    return found


def matmul(x: Array, W: Array) -> Array:
    """x W.        x (rows, I), W (I, O)  →  (rows, O)"""
    return form("matmul", x, W)(x, W)


def matmul_dw(x: Array, dy: Array) -> Array:
    """dW = xᵀ dy.        x (rows, I), dy (rows, O)  →  (I, O)"""
    return form("matmul_dw", x, dy)(x, dy)


def sum_rows(dy: Array) -> Array:
    """db = Σₙ dy.        dy (rows, O)  →  (O,)"""
    return form("sum_rows", dy)(dy)


def matmul_axis1(A: Array, x: Array) -> Array:
    """y[n, p, b] = Σ_h A[p, h] x[n, h, b].        A (P, H), x (N, H, B)  →  (N, P, B)"""
    return form("matmul_axis1", A, x)(A, x)


def batch_norm_stats(z: Array, eps: float) -> Statistics:
    """Mean, biased variance and r = 1/√(σ² + ε) of every channel over all rows.        z (..., C)  →  (C,) each"""
    found: Statistics = form("batch_norm_stats", z)(z, eps)
    return found


def batch_norm_apply(
    z: Array, mean: Array, r: Array, gamma: Array, beta: Array, add: Array | None = None, relu: bool = False
) -> Array:
    """γ (z - μ) r + β, then + s, then ReLU, as asked.        z, s (..., C)  →  a new array of z's shape"""
    return form("batch_norm_apply", z, gamma)(z, mean, r, gamma, beta, add, relu)


def batch_norm_backward(
    dy: Array, z: Array, mean: Array, r: Array, gamma: Array, a: Array | None = None, both: bool = True
) -> tuple[Array, Array, Array, Array | None]:
    """(dz, dγ, dβ, dy masked) of batch norm in training, from dy at its output, or behind its ReLU where `a` is given.

    dy ← dy where a > 0;   dγ = Σ dy·n   dβ = Σ dy   dz = γ r (dy - dβ/M - n dγ/M). Without `both` a form may leave the
    masked error out, since nobody will read it.
    """
    found: tuple[Array, Array, Array, Array | None] = form("batch_norm_backward", dy, z, gamma)(
        dy, z, mean, r, gamma, a, both
    )
    return found


def batch_norm_update_running(running_mean: Array, running_var: Array, seen: Statistics, momentum: float) -> None:
    """running ← (1 - momentum) running + momentum batch, in place; the variance as the unbiased one."""
    form("batch_norm_update_running", running_mean, seen.mean)(running_mean, running_var, seen, momentum)


def relu(x: Array) -> Array:
    """max(x, 0), a new array."""
    return form("relu", x)(x)


def relu_backward(dy: Array, a: Array) -> Array:
    """dy where a > 0, else 0, a new array."""
    return form("relu_backward", dy, a)(dy, a)


def max_pool(x: Array, k: int, stride: int) -> tuple[Array, Array]:
    """(y, place), both (N, P, Q, C): the largest of each k×k window, and its number there, a byte up to 16×16."""
    found: tuple[Array, Array] = form("max_pool", x)(x, k, stride)
    return found


def max_pool_backward(dy: Array, argmax: Array, shape: tuple[int, ...], k: int, stride: int) -> Array:
    """dx (N, H, W, C) of `shape`: each error put where the largest number stood, overlaps added."""
    return form("max_pool_backward", dy, argmax)(dy, argmax, shape, k, stride)


def cross_entropy(z: Array, labels: Array) -> tuple[Array, Array]:
    """L = -1/N Σₙ log pₙ[yₙ], p = softmax(z);   dz = (p - onehot(y)) / N.        z (N, C)  →  loss () float64, dz"""
    found: tuple[Array, Array] = form("cross_entropy", z, labels)(z, labels)
    return found


def sgd(updates: Updates, lr: float | Array, momentum: float, weight_decay: float, nesterov: bool) -> None:
    """g ← g + λ w;  v ← μ v + g;  w ← w - η v, or w - η (g + μ v) with Nesterov: all parameters, in place."""
    if updates:
        form("sgd", updates[0][0], updates[0][1])(updates, lr, momentum, weight_decay, nesterov)


def dropout_mask(x: Array, rate: float, name: StreamKey, clock: Array | None = None) -> Array:
    """0 with probability `rate`, else 1/(1 - rate): an array like x, drawn from the stream `name`."""
    return form("dropout_mask", x)(x, rate, name, clock)


def crop_flip_normalise(images: Array, picks: Array, table: Array, padding: int, mode: str) -> Array:
    """A batch cut out of raw images (all, H, W, C) uint8, where they live; see `plain.crops`."""
    return form("crop_flip_normalise", table, images, picks)(images, picks, table, padding, mode)
