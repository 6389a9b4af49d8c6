"""4a: BackLink's two errors at the last layer of a module, Eq. (4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minilocal import equations as eq
from minilocal.teach.exercise import Case, Exercise, Mistake

Array = np.ndarray
Derivative = Callable[[Any], Any]  # f', or what stands in its place
Pair = tuple[np.ndarray, np.ndarray]


def link(
    z: np.ndarray, w_c: np.ndarray, delta_c: np.ndarray, w_next: np.ndarray, delta_next: np.ndarray, alpha: float
) -> Pair:
    """(δ_lc, δ_gl) by (4), of the last layer of module k; a ReLU layer.        →  (O, B), (O, B)

    z (O, B). Its own classifier: w_c (C, O), delta_c (C, B). The layer above: w_next (A, O), delta_next (A, B).
    """
    local = alpha * (z > 0) * (w_c.T @ delta_c)
    return local, (1 - alpha) * (z > 0) * (w_next.T @ delta_next)


def weighted(
    a: float, b: float, *arrays: np.ndarray, local: Derivative = eq.relu_derivative, above: Derivative | None = None
) -> Pair:
    """Both errors with other weights than α and 1 - α, or other functions of z in place of f'."""
    z, w_c, delta_c, w_next, delta_next = arrays
    return a * local(z) * (w_c.T @ delta_c), b * (above or local)(z) * (w_next.T @ delta_next)


def by_alpha(local: Derivative, above: Derivative) -> Callable[..., Pair]:
    """(4) with other functions of z in place of f', one for each error."""
    return lambda *case: weighted(case[5], 1 - case[5], *case[:5], local=local, above=above)


def summed(*case: Any) -> Pair:
    lc, gl = eq.link(*case)
    return np.asarray(lc + gl), np.asarray(lc + gl)


def turned(*case: Any) -> Pair:
    lc, gl = eq.link(*case)
    return np.asarray(gl), np.asarray(lc)


def not_transposed(z: Array, w_c: Array, delta_c: Array, w_next: Array, delta_next: Array, alpha: float) -> Pair:
    return link(z, w_c.T, delta_c, w_next.T, delta_next, alpha)


def derivative_first(z: Array, w_c: Array, delta_c: Array, w_next: Array, delta_next: Array, alpha: float) -> Pair:
    """f'(z) on the errors before they go through the weights."""
    on = z > 0
    return alpha * w_c.T @ (on * delta_c), (1 - alpha) * w_next.T @ (on * delta_next)


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
        Mistake("that is GLL: nothing comes from above, and no α acts", lambda *a: weighted(1, 0, *a[:5])),
        Mistake("α is missing in δ_lc", lambda *a: weighted(1, 1 - a[5], *a[:5])),
        Mistake("1 - α is missing in δ_gl", lambda *a: weighted(a[5], 1, *a[:5])),
        Mistake("f'(z) is missing", by_alpha(np.ones_like, np.ones_like)),
        Mistake("f'(z) is missing in δ_lc", by_alpha(np.ones_like, eq.relu_derivative)),
        Mistake("f'(z) is missing in δ_gl", by_alpha(eq.relu_derivative, np.ones_like)),
        Mistake("f(z) stands in place of f'(z), which is 1 where z > 0", by_alpha(eq.relu, eq.relu)),
        Mistake("f'(z) acts before the weights: it multiplies what has come through them", derivative_first),
        Mistake("w_c and w_next are not transposed", not_transposed),
        Mistake("the two are exchanged: first δ_lc, then δ_gl", turned),
        Mistake("both are the sum: the two errors stay apart until (6)", summed),
    ),
)
