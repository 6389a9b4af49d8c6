"""1a: the error of a layer from that of the layer above, Eq. (3)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal import equations as eq
from minilocal.teach.exercise import Case, Exercise, Mistake


def error(z: np.ndarray, w_above: np.ndarray, delta_above: np.ndarray) -> np.ndarray:
    """δ of a ReLU layer by (3).        z (O, B), w_above (A, O), delta_above (A, B)  →  (O, B)"""
    return (z > 0) * (w_above.T @ delta_above)


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for O, A, B in ((3, 3, 4), (4, 2, 3), (2, 5, 6), (6, 4, 3)):  # the first is square: a forgotten .T runs
        yield rng.standard_normal((O, B)), rng.standard_normal((A, O)), rng.standard_normal((A, B))


EXERCISE = Exercise(
    id="1a",
    question="Write (3): the error of a ReLU layer, from that of the layer above.",
    solution=error,
    reference=eq.backward,
    against="minilocal.equations.backward",
    returns=("δ",),
    cases=cases,
    mistakes=(
        Mistake("f'(z) is missing: where z < 0 the ReLU passes no error", lambda z, w, d: w.T @ d),
        Mistake("f(z) stands in place of f'(z), which is 1 where z > 0", lambda z, w, d: np.maximum(z, 0) * (w.T @ d)),
        Mistake("w_above is not transposed", lambda z, w, d: (z > 0) * (w @ d)),
        Mistake("the ReLU acts on the error, in place of f'(z)", lambda z, w, d: np.maximum(w.T @ d, 0)),
        Mistake("the sign is turned: descent's minus belongs to the update, (2)", lambda z, w, d: (z > 0) * (-w.T @ d)),
    ),
)
