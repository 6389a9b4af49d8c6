"""4d: all layers of a module after one step of BackLink, Eq. (4), (5) unfolded and (6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from minilocal import equations as eq
from minilocal.teach.exercise import Case, Exercise, Mistake

Arrays = list[np.ndarray]


def backlink_update(
    w: list[np.ndarray],
    z: list[np.ndarray],
    x: list[np.ndarray],
    local: np.ndarray,
    above: np.ndarray,
    length: int,
    alpha: float,
    eta: float,
) -> tuple[np.ndarray, ...]:
    """The new weights of the three ReLU layers of a module, first to last, with α once (unfolded).

    w[i] (O, I), z[i] (O, B), x[i] (I, B) of each layer; z[i] = w[i] x[i]. `local` and `above` (O, B) are the two errors
    at the output of the last layer, before its f'(z) and before α: of the own loss, and from the module above. `length`
    is l.
    """
    new = list(w)
    for i in (2, 1, 0):
        local, above = (z[i] > 0) * local, (z[i] > 0) * above
        delta = alpha * local + (1 - alpha) * above if i >= 3 - length else local
        new[i] = w[i] - eta * delta @ x[i].T
        local, above = w[i].T @ local, w[i].T @ above
    return tuple(new)


def reference(
    w: Arrays, z: Arrays, x: Arrays, local: np.ndarray, above: np.ndarray, length: int, alpha: float, eta: float
) -> tuple[np.ndarray, ...]:
    one = np.eye(len(local))  # the errors at the output, as a classifier and a layer above whose weights are 1
    own = eq.local_errors(z, w, one, local)
    pairs = eq.linked_errors(z, w, one, local, one, above, length=length, alpha=alpha, weighting="unfolded")
    linked, first = 0 if length == 0 else len(pairs), 3 - len(pairs)
    new = [eq.update_local(w[i], own[i], x[i], eta) for i in range(3 - linked)]
    new += [eq.update_linked(w[first + n], *pair, x[first + n], eta) for n, pair in enumerate(pairs)]
    return tuple(np.asarray(v) for v in new)


def right(j: int, length: int, alpha: float) -> tuple[float, float]:
    return (alpha, 1 - alpha) if j < length else (1, 0)


def variant(
    *,
    weights: Callable[[int, int, float], tuple[float, float]] = right,
    old: bool = True,
    derivative_below: bool = True,
    sign: int = 1,
    mean: bool = False,
    reverse: bool = False,
) -> Callable[..., tuple[np.ndarray, ...]]:
    """The solution with other weights (a, b) for the layer j below the last, or another of its parts changed.

    Without `old`, errors go through updated weights; without `derivative_below`, they go down without f'(z).
    """

    def answer(w: Arrays, z: Arrays, x: Arrays, *rest: Any) -> tuple[np.ndarray, ...]:
        local, above, length, alpha, eta = rest
        new = list(w)
        for i in (2, 1, 0):
            a, b = weights(2 - i, length, alpha)
            step = ((z[i] > 0) * (a * local + b * above)) @ x[i].T
            new[i] = w[i] - sign * eta * step / (local.shape[1] if mean else 1)
            through, on = w[i] if old else new[i], z[i] > 0 if derivative_below else 1
            local, above = through.T @ (on * local), through.T @ (on * above)
        return tuple(new[::-1] if reverse else new)

    return answer


def to_the_letter(j: int, length: int, alpha: float) -> tuple[float, float]:
    """(4) and (5) of 4a and 4b, whose errors go on below the range as they are."""
    times = min(j + 1, length)
    return alpha**times, ((1 - alpha) ** times if j < length else 0)


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for length, widths, alpha, eta in (
        (2, (4, 4, 4, 4), 0.3, 0.4),
        (1, (3, 5, 4, 2), 0.7, 0.2),
        (3, (5, 3, 6, 4), 0.6, 0.3),
        (0, (3, 4, 3, 5), 0.4, 0.5),
    ):
        B = 6
        w = [rng.standard_normal((o, i)) for i, o in pairwise(widths)]
        z, x = [], [rng.standard_normal((widths[0], B))]
        for v in w:
            z.append(v @ x[-1])
            x.append(np.maximum(z[-1], 0))
        yield (
            w,
            z,
            x[:-1],
            rng.standard_normal((widths[-1], B)),
            rng.standard_normal((widths[-1], B)),
            length,
            alpha,
            eta,
        )


EXERCISE = Exercise(
    id="4d",
    question="Update all three layers of a module: the last l by (6) with α once, and those below as in GLL.",
    solution=backlink_update,
    reference=reference,
    against="(4), (5) unfolded and (6) of minilocal.equations",
    returns=("w[0]", "w[1]", "w[2]"),
    cases=cases,
    mistakes=(
        Mistake(
            "the sum is carried below the range: there the module's own error acts alone, and whole",
            variant(weights=lambda j, length, alpha: (alpha, 1 - alpha) if length else (1, 0)),
        ),
        Mistake(
            "below the range the own error is still weighed by α",
            variant(
                weights=lambda j, length, alpha: right(j, length, alpha) if j < length or not length else (alpha, 0)
            ),
        ),
        Mistake(
            "the module's own error is dropped in the linked layers",
            variant(weights=lambda j, length, alpha: (0, 1 - alpha) if j < length else (1, 0)),
        ),
        Mistake(
            "layers below the range are not updated: they learn as in GLL",
            variant(weights=lambda j, length, alpha: (alpha, 1 - alpha) if j < length else (0, 0)),
        ),
        Mistake(
            "the link is one layer too long", variant(weights=lambda j, length, alpha: right(j, length + 1, alpha))
        ),
        Mistake(
            "α acts again at each layer: that is (5) to the letter, and unfolded was asked for",
            variant(
                weights=lambda j, length, alpha: (alpha ** (j + 1), (1 - alpha) ** (j + 1)) if j < length else (1, 0)
            ),
        ),
        Mistake(
            "errors go through weights that are updated already: take those of the forward",
            variant(old=False),
        ),
        Mistake(
            "α acts at each layer and goes on below the link, as with 4a and 4b: here it acts once, and not below",
            variant(weights=to_the_letter),
        ),
        Mistake(
            "the link is counted from the module's first layer: it is the last l",
            variant(weights=lambda j, length, alpha: right(2 - j, length, alpha)),
        ),
        Mistake(
            "at l = 0 all layers are linked: a slice [-0:] is the whole list",
            variant(weights=lambda j, length, alpha: right(j, length or 3, alpha)),
        ),
        Mistake(
            "α and 1 - α are swapped",
            variant(weights=lambda j, length, alpha: (1 - alpha, alpha) if j < length else (1, 0)),
        ),
        Mistake(
            "what goes down has no f'(z) in it: it is δ that goes through the weights", variant(derivative_below=False)
        ),
        Mistake("1/B once more: the errors have it already", variant(mean=True)),
        Mistake("the step goes up: descent subtracts", variant(sign=-1)),
        Mistake("the weights are returned last to first", variant(reverse=True)),
    ),
    last_first=True,
)
