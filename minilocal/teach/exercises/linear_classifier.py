"""3b: the gradients of a module's linear classifier, which reads the mean of the map."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal import losses
from minilocal.layers import GlobalAveragePool, PassContext
from minilocal.teach.exercise import Case, Exercise, Mistake

Gradients = tuple[np.ndarray, np.ndarray, np.ndarray]


def classifier_gradients(h: np.ndarray, w_c: np.ndarray, b: np.ndarray, labels: np.ndarray) -> Gradients:
    """(dw_c, db, dh) of the mean cross-entropy of logits = mean over the map(h) w_c + b; samples in rows.

    h (N, H, W, C), w_c (C, classes), b (classes,), labels (N,)  →  the shapes of w_c, b and h
    """
    N, H, width, _ = h.shape
    pooled = h.mean(axis=(1, 2))
    z = pooled @ w_c + b
    dz = np.exp(z - z.max(axis=1, keepdims=True))
    dz /= dz.sum(axis=1, keepdims=True)
    dz[np.arange(N), labels] -= 1
    dz /= N
    dh = np.broadcast_to((dz @ w_c.T / (H * width))[:, None, None], h.shape)
    return pooled.T @ dz, dz.sum(axis=0), dh


def reference(h: np.ndarray, w_c: np.ndarray, b: np.ndarray, labels: np.ndarray) -> Gradients:
    pool = GlobalAveragePool()
    pooled, cache = pool.forward(h, PassContext())
    rows = np.asarray(pooled).reshape(len(h), -1)
    dz = np.asarray(losses.cross_entropy(rows @ w_c + b, labels)[1])
    dh, _ = pool.backward((dz @ w_c.T).reshape(pooled.shape), cache)
    return rows.T @ dz, dz.sum(axis=0), np.asarray(dh)


def variant(
    h: np.ndarray, w_c: np.ndarray, b: np.ndarray, labels: np.ndarray, *, pooled: bool = True, samples: bool = True
) -> Gradients:
    """Without the 1/(H·W) of the mean in dh, or without the 1/N of the loss."""
    dw_c, db, dh = reference(h, w_c, b, labels)
    size, N = 1 if pooled else h.shape[1] * h.shape[2], 1 if samples else len(h)
    return dw_c * N, db * N, dh * size * N


def summed(h: np.ndarray, w_c: np.ndarray, b: np.ndarray, labels: np.ndarray) -> Gradients:
    """dw_c of the sum over the map."""
    dw_c, db, dh = reference(h, w_c, b, labels)
    return dw_c * (h.shape[1] * h.shape[2]), db, dh


def transposed(h: np.ndarray, w_c: np.ndarray, b: np.ndarray, labels: np.ndarray) -> Gradients:
    """dw_c turned, as dzᵀ pooled."""
    dw_c, db, dh = reference(h, w_c, b, labels)
    return dw_c.T, db, dh


def not_transposed(h: np.ndarray, w_c: np.ndarray, b: np.ndarray, labels: np.ndarray) -> Gradients:
    """The error of h through w_c in place of w_cᵀ."""
    dw_c, db, dh = reference(h, w_c, b, labels)
    dz = np.linalg.solve(w_c, dh[:, 0, 0].T).T  # dh is dz w_cᵀ / (H·W) at every position
    return dw_c, db, np.broadcast_to((dz @ w_c)[:, None, None], h.shape)


def averaged_bias(h: np.ndarray, w_c: np.ndarray, b: np.ndarray, labels: np.ndarray) -> Gradients:
    dw_c, db, dh = reference(h, w_c, b, labels)
    return dw_c, db / len(h), dh


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for (N, H, W, C), classes in (((4, 3, 2, 3), 3), ((2, 4, 4, 5), 4), ((6, 1, 5, 2), 3)):
        shapes = (N, H, W, C), (C, classes), (classes,)
        yield (*(rng.standard_normal(shape) for shape in shapes), rng.integers(0, classes, N))


EXERCISE = Exercise(
    id="3b",
    question="Write the gradients of the local classifier 0c1f: the mean of the map, then one linear layer.",
    solution=classifier_gradients,
    reference=reference,
    against="minilocal.layers.GlobalAveragePool and minilocal.losses.cross_entropy",
    returns=("dw_c", "db", "dh"),
    cases=cases,
    mistakes=(
        Mistake(
            "1/(H·W) is missing in dh: the classifier reads the mean of the map", lambda *a: variant(*a, pooled=False)
        ),
        Mistake("1/N is missing: the loss is the mean over the batch", lambda *a: variant(*a, samples=False)),
        Mistake("dw_c has the sum over the map in place of its mean", summed),
        Mistake("dw_c is transposed: it is (C, classes), as w_c", transposed),
        Mistake("w_c is not transposed in dh: the error goes back through w_cᵀ", not_transposed),
        Mistake("db is a mean over the batch, and dz had its 1/N already", averaged_bias),
    ),
)
