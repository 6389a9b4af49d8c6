"""10a: the learning rate of an epoch of InfoPro's recipe: a warm-up, then a cosine."""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, pi

import numpy as np

from minilocal import optim
from minilocal.teach.exercise import Case, Exercise, Mistake


def learning_rate(e: int, epochs: int, lr: float) -> float:
    """The learning rate of epoch e = 1 ... E, with E = `epochs` and η₀ = `lr`.

    c is the cosine from η₀ at e = 0 down to 0 at e = E. After epoch 10 the rate is c. Up to it, it is a mean of c and
    0.01, with the weight (e-1)/10 for c: 0.01 in the first epoch, and nine tenths of the way to c in the tenth.
    """
    c = lr / 2 * (1 + np.cos(np.pi * e / epochs))
    if e > 10:
        return c
    return c * (e - 1) / 10 + 0.01 * (11 - e) / 10


def reference(e: int, epochs: int, lr: float) -> float:
    return optim.schedule("infopro", lr, epochs).lr(e - 1)


def mean_of(c: float, weight: float) -> float:
    return c * weight + 0.01 * (1 - weight)


def cosine(e: int, epochs: int, lr: float) -> float:
    return lr / 2 * (1 + cos(pi * e / epochs))


def from_zero(e: int, epochs: int, lr: float) -> float:
    c = cosine(e - 1, epochs, lr)
    return c if e > 10 else mean_of(c, (e - 1) / 10)


def of_the_rest(e: int, epochs: int, lr: float) -> float:
    return cosine(e - 10, epochs - 10, lr) if e > 10 else mean_of(lr, (e - 1) / 10)


def to_minus(e: int, epochs: int, lr: float) -> float:
    c = lr * cos(pi * e / epochs)
    return c if e > 10 else mean_of(c, (e - 1) / 10)


def up_to_the_full_rate(e: int, epochs: int, lr: float) -> float:
    c = cosine(e, epochs, lr)
    return c if e > 10 else mean_of(lr, (e - 1) / 10)


def swapped(e: int, epochs: int, lr: float) -> float:
    c = cosine(e, epochs, lr)
    return c if e > 10 else mean_of(c, (11 - e) / 10)


def by_tenths(e: int, epochs: int, lr: float) -> float:
    c = cosine(e, epochs, lr)
    return c if e > 10 else c * e / 10


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for epochs in (160, 200, 400):
        lr = round(0.3 + 0.5 * rng.random(), 3)
        yield from ((int(e), epochs, lr) for e in (1, 2, 5, 10, 11, rng.integers(30, 60), epochs - 5))


EXERCISE = Exercise(
    id="10a",
    question="Write the learning rate of an epoch in InfoPro's recipe: a warm-up of ten epochs, and a cosine.",
    solution=learning_rate,
    reference=reference,
    against="minilocal.optim.schedule",
    returns=("η",),
    cases=cases,
    mistakes=(
        Mistake("the warm-up is missing: the first ten epochs are a mean of c and 0.01", cosine),
        Mistake("the cosine is a step late: in epoch e it is taken at e/E", from_zero),
        Mistake("the cosine begins after the warm-up: it runs over all E epochs, from e = 0", of_the_rest),
        Mistake("the cosine falls to -η₀: it is lifted by 1 and halved", to_minus),
        Mistake("the warm-up aims at η₀: its mean is of 0.01 and c", up_to_the_full_rate),
        Mistake("the two weights of the warm-up are swapped: it begins at 0.01", swapped),
        Mistake("the warm-up begins at 0: its other end is 0.01", by_tenths),
    ),
)
