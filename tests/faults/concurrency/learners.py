"""Small Learners whose bits can be compared: one a seed, on batches of its own."""

from __future__ import annotations

import hashlib
import warnings
from typing import Any

import numpy as np

import minilocal as ml
from tests.helpers.host import host

CLASSES, SIDE, IMAGES = 4, 8, 16
RULES = ("backlink", "gll", "fdg", "dgl", "pgl", "bp")


def learner(seed: int = 0, net: Any = None, rule: str = "") -> ml.Learner:
    """A ResNet-8, or another network, in three modules by one of the rules."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        net = net or ml.nets.resnet(8, classes=CLASSES, size=SIDE, rng=ml.rng(seed))
        return ml.Learner(net, ml.rules.get(rule or RULES[seed % len(RULES)]), 3, rng=ml.rng(seed + 1))


def batch(seed: int, step: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(x, y)"""
    rng = ml.rng(1000 * seed + step)
    return rng.standard_normal((IMAGES, SIDE, SIDE, 3)).astype("float32"), np.arange(IMAGES) % CLASSES


def step(one: ml.Learner, seed: int, number: int) -> None:
    """Step `number` of this seed's training."""
    one.step(*batch(seed, number), lr=0.05)


def trained(seed: int = 0, steps: int = 2) -> str:
    """The bits of a new Learner after some steps."""
    one = learner(seed)
    for number in range(steps):
        step(one, seed, number)
    return bits(one, seed)


def bits(one: ml.Learner, seed: int = 0) -> str:
    """A digest of a Learner's state and of its logits."""
    return digest({**one.state(), "logits": host(one.predict(batch(seed)[0]))})


def digest(arrays: dict[str, np.ndarray]) -> str:
    """A digest of arrays, by name."""
    hasher = hashlib.blake2b(digest_size=16)
    for name, a in sorted(arrays.items()):
        hasher.update(name.encode() + np.ascontiguousarray(a).tobytes())
    return hasher.hexdigest()
