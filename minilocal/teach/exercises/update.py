"""1b: one step of the weights of a layer, Eq. (2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal import equations as eq
from minilocal.teach.exercise import Case, Exercise, Mistake


def new_weights(w: np.ndarray, delta: np.ndarray, x: np.ndarray, eta: float) -> np.ndarray:
    """The weights after (2); w itself stays.        w (O, I), delta (O, B), x (I, B), eta η  →  (O, I)"""
    return w - eta * delta @ x.T


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for (O, I, B), eta in zip(((3, 3, 4), (4, 2, 3), (2, 5, 7)), (0.3, 0.7, 0.05), strict=True):
        yield rng.standard_normal((O, I)), rng.standard_normal((O, B)), rng.standard_normal((I, B)), eta


EXERCISE = Exercise(
    id="1b",
    question="Write (2): the weights after one step, for a mini-batch whose error has its 1/B already.",
    solution=new_weights,
    reference=eq.update,
    against="minilocal.equations.update",
    returns=("w",),
    cases=cases,
    mistakes=(
        Mistake(
            "1/B once more: the error of the mean loss has it already", lambda w, d, x, e: w - e * d @ x.T / d.shape[1]
        ),
        Mistake("the step goes up: descent subtracts", lambda w, d, x, e: w + e * d @ x.T),
        Mistake("η is missing", lambda w, d, x, e: w - d @ x.T),
        Mistake("you have x ⊗ δ; (2) has δ ⊗ x", lambda w, d, x, e: w - e * x @ d.T),
        Mistake("one sample only: δ ⊗ x adds over all columns", lambda w, d, x, e: w - e * np.outer(d[:, 0], x[:, 0])),
        Mistake("that is the change alone: w is missing", lambda w, d, x, e: -e * d @ x.T),
    ),
)
