"""6b: the step time of a pipeline whose messages take time, and the share of it in which each device waits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal import rules
from minilocal.parallel.simulate import Link, ModuleCosts, PartCosts, Placement, simulate
from minilocal.teach.exercise import Case, Exercise, Mistake

Step = tuple[float, np.ndarray]


def step_time(work: np.ndarray, nbytes: np.ndarray, latency: float, bandwidth: float) -> Step:
    """(step, idle) of GLL's pipeline in its steady state.        work (K,), nbytes (K-1,)  →  seconds, (K,)

    One device a module, which needs work[k] seconds a batch. Module k sends nbytes[k] to module k+1: that takes latency
    + nbytes / bandwidth seconds of both devices. `idle` is the share of a step in which a device neither works nor has
    a message.
    """
    c = latency + nbytes / bandwidth
    own = work + np.append(0.0, c) + np.append(c, 0.0)
    return own.max(), 1 - own / own.max()


def reference(work: np.ndarray, nbytes: np.ndarray, latency: float, bandwidth: float) -> Step:
    """The simulator's steady state, of modules with one unit each and links that store nothing."""
    costs = []
    for seconds, output in zip(work.tolist(), [*nbytes.tolist(), 1], strict=True):
        unit = PartCosts(seconds / 3, 2 * seconds / 3, 2 * seconds / 3, output=output)
        costs.append(ModuleCosts((unit,), objective=PartCosts()))
    schedule = simulate(Placement(rules.gll(), costs), Link(latency, bandwidth, eager=0))
    return schedule.step, np.array(schedule.idle)


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for K, scale in ((3, 1), (4, 10), (2, 3), (5, 30)):
        work, nbytes = 0.01 * (1 + rng.random(K)), scale * rng.integers(500_000, 2_000_000, K - 1)
        yield work, nbytes, round(1e-4 * (1 + rng.random()), 6), 1e9


def shares(step: float, own: np.ndarray) -> Step:
    """A step of so many seconds, and what is left of it beside each device's own."""
    return step, 1 - own / step


def own_seconds(work: np.ndarray, below: np.ndarray, above: np.ndarray) -> np.ndarray:
    return work + np.append(0.0, below) + np.append(above, 0.0)


def sent_only(work: np.ndarray, nbytes: np.ndarray, latency: float, bandwidth: float) -> Step:
    c = latency + nbytes / bandwidth
    own = own_seconds(work, 0 * c, c)
    return shares(own.max(), own)


def mean_pace(work: np.ndarray, nbytes: np.ndarray, latency: float, bandwidth: float) -> Step:
    c = latency + nbytes / bandwidth
    own = own_seconds(work, c, c)
    return shares(own.mean(), own)


def in_turn(work: np.ndarray, nbytes: np.ndarray, latency: float, bandwidth: float) -> Step:
    c = latency + nbytes / bandwidth
    return shares(work.sum() + c.sum(), own_seconds(work, c, c))


def largest_of_each(work: np.ndarray, nbytes: np.ndarray, latency: float, bandwidth: float) -> Step:
    c = latency + nbytes / bandwidth
    return shares(work.max() + own_seconds(0 * work, c, c).max(), own_seconds(work, c, c))


def free_messages(work: np.ndarray, nbytes: np.ndarray, latency: float, bandwidth: float) -> Step:
    return shares(work.max(), work)


def messages_as_waiting(work: np.ndarray, nbytes: np.ndarray, latency: float, bandwidth: float) -> Step:
    step, _ = reference(work, nbytes, latency, bandwidth)
    return shares(step, work)


def without_latency(work: np.ndarray, nbytes: np.ndarray, latency: float, bandwidth: float) -> Step:
    return reference(work, nbytes, 0.0, bandwidth)


EXERCISE = Exercise(
    id="6b",
    question="Compute the step time of a pipeline with messages, and the share of it in which each device waits.",
    solution=step_time,
    reference=reference,
    against="the schedule of minilocal.parallel.simulate",
    returns=("step", "idle"),
    cases=cases,
    mistakes=(
        Mistake("a message keeps both devices busy, the one that receives it too", sent_only),
        Mistake("that is the mean of the modules: the slowest one sets the pace", mean_pace),
        Mistake("modules work at the same time: their seconds do not add up", in_turn),
        Mistake("the longest work and the longest messages need not be one module's", largest_of_each),
        Mistake("messages take time too", free_messages),
        Mistake("a message is no waiting: idle is what is left beside work and messages", messages_as_waiting),
        Mistake("the latency is missing: every message has it, however short", without_latency),
    ),
)
