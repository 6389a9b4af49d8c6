"""2d: max pooling's backward: each error goes to the pixel that won its window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal import ops
from minilocal.teach.exercise import Case, Exercise, Mistake


def max_pool_backward(dy: np.ndarray, x: np.ndarray, k: int, stride: int) -> np.ndarray:
    """dx of the maximum over k×k windows, `stride` apart.        dy (N, P, Q, C), x (N, H, W, C)  →  the shape of x"""
    dx = np.zeros_like(x)
    for n, p, q, c in np.ndindex(dy.shape):
        window = x[n, p * stride : p * stride + k, q * stride : q * stride + k, c]
        i, j = np.unravel_index(window.argmax(), window.shape)
        dx[n, p * stride + i, q * stride + j, c] += dy[n, p, q, c]
    return dx


def reference(dy: np.ndarray, x: np.ndarray, k: int, stride: int) -> np.ndarray:
    _, argmax = ops.max_pool(x, k, stride)
    return np.asarray(ops.max_pool_backward(dy, argmax, x.shape, k, stride))


def replaced(dy: np.ndarray, x: np.ndarray, k: int, stride: int) -> np.ndarray:
    dx = np.zeros_like(x)
    for n, p, q, c in np.ndindex(dy.shape):
        window = x[n, p * stride : p * stride + k, q * stride : q * stride + k, c]
        i, j = np.unravel_index(window.argmax(), window.shape)
        dx[n, p * stride + i, q * stride + j, c] = dy[n, p, q, c]
    return dx


def over_the_window(dy: np.ndarray, x: np.ndarray, k: int, stride: int, share: float = 1) -> np.ndarray:
    dx = np.zeros_like(x)
    for n, p, q, c in np.ndindex(dy.shape):
        dx[n, p * stride : p * stride + k, q * stride : q * stride + k, c] += dy[n, p, q, c] * share
    return dx


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for (N, H, W, C), k, stride in (((2, 5, 5, 2), 3, 1), ((1, 4, 6, 3), 2, 2), ((2, 7, 5, 2), 3, 2)):
        P, Q = ((side - k) // stride + 1 for side in (H, W))
        yield rng.standard_normal((N, P, Q, C)), rng.standard_normal((N, H, W, C)), k, stride


EXERCISE = Exercise(
    id="2d",
    question="Write the backward of max pooling, for windows that may overlap.",
    solution=max_pool_backward,
    reference=reference,
    against="minilocal.ops.max_pool_backward",
    returns=("dx",),
    cases=cases,
    mistakes=(
        Mistake("a pixel that wins two windows has the error of one: errors are added, +=", replaced),
        Mistake(
            "that is mean pooling: the maximum passes its whole error to one pixel",
            lambda dy, x, k, s: over_the_window(dy, x, k, s, 1 / k**2),
        ),
        Mistake("every pixel of the window has the error: only the largest one has", over_the_window),
        Mistake("the smallest pixel has the error, not the largest", lambda dy, x, k, s: reference(dy, -x, k, s)),
        Mistake(
            "the error is multiplied by the pixel: the derivative of a maximum is 1 or 0",
            lambda dy, x, k, s: reference(dy, x, k, s) * x,
        ),
    ),
)
