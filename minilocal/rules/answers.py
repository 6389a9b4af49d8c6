"""A rule composed of answers by name, as a configuration writes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from minilocal import boundaries, objectives
from minilocal.errors import UserError, nearest, unknown
from minilocal.rules import text
from minilocal.rules.compose import Rule, compose
from minilocal.rules.when import always, asynchronous, periodic

Answer = str | Mapping[str, Any]


ANSWERS: dict[str, dict[str, Callable[..., Any]]] = {
    "objective": {
        "none": objectives.none,
        "classifier": objectives.classifier,
        "predsim": objectives.predsim,
        "infopro": objectives.infopro,
        "augmented": objectives.augmented,
        "hpff": objectives.hpff,
    },
    "boundary": {
        "open": boundaries.open,
        "closed": boundaries.closed,
        "link": boundaries.link,
        "reach": boundaries.reach,
        "cascade": boundaries.cascade,
        "weights": boundaries.weights,
        "delayed": boundaries.delayed,
        "synthetic_gradient": boundaries.synthetic_gradient,
    },
    "when": {"always": always, "periodic": periodic, "asynchronous": asynchronous},
}
EXAMPLE = {"objective": "classifier:aux=1c2f", "boundary": "link:length=1,alpha=0.25", "when": "periodic:period=10"}


def composed(
    *,
    objective: Answer = "none",
    boundary: Answer = "open",
    when: Answer = "always",
    keep: str = Rule.keep,
    accumulate: int = Rule.accumulate,
    context: str = Rule.context.source,
) -> Rule:
    """The rule with these answers, each as text, "link:length=2", or as a table with a name in it.

    Args:
        objective: the local objective: none, classifier, predsim, infopro, augmented or hpff.
        boundary: what passes down: open (all errors), closed, link, reach, cascade, weights, delayed,
            synthetic_gradient.
        when: always, periodic (of every `period` epochs the last `duration` learn from the last loss), asynchronous.
        keep: what is kept until an error arrives: caches, or inputs (activation checkpointing).
        accumulate: micro-batches whose mean gradient makes a step, 1 or more.
        context: what crosses upward besides h: none (R0), image (E), below (R1), both (R1E).

    Raises: UserError for an unknown answer or option, and for answers that do not fit together.
    """
    return compose(
        objective=_answer("objective", objective),
        boundary=_answer("boundary", boundary),
        when=_answer("when", when),
        keep=keep,
        accumulate=accumulate,
        context=context,
    )


def _answer(question: str, written: Answer) -> Any:
    """The answer that a text or a table names, with its options."""
    name, options = text.read(question, written, EXAMPLE[question])
    answers = ANSWERS[question]
    if name not in answers:
        raise unknown(question, name, answers)
    known = list(inspect.signature(answers[name]).parameters)
    for key in options:
        if key not in known:
            raise UserError(
                f"{question} {name} has no option {key!r}{nearest(key, known)} It has {', '.join(known) or 'none'}."
            )
    return answers[name](**options)
