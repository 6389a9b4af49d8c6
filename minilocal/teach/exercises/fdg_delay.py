"""9b: delay, age of the weights and shrinking factor of FDG's gradients, Eq. (6) and (7)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal import boundaries
from minilocal.teach.exercise import Case, Exercise, Mistake

Delay = tuple[int, int, float]


def fdg_delay(k: int, K: int, beta: float) -> Delay:
    """(delay, updates, factor) of the gradients of module k of K under FDG; k = 1 ... K.

    Activations and errors take one iteration per boundary each. `delay` is the number of iterations from the forward of
    a batch in module k to its backward there. `updates` is the number of updates of its weights in between; an
    iteration has the update first, then the forward. `factor` is what β, once per boundary, multiplies the gradient by.
    """
    delay = 2 * (K - k)
    return delay, max(0, delay - 1), beta ** (K - k)


def reference(k: int, K: int, beta: float) -> Delay:
    boundary = boundaries.delayed(activations=1, beta=beta)
    activations, errors = boundary.lags
    forward, top = (k - 1) * activations, (K - 1) * activations  # iterations in which batch 0 is in module k, in K
    backward = top + (K - k) * errors
    updates = len(range(forward + 1, backward))
    factor = 1.0
    for _ in range(k, K):
        factor *= boundary.beta
    return backward - forward, updates, factor


def cases(rng: np.random.Generator) -> Iterator[Case]:
    yield from ((k, K, round(0.3 + 0.5 * rng.random(), 3)) for K in (3, 1, 4) for k in range(1, K + 1))


def ddg_s(k: int, K: int, beta: float) -> Delay:
    return K - k, K - k, beta ** (K - k)


def from_the_first(k: int, K: int, beta: float) -> Delay:
    return 2 * (k - 1), max(0, 2 * (k - 1) - 1), beta ** (k - 1)


def as_old_as_the_delay(k: int, K: int, beta: float) -> Delay:
    return 2 * (K - k), 2 * (K - k), beta ** (K - k)


def beta_once(k: int, K: int, beta: float) -> Delay:
    delay, updates, _ = reference(k, K, beta)
    return delay, updates, beta if k < K else 1.0


def beta_for_each_iteration(k: int, K: int, beta: float) -> Delay:
    delay, updates, _ = reference(k, K, beta)
    return delay, updates, beta**delay


def one_boundary_more(k: int, K: int, beta: float) -> Delay:
    delay, updates, factor = reference(k, K, beta)
    return delay, updates, factor * beta


EXERCISE = Exercise(
    id="9b",
    question="Say how old a gradient of FDG is, how often its weights have been updated since, and what β does to it.",
    solution=fdg_delay,
    reference=reference,
    against="the delays of minilocal.boundaries.delayed",
    returns=("delay", "updates", "factor"),
    cases=cases,
    mistakes=(
        Mistake("those are DDG's delays: in FDG activations are delayed too", ddg_s),
        Mistake("counted from the first module: the last one has no delay", from_the_first),
        Mistake("one update too many: those of the delay include the one that the gradient makes", as_old_as_the_delay),
        Mistake("β acts once per boundary, not once in all", beta_once),
        Mistake("β acts at boundaries, not in each iteration of the delay", beta_for_each_iteration),
        Mistake("one β too many: there are K - k boundaries above module k", one_boundary_more),
    ),
)
