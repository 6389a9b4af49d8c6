"""Whole networks against the autograd of their twins: logits in both modes, the loss, and every parameter's gradient.

Small variants where the layer list allows it; AlexNet and VGG16 need their full 32×32 images.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minilocal import nets, rules, streams
from minilocal.layers import PassContext
from minilocal.learner import Learner
from minilocal.verify.compare import Result, errors
from minilocal.verify.jax_cpu import jax_on_cpu
from minilocal.verify.reference import rules as twins
from minilocal.verify.synchronous import randomise

CASES: dict[str, Any] = {
    "mlp": lambda rng: nets.mlp((9, 8), classes=5, size=4, rng=rng),
    "resnet8, shortcut B": lambda rng: nets.resnet(8, classes=5, size=8, rng=rng),
    "resnet8, shortcut A-both": lambda rng: nets.resnet(8, classes=5, size=8, rng=rng, shortcut="A-both"),
    "resnet8, shortcut A-end": lambda rng: nets.resnet(8, classes=5, size=8, rng=rng, shortcut="A-end"),
    "wrn10-1": lambda rng: nets.wrn(10, 1, classes=5, size=8, rng=rng),
    "alexnet": lambda rng: nets.alexnet(classes=5, hidden=32, rng=rng),
    "alexnet, fc_norm": lambda rng: nets.alexnet(classes=5, hidden=32, rng=rng, fc_norm=True),
    "vgg16": lambda rng: nets.vgg16(classes=5, hidden=32, rng=rng),
}
LARGE = ("alexnet", "alexnet, fc_norm", "vgg16")


BATCH = {"alexnet, fc_norm": 4}  # else 2: a norm over two vectors makes ±1 of any of them


def gap(name: str) -> dict[str, float]:
    """Relative errors of logits, loss and gradients."""
    net, batch = CASES[name](streams.rng(0)), BATCH.get(name, 2)
    made = Learner(net, rules.bp(), 1, rng=streams.rng(0), dtype="float64")
    randomise(made, 0)
    rng = streams.rng(1)
    x, y = rng.standard_normal((batch, *net.shape)), rng.integers(net.classes, size=batch)
    losses, grads = made.gradients(x, y)
    p = {**made.parameters(), **made.buffers()}
    with jax_on_cpu():
        stack = twins.parts(made)
        (loss,), reference = twins.gradients(
            lambda q: twins.bp(stack, q, x, y, PassContext(key=made.key)), p, list(grads)
        )
        run = PassContext(training=False)
        h = twins.climb(stack[0].units, 0, x, p, run)
        logits = twins.climb([net.head], 0, h, p, run)
    found = errors({"evaluated logits": made.predict(x)}, {"evaluated logits": logits})
    found |= errors({"loss": losses[0]}, {"loss": np.float64(loss)})
    return found | errors(grads, reference)


def run(quick: bool = False) -> Iterator[Result]:
    """One row for each network."""
    for name in CASES:
        if not (quick and name in LARGE):
            worst, error = max(gap(name).items(), key=lambda item: item[1])
            yield Result("nets", name, "jax.grad of its twin", 1, error, worst=worst)
