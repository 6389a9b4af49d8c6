"""4c: how much of each error reaches the layer j steps below a module's top."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from minilocal import boundaries
from minilocal.teach.exercise import Case, Exercise, Mistake

Weights = tuple[float, float]


def link_weights(j: int, length: int, alpha: float, weighting: str) -> Weights:
    """(a, b): what the module's own error and that from above are multiplied by, j layers below the module's last.

    `length` is l. `weighting` is "literal", where (5) weighs again at each layer, or "unfolded", where α acts once.
    Layers that are not linked learn as in GLL.
    """
    if j >= length:
        return 1.0, 0.0
    times = j + 1 if weighting == "literal" else 1
    return alpha**times, (1 - alpha) ** times


def reference(j: int, length: int, alpha: float, weighting: str) -> Weights:
    boundary = boundaries.link(length=length, alpha=alpha, weighting=weighting)
    return boundary.weights(j) if j < length else (1.0, 0.0)


def linked(j: int, alpha: float, weighting: str) -> Weights:
    return boundaries.link(length=1, alpha=alpha, weighting=weighting).weights(j)


def other_reading(j: int, length: int, alpha: float, weighting: str) -> Weights:
    return reference(j, length, alpha, "unfolded" if weighting == "literal" else "literal")


def complement(j: int, length: int, alpha: float, weighting: str) -> Weights:
    a, _ = reference(j, length, alpha, weighting)
    return a, 1 - a


def one_further(j: int, length: int, alpha: float, weighting: str) -> Weights:
    return linked(j, alpha, weighting) if j <= length else (1.0, 0.0)


def one_factor_less(j: int, length: int, alpha: float, weighting: str) -> Weights:
    return (
        (alpha**j, (1 - alpha) ** j)
        if weighting == "literal" and j < length
        else reference(j, length, alpha, weighting)
    )


def scaled_below(j: int, length: int, alpha: float, weighting: str) -> Weights:
    return reference(j, length, alpha, weighting) if j < length else (linked(j, alpha, weighting)[0], 0.0)


def exchanged(j: int, length: int, alpha: float, weighting: str) -> Weights:
    a, b = reference(j, length, alpha, weighting)
    return b, a


def unlinked(wrong: Callable[[float], Weights]) -> Callable[..., Weights]:
    """The reference, with these two below the range."""

    def answer(j: int, length: int, alpha: float, weighting: str) -> Weights:
        return reference(j, length, alpha, weighting) if j < length else wrong(alpha)

    return answer


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for length, weighting in ((3, "literal"), (2, "unfolded"), (0, "literal"), (1, "literal")):
        for j in range(5):
            yield j, length, round(0.2 + 0.25 * rng.random(), 3), weighting


EXERCISE = Exercise(
    id="4c",
    question="Say by what α and l multiply the two errors, j layers below a module's last.",
    solution=link_weights,
    reference=reference,
    against="minilocal.boundaries.link where j < l, and GLL below that,",
    returns=("a", "b"),
    cases=cases,
    mistakes=(
        Mistake("a and b are exchanged: a is of the module's own error", exchanged),
        Mistake("literal and unfolded are swapped", other_reading),
        Mistake("you return b = 1 - a; literally it is (1 - α)^(j+1), and the two do not add up to 1", complement),
        Mistake("the link is one layer too long: l layers are j = 0 ... l - 1", one_further),
        Mistake("one factor α too few: (4) has weighed once at j = 0 already", one_factor_less),
        Mistake("below the range the module's own error is still weighed by α: there it is whole", scaled_below),
        Mistake(
            "below the range the module's own error is multiplied by α: it is whole there",
            unlinked(lambda alpha: (alpha, 0.0)),
        ),
        Mistake(
            "below the range layers learn as in GLL: they have their module's error", unlinked(lambda _: (0.0, 0.0))
        ),
        Mistake(
            "below the range the two are exchanged: the module's own error is whole, and none comes from above",
            unlinked(lambda _: (0.0, 1.0)),
        ),
        Mistake(
            "below the range the answer still has the error from above: it stops after l layers",
            lambda j, length, alpha, weighting: linked(j, alpha, weighting),
        ),
    ),
)
