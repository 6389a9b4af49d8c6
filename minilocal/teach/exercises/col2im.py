"""2b: the adjoint of im2col: windows added where they came from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal.ops import conv
from minilocal.teach.exercise import Case, Exercise, Mistake


def col2im(cols: np.ndarray, H: int, W: int, stride: int, pad: int) -> np.ndarray:
    """The images whose windows these errors belong to.        cols (N, P, Q, k, k, C)  →  (N, H, W, C)

    The adjoint of im2col: Σ im2col(x)·cols = Σ x·col2im(cols) for every x.
    """
    N, P, Q, k, _, C = cols.shape
    x = np.zeros((N, H + 2 * pad, W + 2 * pad, C))
    for p in range(P):
        for q in range(Q):
            x[:, p * stride : p * stride + k, q * stride : q * stride + k] += cols[:, p, q]
    return x[:, pad : pad + H, pad : pad + W]


def reference(cols: np.ndarray, H: int, W: int, stride: int, pad: int) -> np.ndarray:
    N, C = cols.shape[0], cols.shape[-1]
    return np.asarray(conv.col2im(cols, (N, H, W, C), stride, pad))


def replaced(cols: np.ndarray, H: int, W: int, stride: int, pad: int) -> np.ndarray:
    N, P, Q, k, _, C = cols.shape
    x = np.zeros((N, H + 2 * pad, W + 2 * pad, C))
    for p in range(P):
        for q in range(Q):
            x[:, p * stride : p * stride + k, q * stride : q * stride + k] = cols[:, p, q]
    return x[:, pad : pad + H, pad : pad + W]


def averaged(cols: np.ndarray, H: int, W: int, stride: int, pad: int) -> np.ndarray:
    windows = reference(np.ones_like(cols), H, W, stride, pad)
    return reference(cols, H, W, stride, pad) / np.maximum(windows, 1)


def with_padding(cols: np.ndarray, H: int, W: int, stride: int, pad: int) -> np.ndarray:
    return reference(cols, H + 2 * pad, W + 2 * pad, stride, 0)


def corner(cols: np.ndarray, H: int, W: int, stride: int, pad: int) -> np.ndarray:
    return with_padding(cols, H, W, stride, pad)[:, :H, :W]


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for (N, H, W, C), k, stride, pad in (((2, 5, 5, 2), 3, 2, 1), ((1, 4, 6, 3), 2, 1, 0), ((3, 7, 5, 1), 3, 2, 2)):
        P, Q = ((side + 2 * pad - k) // stride + 1 for side in (H, W))
        yield rng.standard_normal((N, P, Q, k, k, C)), H, W, stride, pad


EXERCISE = Exercise(
    id="2b",
    question="Write col2im, the adjoint of im2col, through which the error of a convolution reaches its input.",
    solution=col2im,
    reference=reference,
    against="minilocal.ops.conv.col2im",
    returns=("x",),
    cases=cases,
    mistakes=(
        Mistake("windows that overlap replace each other: they are added, +=", replaced),
        Mistake("a pixel has the mean of its windows: the adjoint is their sum", averaged),
        Mistake("the padding is not cut off", with_padding),
        Mistake("the padding is cut off at one side only: the image begins at row `pad`, column `pad`", corner),
        Mistake("rows and columns of a window are swapped", lambda c, *a: reference(c.transpose(0, 1, 2, 4, 3, 5), *a)),
    ),
)
