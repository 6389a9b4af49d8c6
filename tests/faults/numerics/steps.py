"""Steps of every rule on extreme images: all numbers stay finite, or a loss says that they do not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import minilocal as ml
from minilocal.rules import NAMES
from minilocal.train.divergence import not_finite
from tests.faults.numerics.extremes import NETS, Images, images
from tests.helpers.host import host

STEPS = 6
FEW = ("bp", "gll", "backlink")  # on networks that take long
IMAGES_OF_MAPS = ("infopro", "auglocal", "hpff", "man", "contsup")  # rules that a network without maps refuses


@dataclass(frozen=True)
class Trained:
    """The losses of each step (STEPS, K), the state afterwards, and the logits of the same images."""

    losses: np.ndarray
    state: dict[str, np.ndarray]
    logits: np.ndarray

    @property
    def is_finite(self) -> bool:
        """Of parameters, running statistics and logits. (Adam's squares may overflow: its weight then stays.)"""
        arrays = {name: a for name, a in self.state.items() if name.startswith("array:")}
        return not not_finite(arrays) and bool(np.isfinite(self.logits).all())

    @property
    def says_so(self) -> bool:
        """Whether a loss became infinite, or NaN where it was a number before."""
        had_one = np.maximum.accumulate(np.isfinite(self.losses), axis=0)
        return bool(np.isinf(self.losses).any() or (had_one[:-1] & ~np.isfinite(self.losses[1:])).any())


def train(net: str, rule: str, batch: Images, lr: float = 0.1, steps: int = STEPS) -> Trained:
    """Some steps on one batch, from fixed weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        learner = ml.Learner(NETS[net](), ml.rules.get(rule), 2, rng=ml.rng(0))
    losses = np.stack([host(learner.step(*batch, lr=lr)) for _ in range(steps)])
    return Trained(losses, learner.state(), host(learner.predict(batch[0])))


def combinations(nets: tuple[str, ...] = tuple(NETS), rules: tuple[str, ...] = NAMES) -> Iterator[tuple[str, str]]:
    """(network, rule) of all that fit each other."""
    for net in nets:
        for rule in rules:
            if not (net == "alexnet" and rule not in FEW) and not (net == "mlp" and rule in IMAGES_OF_MAPS):
                yield net, rule


def cases(net: str) -> dict[str, Images]:
    """The extreme images of a network's size: all, or for a large network a few."""
    return images() if net != "alexnet" else dict(list(images(32, 4).items())[::3])


def silent(net: str, rule: str, batch: Images) -> str:
    """What is no longer finite although no loss says so; "" where all is well."""
    with np.errstate(all="ignore"):
        trained = train(net, rule, batch)
        if trained.is_finite or trained.says_so:
            return ""
        once_more = train(net, rule, batch, steps=STEPS + 1)  # the last update may have been the one too many
    return "" if once_more.says_so else not_finite(trained.state) or "the logits"


def changed_by_seterr(net: str, rule: str, batch: Images) -> str:
    """What `np.seterr(all="raise")` changes. An overflow is reported as the caller asked, so there is none to ask of.

    "" where nothing changes, and where it raises because numbers overflow without it.
    """
    with np.errstate(all="ignore"):
        quiet = train(net, rule, batch, steps=3)
    try:
        with np.errstate(all="raise"):
            loud = train(net, rule, batch, steps=3)
    except FloatingPointError as error:
        return "" if "overflow" in str(error) and overflows(net, rule, batch) else str(error)
    pairs = [(quiet.losses, loud.losses), (quiet.logits, loud.logits)]
    pairs += [(a, loud.state[name]) for name, a in quiet.state.items()]
    equal = all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)
    return "" if equal else "other bits"


def overflows(net: str, rule: str, batch: Images) -> bool:
    """Whether NumPy sees a number overflow in these steps."""
    seen: list[str] = []
    with np.errstate(all="ignore"), np.errstate(over="call", call=lambda kind, flag: seen.append(kind)):
        train(net, rule, batch, steps=3)
    return bool(seen)
