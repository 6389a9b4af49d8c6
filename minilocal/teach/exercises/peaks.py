"""5b: the peak of a step under four rules, from the bytes that its modules keep."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np

from minilocal import rules
from minilocal.array import Array
from minilocal.engine.hooks import Hook, Part, hooked
from minilocal.learner import Learner
from minilocal.memory.live import LiveBytes
from minilocal.nets import mlp
from minilocal.rules import Rule
from minilocal.streams import rng as generator
from minilocal.teach.exercise import Case, Exercise, Mistake

Peaks = tuple[int, int, int, int]
IMAGES, CLASSES = 8, 4
ROW = 4 * IMAGES  # bytes of one float32 for each image


def peaks(inputs: list[int], caches: list[int], linked: list[int]) -> Peaks:
    """The most bytes of activations at one moment of a step: under BP, BP checkpointed, GLL, BackLink.

    One number for each module, first to last:
    inputs   bytes of its input, which is the output of the module below; 0 for the first, whose images are the caller's
    caches   bytes of all that its units keep: its output is among them, its input is not
    linked   bytes of all that its linked units keep, without its output; 0 for the last, which has no module above it
    """
    K = range(len(caches))
    bp = sum(caches)
    checkpointed = max(sum(inputs[: k + 1]) + caches[k] for k in K)
    gll = max(inputs[k] + caches[k] for k in K)
    backlink = max(inputs[k] + caches[k] + (linked[k - 1] if k > 0 else 0) for k in K)
    return bp, checkpointed, gll, backlink


class ActivationPeak(Hook):
    """The most bytes that the outputs and caches of units take at one moment of a step."""

    def __init__(self, live: LiveBytes[None]) -> None:
        self.live, self.peak = live, 0

    def after_forward(self, part: Part, out: Array, cache: Any) -> Array:
        if isinstance(part, int):  # auxiliary networks are left out
            self.live.track(None, (out, cache))
            self.peak = max(self.peak, self.live.now[None])
        return out


def reference(inputs: list[int], caches: list[int], linked: list[int]) -> Peaks:
    """The peaks of real steps: of a network in modules of two layers that keep just these bytes."""
    outputs = [*inputs[1:], CLASSES * ROW]
    widths = [n // ROW for kept, output in zip(caches, outputs, strict=True) for n in (kept - output, output)]
    bp, checkpointed = rules.bp(), rules.bp(keep="inputs")
    each = (bp, checkpointed, rules.gll(), rules.backlink(length=1))
    one, two, three, four = (metered(tuple(widths), rule) for rule in each)
    return one, two, three, four


@cache
def metered(widths: tuple[int, ...], rule: Rule) -> int:
    """The peak of a step of linear layers of these widths, two in a module."""
    net = mlp(widths[:-1], classes=CLASSES, channels=3, size=1, rng=generator(0))
    learner = Learner(net, rule, len(widths) // 2, rng=generator(0))
    x, y = np.ones((IMAGES, 1, 1, 3), "float32"), np.arange(IMAGES) % CLASSES
    hook = ActivationPeak(LiveBytes((None,), (x, y)))
    with hooked(learner.modules, [hook] * len(learner.modules)):
        learner.gradients(x, y)
    return hook.peak


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for K in (3, 4, 3, 6):
        hidden, output = rng.integers(20, 300, K).tolist(), [*rng.integers(20, 300, K - 1).tolist(), CLASSES]
        inputs = [0, *(ROW * n for n in output[:-1])]
        caches = [ROW * (h + o) for h, o in zip(hidden, output, strict=True)]
        yield inputs, caches, [*(ROW * h for h in hidden[:-1]), 0]


def but(place: int, peak: Any) -> Any:
    """The right peaks with another one at this place."""

    def wrong(inputs: list[int], caches: list[int], linked: list[int]) -> tuple[int, ...]:
        right = list(peaks(inputs, caches, linked))
        right[place] = peak(inputs, caches, linked)
        return tuple(right)

    return wrong


EXERCISE = Exercise(
    id="5b",
    question="Derive the peak of a step under BP, BP checkpointed, GLL and BackLink from the bytes of its modules.",
    solution=peaks,
    reference=reference,
    against="the peaks of the package's own steps",
    returns=("BP", "checkpointed", "GLL", "BackLink"),
    cases=cases,
    mistakes=(
        Mistake(
            "a module's output is the input of the next: under BP it is counted twice",
            but(0, lambda x, c, linked: sum(x) + sum(c)),
        ),
        Mistake(
            "checkpointed: all inputs are counted, but those above module k are gone when it is computed again",
            but(1, lambda x, c, linked: sum(x) + max(c)),
        ),
        Mistake(
            "checkpointed: the inputs of the modules below wait as well",
            but(1, lambda x, c, linked: max(a + b for a, b in zip(x, c, strict=True))),
        ),
        Mistake("checkpointed: the kept inputs are missing", but(1, lambda x, c, linked: max(c))),
        Mistake(
            "GLL frees a module before the next: the largest counts, not the sum", but(2, lambda x, c, linked: sum(c))
        ),
        Mistake("GLL: the module's input is missing, its first dW needs it", but(2, lambda x, c, linked: max(c))),
        Mistake(
            "BackLink: the linked units that wait are those of the module below",
            but(3, lambda x, c, linked: max(map(sum, zip(x, c, linked, strict=True)))),
        ),
        Mistake(
            "BackLink: linked units wait for one module, and are freed behind it",
            but(3, lambda x, c, linked: max(map(sum, zip(x, c, accumulate([0, *linked[:-1]]), strict=True)))),
        ),
        Mistake(
            "BackLink: the module's input is missing, it is the output of the linked units",
            but(3, lambda x, c, linked: max(map(sum, zip(c, [0, *linked[:-1]], strict=True)))),
        ),
    ),
)
