"""6a: when each module finishes each batch, with the backward lock (BP) and without it (GLL)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from minilocal import rules
from minilocal.parallel.simulate import Link, ModuleCosts, PartCosts, Placement, first_steps
from minilocal.teach.exercise import Case, Exercise, Mistake


def ends(forward: np.ndarray, backward: np.ndarray, batches: int, locked: bool) -> np.ndarray:
    """The second in which each module has finished each batch.        forward, backward (K,)  →  (K, batches)

    One device a module; messages take no time, and wait until they are read. Batch 0 enters at second 0. A module
    forwards a batch when its own batch before is finished and the activation from below has come. Then it passes its
    activation up. Its backward follows at once, or where `locked` after the backward of the module above.
    """
    finished = np.zeros((len(forward), batches))
    for t in range(batches):
        arrived = 0.0
        for k in range(len(forward)):
            before = finished[k, t - 1] if t else 0.0
            arrived = max(arrived, before) + forward[k]
            finished[k, t] = arrived + backward[k]
        if locked:
            for k in reversed(range(len(forward) - 1)):
                finished[k, t] = finished[k + 1, t] + backward[k]
    return finished


def reference(forward: np.ndarray, backward: np.ndarray, batches: int, locked: bool) -> np.ndarray:
    """The simulator's first steps, of modules with one unit each."""
    rule, K = rules.bp() if locked else rules.gll(), len(forward)
    costs = []
    for k, (f, b) in enumerate(zip(forward.tolist(), backward.tolist(), strict=True)):
        loss = PartCosts() if k == K - 1 or not locked else None
        costs.append(ModuleCosts((PartCosts(f, b, b, output=1),), objective=loss))
    finished = np.zeros((K, batches))
    for bar in first_steps(Placement(rule, costs), Link(latency=0, bandwidth=float("inf")), steps=batches):
        if bar.module >= 0:
            place = bar.module, bar.batch
            finished[place] = max(finished[place], bar.start + bar.seconds)
    return finished


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for K, batches, locked in ((3, 4, False), (3, 4, True), (1, 3, False), (4, 6, False), (2, 3, True), (5, 2, False)):
        yield 0.5 + rng.random(K), 1 + 2 * rng.random(K), batches, locked


def unlocked(wrong: Callable[[np.ndarray, np.ndarray, int], np.ndarray]) -> Callable[..., np.ndarray]:
    """A wrong answer for modules without the backward lock, and the right one with it."""
    return lambda f, b, batches, locked: reference(f, b, batches, True) if locked else wrong(f, b, batches)


def in_turn(f: np.ndarray, b: np.ndarray, batches: int) -> np.ndarray:
    """The activation goes up behind the backward."""
    finished = np.zeros((len(f), batches))
    for t in range(batches):
        arrived = 0.0
        for k in range(len(f)):
            finished[k, t] = arrived = max(arrived, finished[k, t - 1] if t else 0.0) + f[k] + b[k]
    return finished


def without_queue(f: np.ndarray, b: np.ndarray, batches: int) -> np.ndarray:
    """A module begins a batch before it has finished the one before."""
    entered = np.arange(batches) * (f[0] + b[0])
    return entered[None] + (np.cumsum(f) + b)[:, None]


def without_forward_lock(f: np.ndarray, b: np.ndarray, batches: int) -> np.ndarray:
    return np.outer(f + b, np.arange(1, batches + 1))


def at_the_slowest_pace(f: np.ndarray, b: np.ndarray, batches: int) -> np.ndarray:
    return (np.cumsum(f) + b)[:, None] + (f + b).max() * np.arange(batches)[None]


EXERCISE = Exercise(
    id="6a",
    question="Say when each module finishes each batch, where its backward waits for the one above (BP) or not (GLL).",
    solution=ends,
    reference=reference,
    against="the schedule of minilocal.parallel.simulate",
    returns=("ends",),
    cases=cases,
    mistakes=(
        Mistake("the activation goes up before the module's own backward, not after it", unlocked(in_turn)),
        Mistake("a module has one device: it finishes a batch before it begins the next", unlocked(without_queue)),
        Mistake("a module needs the activation from below: the forward lock is kept", unlocked(without_forward_lock)),
        Mistake("a slower module above holds nothing up: no error comes from there", unlocked(at_the_slowest_pace)),
        Mistake("locked: a backward waits for the one above", lambda f, b, n, locked: reference(f, b, n, False)),
        Mistake("not locked: a backward waits for nothing", lambda f, b, n, locked: reference(f, b, n, True)),
    ),
)
