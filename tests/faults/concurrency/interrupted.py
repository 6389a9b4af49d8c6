"""Ctrl-C inside a step: the Learner works on, and a state from before the step brings it back, bit for bit."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import minilocal as ml
from minilocal.ops.dispatch import intercept
from tests.faults.concurrency.learners import RULES, bits, learner, step


def at_each_operation(rule: str) -> str:
    """KeyboardInterrupt at every operation of a step, one after the other."""
    one = learner(rule=rule)
    step(one, 0, 0)
    before = one.state()
    step(one, 0, 1)
    after, number, wrong = bits(one), 0, 0
    while True:
        one.restore(before)
        seen = iter(range(10**6))

        def stop(plain: Callable[..., Any], form: Callable[..., Any], *args: Any, **options: Any) -> Any:
            if next(seen) == number:  # noqa: B023 (called within this round)
                raise KeyboardInterrupt
            return form(*args, **options)

        try:
            with intercept(stop):
                step(one, 0, 1)
            break  # the step has no such operation any more
        except KeyboardInterrupt:
            one.restore(before)
            step(one, 0, 1)
            wrong += bits(one) != after
            number += 1
    return f"{wrong} of {number} differ" if wrong or number < 10 else ""


def by_signals(number: int) -> str:
    """SIGINT after 0.2 to 12 ms of a step, with so many threads."""
    ml.use_threads(number)
    one, wrong, met = learner(), 0, 0
    step(one, 0, 0)
    before = one.state()
    step(one, 0, 1)
    after = bits(one)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for i in range(60):
        one.restore(before)
        try:
            signal.setitimer(signal.ITIMER_REAL, 2e-4 * (1 + i))
            step(one, 0, 1)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except (KeyboardInterrupt, SystemError) as error:
            if not isinstance(error.__cause__ or error, KeyboardInterrupt):  # Numba may wrap it, as the docs say
                raise
            met += 1
        one.restore(before)
        step(one, 0, 1)
        wrong += bits(one) != after
    return f"{wrong} of {met} differ" if wrong or met < 5 else ""


def every_rule() -> str:
    """`at_each_operation` of all rules."""
    return "; ".join(f"{rule}: {fault}" for rule in RULES if (fault := at_each_operation(rule)))
