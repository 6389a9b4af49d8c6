"""1c: where the errors come from: the gradient of the mean softmax cross-entropy, with its 1/B."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from minilocal import losses
from minilocal.teach.exercise import Case, Exercise, Mistake


def classifier_error(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """δ = ∂L/∂z of the mean cross-entropy of softmax(z).        z (C, B), a column a sample; labels (B,)  →  (C, B)"""
    p = np.exp(z - z.max(axis=0))
    p /= p.sum(axis=0)
    p[labels, np.arange(len(labels))] -= 1
    return p / len(labels)


def reference(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.asarray(losses.cross_entropy(z.T, labels)[1]).T


def softmax(z: np.ndarray, axis: int = 0) -> np.ndarray:
    p = np.exp(z - z.max(axis=axis, keepdims=True))
    return p / p.sum(axis=axis, keepdims=True)


def onehot(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.eye(len(z))[:, labels]


def subtracted_at(*, rows: bool) -> Callable[..., np.ndarray]:
    """The 1 subtracted from whole rows or columns of the softmax."""

    def answer(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
        p = softmax(z)
        p[labels if rows else (slice(None), labels)] -= 1
        return p / len(labels)

    return answer


def overflowing(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    p = np.exp(z)
    return (p / p.sum(axis=0) - onehot(z, labels)) / len(labels)


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for C, B, size in ((3, 3, 1), (4, 6, 1), (5, 2, 2), (3, 4, 1000)):  # the last has logits in the thousands
        yield size * rng.standard_normal((C, B)), rng.integers(0, C, B)


EXERCISE = Exercise(
    id="1c",
    question="Write the first error: the gradient of the mean softmax cross-entropy by the logits z.",
    solution=classifier_error,
    reference=reference,
    against="minilocal.losses.cross_entropy",
    returns=("δ",),
    cases=cases,
    mistakes=(
        Mistake("1/B is missing: the loss is the mean over the batch", lambda z, y: softmax(z) - onehot(z, y)),
        Mistake("divided by the number of classes, not of samples", lambda z, y: (softmax(z) - onehot(z, y)) / len(z)),
        Mistake("the one-hot label is not subtracted", lambda z, y: softmax(z) / len(y)),
        Mistake("the sign is turned", lambda z, y: (onehot(z, y) - softmax(z)) / len(y)),
        Mistake(
            "the softmax is over the samples: it belongs over the classes, axis 0",
            lambda z, y: (softmax(z, axis=1) - onehot(z, y)) / len(y),
        ),
        Mistake(
            "p[:, labels] is whole columns: of each column subtract at one place, p[labels, np.arange(B)]",
            subtracted_at(rows=False),
        ),
        Mistake(
            "p[labels] is whole rows: of each column subtract at one place, p[labels, np.arange(B)]",
            subtracted_at(rows=True),
        ),
        Mistake("exp of a large logit overflows: subtract the largest of each column first", overflowing),
    ),
)
