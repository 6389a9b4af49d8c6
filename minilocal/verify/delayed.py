"""Rules whose modules need not wait: delays beside their replay, guesses beside their stop-gradient loss.

DDG and FDG have no loss whose gradient they are: what moves a weight today is of another day's weights. So they train,
from shaken weights, for as many iterations as it takes every module to learn from batches that it forwarded with moved
weights, and how far the weights have gone is compared after each. DNI has such a loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilocal import rules, streams
from minilocal.layers import PassContext
from minilocal.learner import Learner
from minilocal.nets import Net
from minilocal.optim import SGD
from minilocal.verify.compare import Result, errors
from minilocal.verify.jax_cpu import jax, jax_on_cpu
from minilocal.verify.objectives import network
from minilocal.verify.reference.delayed import DelayedReference
from minilocal.verify.reference.synthetic import dni
from minilocal.verify.synchronous import randomise

BATCH = 4
STEPS = 12
LR, MOMENTUM, DECAY = 0.05, 0.9, 1e-2
MODES = ("stashed", "current", "recompute")


@dataclass(frozen=True)
class Case:
    """A rule, by name and options, on a small network cut into K modules."""

    rule: str
    options: tuple[tuple[str, Any], ...] = ()
    modules: int = 2
    net: str = "mlp"

    def __str__(self) -> str:
        options = ", ".join(f"{key}={value}" for key, value in self.options)
        return f"{self.rule}({options}), {self.net}, K={self.modules}"


def learner(case: Case) -> Learner:
    """A Learner of this case in float64, its arrays shaken."""
    rule, optimizer = rules.get(case.rule, **dict(case.options)), SGD(momentum=MOMENTUM, weight_decay=DECAY)
    made = Learner(network(case.net), rule, case.modules, rng=streams.rng(0), dtype="float64", optimizer=optimizer)
    randomise(made, 0)
    return made


def batches(net: Net, number: int, dtype: str = "float64") -> list[tuple[np.ndarray, np.ndarray]]:
    """Images and labels."""
    rng, shape, classes = streams.rng(7), (BATCH, *net.shape), net.classes
    return [(rng.standard_normal(shape).astype(dtype), rng.integers(classes, size=BATCH)) for _ in range(number)]


def beside_replay(made: Learner, steps: int, lr: float = LR, **options: Any) -> dict[str, float]:
    """The largest relative error, over `steps` iterations, of how far each array has gone, and of the loss.

    The replay starts from the Learner's weights and takes its `options`; the Learner's optimiser has this file's
    momentum and decay.
    """
    start = {name: a.copy() for name, a in made.parameters().items()}
    twin = DelayedReference(made.modules, start, lr=lr, momentum=MOMENTUM, decay=DECAY, **options)
    worst = dict.fromkeys([*start, "loss"], 0.0)
    for x, y in batches(made.net, steps):
        losses, loss = made.step(x, y, lr=lr), twin.iterate(x, y)
        ours, theirs = ({n: a - start[n] for n, a in one.items()} for one in (made.parameters(), twin.arrays()))
        said = [-1.0] * (len(losses) - 1) + [-1.0 if loss is None else loss]  # no module says -1
        found = errors(ours, theirs) | errors({"loss": np.nan_to_num(losses, nan=-1.0)}, {"loss": said})
        worst = {name: max(worst[name], error) for name, error in found.items()}
    return worst


def beside_loss(made: Learner) -> dict[str, float]:
    """Relative errors of DNI's loss and gradients, the synthesisers' by layer."""
    x, y = batches(made.net, 1)[0]
    losses, grads = made.gradients(x, y)
    with jax_on_cpu():
        whole = jax.value_and_grad(lambda p: dni(made.modules, p, x, y, PassContext()), has_aux=True)
        (_, said), slopes = jax.jit(whole)(made.parameters())
    ours, theirs = ({"losses": np.nan_to_num(l, nan=-1.0)} for l in (losses, np.asarray([float(v) for v in said])))
    return errors(ours | by_layer(grads), theirs | by_layer(slopes))


def by_layer(grads: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The gradients, a synthesiser's layers each as one: alone, a bias before a norm, of gradient 0, is noise."""
    joined: dict[str, list[np.ndarray]] = {}
    for name in sorted(grads):
        layer = name.rpartition(".")[0] if name.startswith("synth.") else name
        joined.setdefault(layer, []).append(np.ravel(grads[name]))
    return {layer: np.concatenate(arrays) for layer, arrays in joined.items()}


def gap(case: Case) -> dict[str, float]:
    """Relative errors by name of the array."""
    made = learner(case)
    if case.rule == "dni":
        return beside_loss(made)
    with jax_on_cpu():
        return beside_replay(made, STEPS, activations_late=case.rule == "fdg", **dict(case.options))


def _delayed(rule: str, mode: str, **options: Any) -> list[Case]:
    given = (*options.items(), ("backward_weights", mode))
    small = [Case(rule, given, K) for K in (3, 2)]
    return [*small, Case(rule, given, 3, "convolutions")] if mode == "current" else small


REPLAY, LOSS = "a replay by the paper's indices", "jax.grad of its stop-gradient loss"
CASES = {
    **{f"DDG, {mode}": (REPLAY, _delayed("ddg", mode)) for mode in MODES},
    **{f"FDG, {mode}": (REPLAY, _delayed("fdg", mode, beta=0.7)) for mode in MODES},
    "DNI": (
        LOSS,
        [
            Case("dni", (), 3),
            Case("dni", (("labels", True), ("scaled", True)), 4),
            Case("dni", (("labels", True), ("kernel", 3)), 2, "convolutions"),
        ],
    ),
}


def run(quick: bool = False) -> Iterator[Result]:
    """One row for each rule, and for the delayed ones for each choice of backward weights."""
    for name, (against, cases) in CASES.items():
        chosen = cases[:1] if quick else cases
        error, worst = max((e, f"{case}: {array}") for case in chosen for array, e in gap(case).items())
        yield Result("decoupled", name, against, len(chosen), error, worst=worst)
