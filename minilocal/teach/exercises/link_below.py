"""4b: the two errors one linked layer further down, Eq. (5) to the letter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minilocal import equations as eq
from minilocal.teach.exercise import Case, Exercise, Mistake

Array = np.ndarray
Pair = tuple[np.ndarray, np.ndarray]


def link_below(z: np.ndarray, w_above: np.ndarray, delta_lc: np.ndarray, delta_gl: np.ndarray, alpha: float) -> Pair:
    """(δ_lc, δ_gl) by (5) as printed, the two kept apart, of a ReLU layer.        →  (O, B), (O, B)

    z (O, B). The linked layer above, whose errors have been weighed by (4): w_above (A, O), delta_lc, delta_gl (A, B).
    """
    return (z > 0) * (w_above.T @ (alpha * delta_lc)), (z > 0) * (w_above.T @ ((1 - alpha) * delta_gl))


def weighted(a: float, b: float, *arrays: np.ndarray, df: Callable[[Any], Any] = eq.relu_derivative) -> Pair:
    z, w, lc, gl = arrays
    return a * df(z) * (w.T @ lc), b * df(z) * (w.T @ gl)


def summed(*case: Any) -> Pair:
    lc, gl = eq.link_below(*case)
    return np.asarray(lc + gl), np.asarray(lc + gl)


def mixed(z: Array, w_above: Array, delta_lc: Array, delta_gl: Array, alpha: float) -> Pair:
    """α and 1 - α of one mixed error."""
    lc, gl = eq.link_below(z, w_above, delta_lc, delta_gl, alpha)
    return np.asarray(alpha * (lc + gl)), np.asarray((1 - alpha) * (lc + gl))


def turned(*case: Any) -> Pair:
    lc, gl = eq.link_below(*case)
    return np.asarray(gl), np.asarray(lc)


def not_transposed(z: Array, w_above: Array, delta_lc: Array, delta_gl: Array, alpha: float) -> Pair:
    return link_below(z, w_above.T, delta_lc, delta_gl, alpha)


def derivative_first(z: Array, w_above: Array, delta_lc: Array, delta_gl: Array, alpha: float) -> Pair:
    """f'(z) on the errors before they go through the weights."""
    on = z > 0
    return w_above.T @ (on * alpha * delta_lc), w_above.T @ (on * (1 - alpha) * delta_gl)


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for (O, A, B), alpha in (((3, 3, 4), 0.3), ((4, 2, 3), 0.8), ((5, 6, 5), 0.45)):
        yield (*(rng.standard_normal(s) for s in ((O, B), (A, O), (A, B), (A, B))), alpha)


EXERCISE = Exercise(
    id="4b",
    question="Write (5) to the letter: the two errors of the linked layer below, which α weighs once more.",
    solution=link_below,
    reference=eq.link_below,
    against="minilocal.equations.link_below",
    returns=("δ_lc", "δ_gl"),
    cases=cases,
    mistakes=(
        Mistake(
            "α acts once, in (4): that is the unfolded reading; (5) as printed weighs again",
            lambda *a: weighted(1, 1, *a[:4]),
        ),
        Mistake("α and 1 - α are swapped", lambda *a: weighted(1 - a[4], a[4], *a[:4])),
        Mistake(
            "α is squared: the first of the two factors is in delta_lc already",
            lambda *a: weighted(a[4] ** 2, (1 - a[4]) ** 2, *a[:4]),
        ),
        Mistake("the module's own error is dropped", lambda *a: weighted(0, 1 - a[4], *a[:4])),
        Mistake("f'(z) is missing", lambda *a: weighted(a[4], 1 - a[4], *a[:4], df=np.ones_like)),
        Mistake(
            "f(z) stands in place of f'(z), which is 1 where z > 0",
            lambda *a: weighted(a[4], 1 - a[4], *a[:4], df=eq.relu),
        ),
        Mistake("f'(z) acts before the weights: it multiplies what has come through them", derivative_first),
        Mistake("w_above is not transposed", not_transposed),
        Mistake("the two are exchanged: first δ_lc, then δ_gl", turned),
        Mistake("one mixed error is divided by α and 1 - α: the two come down apart", mixed),
        Mistake("both are the sum: the two errors stay apart until (6)", summed),
    ),
)
