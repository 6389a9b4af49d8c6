"""3b: the gradients of a module's linear classifier, which reads the mean of the map."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal import losses
from minilocal.layers import GlobalAveragePool, PassContext
from minilocal.teach.exercise import Case, Exercise, Mistake

Gradients = tuple[np.ndarray, np.ndarray, np.ndarray]


def classifier_gradients(h: np.ndarray, W: np.ndarray, b: np.ndarray, labels: np.ndarray) -> Gradients:
    """(dW, db, dh) of the mean cross-entropy of logits = mean over the map(h) W + b; samples in rows.

    h (N, H, W, C), W (C, classes), b (classes,), labels (N,)  →  the shapes of W, b and h
    """
    N, H, width, _ = h.shape
    pooled = h.mean(axis=(1, 2))
    z = pooled @ W + b
    dz = np.exp(z - z.max(axis=1, keepdims=True))
    dz /= dz.sum(axis=1, keepdims=True)
    dz[np.arange(N), labels] -= 1
    dz /= N
    dh = np.broadcast_to((dz @ W.T / (H * width))[:, None, None], h.shape)
    return pooled.T @ dz, dz.sum(axis=0), dh


def reference(h: np.ndarray, W: np.ndarray, b: np.ndarray, labels: np.ndarray) -> Gradients:
    pool = GlobalAveragePool()
    pooled, cache = pool.forward(h, PassContext())
    rows = np.asarray(pooled).reshape(len(h), -1)
    dz = np.asarray(losses.cross_entropy(rows @ W + b, labels)[1])
    dh, _ = pool.backward((dz @ W.T).reshape(pooled.shape), cache)
    return rows.T @ dz, dz.sum(axis=0), np.asarray(dh)


def variant(
    h: np.ndarray, W: np.ndarray, b: np.ndarray, labels: np.ndarray, *, pooled: bool = True, samples: bool = True
) -> Gradients:
    """Without the 1/(H·W) of the mean in dh, or without the 1/N of the loss."""
    dW, db, dh = reference(h, W, b, labels)
    size, N = 1 if pooled else h.shape[1] * h.shape[2], 1 if samples else len(h)
    return dW * N, db * N, dh * size * N


def summed(h: np.ndarray, W: np.ndarray, b: np.ndarray, labels: np.ndarray) -> Gradients:
    """dW of the sum over the map."""
    dW, db, dh = reference(h, W, b, labels)
    return dW * (h.shape[1] * h.shape[2]), db, dh


def averaged_bias(h: np.ndarray, W: np.ndarray, b: np.ndarray, labels: np.ndarray) -> Gradients:
    dW, db, dh = reference(h, W, b, labels)
    return dW, db / len(h), dh


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
    returns=("dW", "db", "dh"),
    cases=cases,
    mistakes=(
        Mistake(
            "1/(H·W) is missing in dh: the classifier reads the mean of the map", lambda *a: variant(*a, pooled=False)
        ),
        Mistake("1/N is missing: the loss is the mean over the batch", lambda *a: variant(*a, samples=False)),
        Mistake("dW has the sum over the map in place of its mean", summed),
        Mistake("db is a mean over the batch, and dz had its 1/N already", averaged_bias),
    ),
)
