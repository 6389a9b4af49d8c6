"""11b: the three locks, read off a measurement of locality."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal.locality.locks import backward_kept, forward_kept, update_kept
from minilocal.teach.exercise import Case, Exercise, Mistake

Locks = tuple[bool, bool, bool]


def locks(lags: list[int], needs: list[list[int]]) -> Locks:
    """(forward, update, backward): whether a rule keeps each lock, read off a measurement.

    lags: for each boundary, the iterations until h_k is used above it. needs: for each module but the last, for each of
    its units, how many of the modules above the unit's update needs in the same iteration.
    """
    above = [len(needs) - k for k in range(len(needs))]
    forward = all(lag == 0 for lag in lags)
    update = all(max(module) == n for module, n in zip(needs, above, strict=True))
    backward = all(min(module) == n for module, n in zip(needs, above, strict=True))
    return forward, update, backward


def reference(lags: list[int], needs: list[list[int]]) -> Locks:
    return forward_kept([(lag,) for lag in lags]), update_kept(needs), backward_kept(needs)


def one_is_enough(lags: list[int], needs: list[list[int]]) -> Locks:
    forward, update, _ = reference(lags, needs)
    return forward, update, update


def all_must(lags: list[int], needs: list[list[int]]) -> Locks:
    forward, _, backward = reference(lags, needs)
    return forward, backward, backward


def swapped(lags: list[int], needs: list[list[int]]) -> Locks:
    forward, update, backward = reference(lags, needs)
    return forward, backward, update


def first_boundary(lags: list[int], needs: list[list[int]]) -> Locks:
    return reference(lags[:1], needs)


def any_error(lags: list[int], needs: list[list[int]]) -> Locks:
    return reference(lags, [[(len(needs) - k) * (n > 0) for n in module] for k, module in enumerate(needs)])


def all_of_them(lags: list[int], needs: list[list[int]]) -> Locks:
    forward, _, _ = reference(lags, needs)
    K = len(needs)
    return forward, all(max(module) == K for module in needs), all(min(module) == K for module in needs)


def cases(rng: np.random.Generator) -> Iterator[Case]:
    yield [0, 0], [[2, 2, 2], [1, 1]]  # BP
    yield [0, 0], [[0, 0, 0], [0, 0]]  # GLL
    yield [0, 0], [[0, 0, 1], [0, 1]]  # BackLink
    yield [0], [[0, 0, 1]]  # BackLink with two modules: the next module is all modules above
    yield [1, 1], [[0, 0, 0], [0, 0]]  # FDG
    yield [0, 1, 0], [[1, 3], [0, 2], [1, 1]]


EXERCISE = Exercise(
    id="11b",
    question="Say which of the three locks a rule keeps, from what each unit's update was measured to need.",
    solution=locks,
    reference=reference,
    against="minilocal.locality",
    returns=("forward", "update", "backward"),
    cases=cases,
    mistakes=(
        Mistake("the backward lock is kept where every unit needs all modules above, not one of them", one_is_enough),
        Mistake("the update lock is kept where one unit of each module needs all modules above", all_must),
        Mistake("update and backward lock are swapped", swapped),
        Mistake(
            "the forward lock is kept where h_k is used at once at every boundary, not at the first", first_boundary
        ),
        Mistake("an error from one module above is not one from all of them", any_error),
        Mistake("fewer modules stand above an upper module: count from each one's own place", all_of_them),
    ),
)
