"""Whole networks against JAX: logits in evaluation mode, the loss, and every parameter's gradient.

Small variants where the architecture allows it; AlexNet and VGG16 need full 32×32 images.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minilocal import nets, rules, streams
from minilocal.layers import PassContext
from minilocal.learner import Learner
from minilocal.verify.compare import Result, errors
from minilocal.verify.jax_cpu import jax_on_cpu
from minilocal.verify.reference.synchronous import forward_all, gradients
from minilocal.verify.small_nets import randomise

CASES: dict[str, Any] = {
    "mlp": lambda rng: nets.mlp((9, 8), classes=5, size=4, rng=rng),
    "resnet8, shortcut B": lambda rng: nets.resnet(8, classes=5, size=8, rng=rng),
    "resnet8, shortcut A-both": lambda rng: nets.resnet(8, classes=5, size=8, rng=rng, shortcut="A-both"),
    "resnet8, shortcut A-end": lambda rng: nets.resnet(8, classes=5, size=8, rng=rng, shortcut="A-end"),
    "resnet8, 6×11 images": lambda rng: nets.resnet(8, classes=5, size=(6, 11), rng=rng),
    "wrn10-1": lambda rng: nets.wrn(10, 1, classes=5, size=8, rng=rng),
    "alexnet": lambda rng: nets.alexnet(classes=5, hidden=32, rng=rng),
    "alexnet, fc_norm": lambda rng: nets.alexnet(classes=5, hidden=32, rng=rng, fc_norm=True),
    "alexnet, 33×64 images": lambda rng: nets.alexnet(classes=5, hidden=32, size=(33, 64), rng=rng),
    "vgg16": lambda rng: nets.vgg16(classes=5, hidden=32, rng=rng),
}
LARGE = ("alexnet", "alexnet, fc_norm", "alexnet, 33×64 images", "vgg16")
BATCH = {"alexnet, fc_norm": 4}  # else 2: a batch norm over two vectors makes ±1 of any two


def relative_errors(name: str) -> dict[str, float]:
    """Relative errors of logits, loss and gradients."""
    net, batch = CASES[name](streams.rng(0)), BATCH.get(name, 2)
    learner = Learner(net, rules.bp(), 1, rng=streams.rng(0), dtype="float64")
    randomise(learner)
    rng = streams.rng(1)
    x, y = rng.standard_normal((batch, *net.shape)), rng.integers(net.classes, size=batch)
    losses, grads = learner.gradients(x, y)
    weights, buffers, (module,) = learner.parameters(), learner.buffers(), learner.modules
    with jax_on_cpu():
        loss, slopes = gradients(learner.rule, [module], weights, buffers, x, y, PassContext(key=learner.key))
        logits = forward_all([*module.units, net.head], 0, x, {**weights, **buffers}, PassContext(training=False))
    return (
        errors({"evaluated logits": learner.predict(x)}, {"evaluated logits": logits})
        | errors({"loss": losses}, {"loss": loss})
        | errors(grads, slopes)
    )


def run(quick: bool = False) -> Iterator[Result]:
    """One row for each network."""
    for name in CASES:
        if not (quick and name in LARGE):
            worst, error = max(relative_errors(name).items(), key=lambda item: item[1])
            yield Result("nets", name, "jax.grad of its reference", 1, error, worst=worst)
