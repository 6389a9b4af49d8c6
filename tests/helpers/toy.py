"""A fixed toy problem, ten steps of it by the engine, and the same ten by an independent loop in JAX.

    PYTHONPATH=. python -m tests.helpers.toy

prints the losses that tests/rules/test_remembered_losses.py remembers, from the JAX loop alone: gradients of each
rule's stop-gradient loss, and SGD with momentum and weight decay written out below.
"""

from __future__ import annotations

import numpy as np

import minilocal as ml

RULES = {
    "bp": ml.rules.bp(),
    "gll": ml.rules.gll(),
    "backlink, l=1": ml.rules.backlink(length=1, alpha=0.3),
    "backlink, l=2": ml.rules.backlink(length=2, alpha=0.3),
}
STEPS, LR, MOMENTUM, DECAY = 10, 0.05, 0.9, 1e-3
MODULES = 2


def make_learner(rule: ml.rules.Rule) -> ml.Learner:
    """ResNet-8 for 8×8 images, two modules, float64."""
    net = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
    optimizer = ml.optim.SGD(momentum=MOMENTUM, weight_decay=DECAY)
    return ml.Learner(net, rule, MODULES, rng=ml.rng(0), dtype="float64", optimizer=optimizer)


def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
    """Four noisy patterns, one for each class."""
    rng, y = ml.rng(100 + step), np.arange(8) % 4
    patterns = ml.rng(7).standard_normal((4, 8, 8, 3))
    return patterns[y] + 0.5 * rng.standard_normal((8, 8, 8, 3)), y


def by_engine(name: str) -> np.ndarray:
    """Losses (steps, K), NaN where a module has none."""
    ours = make_learner(RULES[name])
    return np.array([ours.step(*batch(step), lr=LR) for step in range(STEPS)])


def by_jax(name: str) -> np.ndarray:
    """The same from the engine's initial weights, computed without the engine."""
    from minilocal.layers import PassContext
    from minilocal.verify.jax_cpu import jax_on_cpu
    from minilocal.verify.reference.synchronous import gradients

    initial = make_learner(RULES[name])
    w = {key: np.array(a) for key, a in initial.parameters().items()}
    v = {key: np.zeros_like(a) for key, a in w.items()}
    rows = []
    for step in range(STEPS):
        with jax_on_cpu():
            losses, grads = gradients(RULES[name], initial.modules, w, initial.buffers(), *batch(step), PassContext())
        rows.append(losses)
        for key in w:
            v[key] = MOMENTUM * v[key] + grads[key] + DECAY * w[key]
            w[key] = w[key] - LR * v[key]
    return np.array(rows)


if __name__ == "__main__":
    for rule_name in RULES:
        print(f'    "{rule_name}": [')
        for row in by_jax(rule_name):
            print(f"        [{', '.join('nan' if x != x else f'{x:.13f}' for x in row)}],")
        print("    ],")
