"""11a: what a rule promises, as factors of the losses' plain gradients."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from minilocal import boundaries, objectives, rules
from minilocal.teach.exercise import Case, Exercise, Mistake
from minilocal.verify.promise import promised


def promise(sizes: list[int], linked: int, a: list[float], b: list[float]) -> np.ndarray:
    """c (units, K): the gradient of unit u is c[u, 0] ∂L_1/∂w + c[u, 1] ∂L_2/∂w + ...

    `sizes` has the units of each module, first to last. Linked are the last `linked` units of each module below the
    last one, or all units of a module that has fewer. A linked unit, j steps below the top of its module, learns a[j]
    of its own module's loss and b[j] of the next module's. Any other unit learns its own module's loss.
    """
    K, u = len(sizes), 0
    c = np.zeros((sum(sizes), K))
    for k, units in enumerate(sizes):
        for j in range(units - 1, -1, -1):
            if k < K - 1 and j < linked:
                c[u, k], c[u, k + 1] = a[j], b[j]
            else:
                c[u, k] = 1
            u += 1
    return c


class Weighted(boundaries.Boundary):
    """A link of these weights."""

    def __init__(self, linked: int, a: list[float], b: list[float]) -> None:
        self.linked, self.a, self.b = linked, a, b

    def linked_units(self, units: int) -> int:
        return min(self.linked, units)

    def weights(self, j: int) -> tuple[float, float]:
        return self.a[j], self.b[j]


def reference(sizes: list[int], linked: int, a: list[float], b: list[float]) -> np.ndarray:
    rule = rules.compose(objective=objectives.classifier("0c1f"), boundary=Weighted(linked, a, b))
    modules: Any = [SimpleNamespace(units=range(n), objective=True) for n in sizes]
    return promised(rule, modules)


def from_the_first(sizes: list[int], linked: int, a: list[float], b: list[float]) -> np.ndarray:
    """Each module's rows in the opposite order."""
    ends = np.cumsum(sizes)
    return np.concatenate([module[::-1] for module in np.split(reference(sizes, linked, a, b), ends[:-1])])


def last_is_linked(sizes: list[int], linked: int, a: list[float], b: list[float]) -> np.ndarray:
    return reference([*sizes, 1], linked, a, b)[:-1, :-1]


def last_loss(sizes: list[int], linked: int, a: list[float], b: list[float]) -> np.ndarray:
    own, K = reference(sizes, linked, a, [0.0] * len(b)), len(sizes)
    above = reference(sizes, linked, [0.0] * len(a), b) - reference(sizes, linked, [0.0] * len(a), [0.0] * len(b))
    return own + above.sum(axis=1, keepdims=True) * np.eye(K)[-1]


def scaled_below(sizes: list[int], linked: int, a: list[float], b: list[float]) -> np.ndarray:
    return reference(sizes, max(sizes), a, [*b[:linked], *[0.0] * (len(b) - linked)])


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for sizes, linked in (([3, 2, 2], 2), ([2, 2, 1], 1), ([1, 2, 3, 2], 3), ([4, 3, 3], 1)):
        a, b = np.round(rng.uniform(0.2, 0.9, (2, 4)), 3).tolist()
        yield sizes, linked, a, b


EXERCISE = Exercise(
    id="11a",
    question="Say what a boundary of your own promises: the factor of each loss's gradient in each unit.",
    solution=promise,
    reference=reference,
    against="minilocal.verify.promise",
    returns=("c",),
    cases=cases,
    mistakes=(
        Mistake("j counts from the module's last unit down, not from its first up", from_the_first),
        Mistake("the last module is not linked: no module is above it", last_is_linked),
        Mistake("b weighs the next module's loss, not the last one's", last_loss),
        Mistake("below the link a unit learns its own module's loss whole, without a", scaled_below),
        Mistake(
            "the link is one unit too long: j = 0 ... linked - 1",
            lambda sizes, linked, a, b: reference(sizes, linked + 1, a, b),
        ),
        Mistake("a and b are swapped", lambda sizes, linked, a, b: reference(sizes, linked, b, a)),
        Mistake(
            "a linked unit learns a of its own module's loss, not all of it",
            lambda sizes, linked, a, b: reference(sizes, linked, [1.0] * len(a), b),
        ),
    ),
)
