"""2a: every window of an image as a row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal.ops import conv
from minilocal.teach.exercise import Case, Exercise, Mistake


def im2col(x: np.ndarray, k: int, stride: int, pad: int) -> np.ndarray:
    """Every k×k window of every image, zeros around it.        x (N, H, W, C)  →  (N, P, Q, k, k, C)

    P = (H + 2 pad - k) // stride + 1, Q the same of W. [n, p, q, i, j] is the pixel at row i, column j of window p, q.
    """
    P, Q = ((side + 2 * pad - k) // stride + 1 for side in x.shape[1:3])
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    cols = np.empty((len(x), P, Q, k, k, x.shape[3]))
    for p in range(P):
        for q in range(Q):
            cols[:, p, q] = x[:, p * stride : p * stride + k, q * stride : q * stride + k]
    return cols


def one_apart(x: np.ndarray, k: int, stride: int, pad: int) -> np.ndarray:
    """The first P×Q windows at stride 1."""
    P, Q = conv.im2col(x, k, stride, pad).shape[1:3]
    return np.asarray(conv.im2col(x, k, 1, pad)[:, :P, :Q])


def filled_with_the_edge(x: np.ndarray, k: int, stride: int, pad: int) -> np.ndarray:
    return np.asarray(conv.im2col(np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="edge"), k, stride, 0))


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for (N, H, W, C), k, stride, pad in (((2, 5, 5, 2), 3, 2, 1), ((1, 4, 6, 3), 2, 1, 0), ((3, 7, 5, 1), 3, 3, 2)):
        yield rng.standard_normal((N, H, W, C)), k, stride, pad


EXERCISE = Exercise(
    id="2a",
    question="Write im2col: every window of every image as a row of k·k·C numbers.",
    solution=im2col,
    reference=conv.im2col,
    against="minilocal.ops.conv.im2col",
    returns=("cols",),
    cases=cases,
    mistakes=(
        Mistake("the padding is missing", lambda x, k, s, pad: conv.im2col(x, k, s, 0)),
        Mistake("windows are one pixel apart, not `stride`", one_apart),
        Mistake("rows and columns of a window are swapped", lambda *a: conv.im2col(*a).transpose(0, 1, 2, 4, 3, 5)),
        Mistake("rows and columns of windows are swapped", lambda *a: conv.im2col(*a).transpose(0, 2, 1, 3, 4, 5)),
        Mistake("the channels stand before the window", lambda *a: conv.im2col(*a).transpose(0, 1, 2, 5, 3, 4)),
        Mistake("the border repeats the last pixel; it is 0", filled_with_the_edge),
    ),
)
