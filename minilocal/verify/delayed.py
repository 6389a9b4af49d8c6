"""Rules whose modules do not wait for the modules above: delayed gradients (DDG, FDG) and synthetic gradients (DNI).

DDG and FDG are not the gradient of any single loss: an update uses gradients computed at older weights. So they train,
from random weights, until every module has learnt from batches that it forwarded with moved weights, and the distance
that every array has moved is compared after each iteration. DNI is the gradient of a stop-gradient loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minilocal import streams
from minilocal.array import to_host
from minilocal.layers import PassContext
from minilocal.learner import Learner
from minilocal.nets import Net
from minilocal.optim import SGD
from minilocal.verify import synchronous
from minilocal.verify.compare import Result, errors
from minilocal.verify.jax_cpu import jax, jax_on_cpu
from minilocal.verify.reference.delayed import DelayedReference
from minilocal.verify.reference.synthetic import dni
from minilocal.verify.synchronous import RuleCase, named

BATCH = 4
STEPS = 12
LR, MOMENTUM, DECAY = 0.05, 0.9, 1e-2
MODES = ("stashed", "current", "recompute")


def learner(case: RuleCase) -> Learner:
    """A Learner of this case in float64, its arrays random."""
    return synchronous.learner(case, optimizer=SGD(momentum=MOMENTUM, weight_decay=DECAY))


def batches(net: Net, number: int, dtype: str = "float64") -> list[tuple[np.ndarray, np.ndarray]]:
    """Images and labels."""
    rng, shape, classes = streams.rng(7), (BATCH, *net.shape), net.classes
    return [(rng.standard_normal(shape).astype(dtype), rng.integers(classes, size=BATCH)) for _ in range(number)]


def beside_replay(learner: Learner, steps: int, lr: float = LR, **options: Any) -> dict[str, float]:
    """The largest relative error, over `steps` iterations, of how far each array has moved, and of the loss.

    The reference starts from the Learner's weights and takes its `options`; the Learner's optimiser has this file's
    momentum and decay.
    """
    start = {name: a.copy() for name, a in learner.parameters().items()}
    reference = DelayedReference(learner.modules, start, lr=lr, momentum=MOMENTUM, decay=DECAY, **options)
    worst = dict.fromkeys([*start, "loss"], 0.0)
    for x, y in batches(learner.net, steps):
        losses, loss = learner.step(x, y, lr=lr), reference.iterate(x, y)
        ours, theirs = ({n: a - start[n] for n, a in arrays.items()}
                        for arrays in (learner.parameters(), reference.arrays()))  # fmt: skip
        expected = [-1.0] * (len(losses) - 1) + [-1.0 if loss is None else loss]  # -1: no loss
        step_errors = errors(ours, theirs) | errors(
            {"loss": np.nan_to_num(to_host(losses), nan=-1.0)}, {"loss": expected}
        )
        worst = {name: max(worst[name], error) for name, error in step_errors.items()}
    return worst


def beside_loss(learner: Learner) -> dict[str, float]:
    """Relative errors of DNI's loss and gradients, the synthesisers' by layer."""
    x, y = batches(learner.net, 1)[0]
    losses, grads = learner.gradients(x, y)
    with jax_on_cpu():
        number = jax.value_and_grad(lambda p: dni(learner.modules, p, x, y, PassContext()), has_aux=True)
        (_, expected), slopes = jax.jit(number)(learner.parameters())
    ours, theirs = (
        {"losses": np.nan_to_num(values, nan=-1.0)}
        for values in (to_host(losses), np.array([float(v) for v in expected]))
    )
    return errors(ours | by_layer(grads), theirs | by_layer(slopes))


def by_layer(grads: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The gradients, a synthesiser's layers each as one: alone, a bias before a norm, of gradient 0, is noise."""
    joined: dict[str, list[np.ndarray]] = {}
    for name in sorted(grads):
        layer = name.rpartition(".")[0] if name.startswith("synth.") else name
        joined.setdefault(layer, []).append(np.ravel(grads[name]))
    return {layer: np.concatenate(arrays) for layer, arrays in joined.items()}


def relative_errors(case: RuleCase) -> dict[str, float]:
    """Relative errors by name of the array."""
    ours, boundary = learner(case), case.rule.boundary
    if not boundary.delayed:
        return beside_loss(ours)
    with jax_on_cpu():
        return beside_replay(ours, STEPS, **replay_options(boundary))


def replay_options(boundary: Any) -> dict[str, Any]:
    """The reference's options for a delayed boundary."""
    delayed_activations = boundary.lags[0] > 0
    return {
        "delayed_activations": delayed_activations,
        "beta": boundary.beta,
        "backward_weights": boundary.backward_weights,
    }


def _delayed(rule: str, mode: str, **options: Any) -> list[RuleCase]:
    options["backward_weights"] = mode
    small = [named(rule, "mlp, four units", K, **options) for K in (3, 2)]
    return [*small, named(rule, "convolutions", 3, **options)] if mode == "current" else small


REPLAY = "a replay by the paper's indices"
CASES: dict[str, list[RuleCase]] = {
    **{f"DDG, {mode}": _delayed("ddg", mode) for mode in MODES},
    **{f"FDG, {mode}": _delayed("fdg", mode, beta=0.7) for mode in MODES},
    "DNI": [
        named("dni", "mlp, four units", 3),
        named("dni", "mlp, four units", 4, labels=True, scaled=True),
        named("dni", "convolutions", 2, labels=True, kernel=3),
        named("dni", "wide", 2, labels=True, kernel=3),
    ],
}


def run(quick: bool = False) -> Iterator[Result]:
    """One row for each rule, and for the delayed ones for each choice of backward weights."""
    for name, cases in CASES.items():
        chosen = cases[:1] if quick else cases
        error, worst = max((e, f"{case}: {array}") for case in chosen for array, e in relative_errors(case).items())
        against = REPLAY if chosen[0].rule.boundary.delayed else synchronous.AGAINST
        yield Result("decoupled", name, against, len(chosen), error, worst=worst)
