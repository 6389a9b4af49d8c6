"""4a: BackLink's two errors at the last layer of a module, Eq. (4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minilocal import equations as eq
from minilocal.teach.exercise import Case, Exercise, Mistake

Pair = tuple[np.ndarray, np.ndarray]


def link(
    z: np.ndarray, w_c: np.ndarray, delta_c: np.ndarray, w_next: np.ndarray, delta_next: np.ndarray, alpha: float
) -> Pair:
    """(δ_lc, δ_gl) by (4), of the last layer of module k; a ReLU layer.        →  (O, B), (O, B)

    z (O, B). Its own classifier: w_c (C, O), delta_c (C, B). The layer above: w_next (A, O), delta_next (A, B).
    """
    local = alpha * (z > 0) * (w_c.T @ delta_c)
    return local, (1 - alpha) * (z > 0) * (w_next.T @ delta_next)


def weighted(a: float, b: float, *arrays: np.ndarray, relu: bool = True) -> Pair:
    """Both errors with other weights than α and 1 - α."""
    z, w_c, delta_c, w_next, delta_next = arrays
    on = z > 0 if relu else np.ones_like(z)
    return a * on * (w_c.T @ delta_c), b * on * (w_next.T @ delta_next)


def summed(*case: Any) -> Pair:
    lc, gl = eq.link(*case)
    return np.asarray(lc + gl), np.asarray(lc + gl)


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for (O, B, C, A), alpha in (
        ((3, 4, 3, 3), 0.3),
        ((4, 3, 3, 5), 0.8),
        ((5, 6, 2, 3), 0.45),
    ):  # 0.5 would hide a swap
        yield (*(rng.standard_normal(s) for s in ((O, B), (C, O), (C, B), (A, O), (A, B))), alpha)


EXERCISE = Exercise(
    id="4a",
    question="Write (4): the two errors at the last layer of a module, its own and that from above.",
    solution=link,
    reference=eq.link,
    against="minilocal.equations.link",
    returns=("δ_lc", "δ_gl"),
    cases=cases,
    mistakes=(
        Mistake(
            "α and 1 - α are swapped: α weighs the module's own error", lambda *a: weighted(1 - a[5], a[5], *a[:5])
        ),
        Mistake(
            "α is squared: at the last layer it acts once", lambda *a: weighted(a[5] ** 2, (1 - a[5]) ** 2, *a[:5])
        ),
        Mistake("the weights α and 1 - α are missing", lambda *a: weighted(1, 1, *a[:5])),
        Mistake("both are weighed by α: the error from above has 1 - α", lambda *a: weighted(a[5], a[5], *a[:5])),
        Mistake("the module's own error is dropped", lambda *a: weighted(0, 1 - a[5], *a[:5])),
        Mistake("f'(z) is missing", lambda *a: weighted(a[5], 1 - a[5], *a[:5], relu=False)),
        Mistake("both are the sum: the two errors stay apart until (6)", summed),
    ),
)
