"""8b: which epochs of PGL learn from the last loss."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal.rules.when import periodic
from minilocal.teach.exercise import Case, Exercise, Mistake


def global_epochs(epochs: int, period: int, duration: int, includes: bool) -> np.ndarray:
    """Whether each of epochs 0, 1, 2 ... is a global one of PGL, in which the main weights learn from the last loss.

    `period` is P and `duration` Q; training begins with local epochs. `includes`: the last Q of every P epochs are
    global. Otherwise Q global epochs follow after every P local ones.

    Returns truth values, (epochs,).
    """
    cycle = period if includes else period + duration
    return np.arange(epochs) % cycle >= cycle - duration


def reference(epochs: int, period: int, duration: int, includes: bool) -> np.ndarray:
    when = periodic(period, duration, includes)
    return np.array([when.is_global(epoch) for epoch in range(epochs)])


def first_of_the_cycle(epochs: int, period: int, duration: int, includes: bool) -> np.ndarray:
    cycle = period if includes else period + duration
    return np.arange(epochs) % cycle < duration


def from_one(epochs: int, period: int, duration: int, includes: bool) -> np.ndarray:
    return reference(epochs + 1, period, duration, includes)[1:]


def other_reading(epochs: int, period: int, duration: int, includes: bool) -> np.ndarray:
    return reference(epochs, period, duration, not includes)


def last_only(epochs: int, period: int, duration: int, includes: bool) -> np.ndarray:
    cycle = period if includes else period + duration
    return np.arange(epochs) % cycle == cycle - 1


def once(epochs: int, period: int, duration: int, includes: bool) -> np.ndarray:
    cycle = period if includes else period + duration
    return reference(epochs, period, duration, includes) & (np.arange(epochs) < cycle)


def one_less(epochs: int, period: int, duration: int, includes: bool) -> np.ndarray:
    cycle = period if includes else period + duration
    return np.arange(epochs) % cycle > cycle - duration


def local_epochs(epochs: int, period: int, duration: int, includes: bool) -> np.ndarray:
    return ~reference(epochs, period, duration, includes)


def cases(rng: np.random.Generator) -> Iterator[Case]:
    yield 24, 10, 3, True
    for P, Q, includes in ((5, 2, False), (4, 3, True), (10, 2, False)):
        yield int(rng.integers(30, 36)), P, Q, includes


EXERCISE = Exercise(
    id="8b",
    question="Say of every epoch whether PGL learns from the last loss in it, for both readings of the period.",
    solution=global_epochs,
    reference=reference,
    against="minilocal.when.periodic",
    returns=("global",),
    cases=cases,
    mistakes=(
        Mistake(
            "the global epochs stand at the beginning of a period: training begins with local ones", first_of_the_cycle
        ),
        Mistake("epochs are counted from 1: the first is epoch 0", from_one),
        Mistake("the two readings of the period are swapped", other_reading),
        Mistake("one global epoch in a period: there are Q", last_only),
        Mistake("there is one period only: epochs count modulo the period", once),
        Mistake("one global epoch too few: the first of them is epoch P - Q of its period", one_less),
        Mistake("those are the local epochs", local_epochs),
    ),
)
