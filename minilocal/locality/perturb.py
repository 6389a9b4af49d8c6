"""One run of a rule in which one thing is nudged, and a note of all that it does: what changes is what hears it.

Every unit, objective and guess of a Learner is put into a thin sleeve that passes calls on. A sleeve notes what goes
by, as a fingerprint of its bytes, and adds noise to one *site* from one iteration on: to a unit's parameters, its
output, or the error that leaves it downward. Two runs of one seed, one nudged and one not, then differ exactly where
the nudge has been heard; floating point does not blur that, since the runs are the same to the bit otherwise.

With `moving=False` the optimiser notes gradients and moves nothing. Then no influence travels through weights, and the
first iteration in which a site differs is the lag of what crosses directly. With `moving=True` it is training.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from minilocal import streams
from minilocal.array import Array
from minilocal.engine.hooks import Gradients, Hook, Part
from minilocal.learner import Learner
from minilocal.nets import Net
from minilocal.objectives import Batch
from minilocal.optim import Adam, Update
from minilocal.rules import Rule
from minilocal.streams import stream

What = Literal["weights", "activation", "error", "labels", "image", "update"]


class Site(NamedTuple):
    """Something in a module (counted from 0): a unit by its number there, its objective, or its guess.

    `weights`, `activation` (what goes up), `error` (what goes down), and an objective's `labels` and `image` can be
    nudged; `activation` and `update` (the gradients that the optimiser gets) are noted.
    """

    what: What
    module: int
    part: int | str


Noted = dict[Site, list[tuple[bytes, ...]]]  # of each site, the fingerprints of each iteration
Batches = Sequence[tuple[Array, Array]]


@dataclass(frozen=True)
class Subject:
    """What is put to the test: a rule on a network, in an epoch that decides its phase."""

    net: Net
    rule: Rule
    modules: int | Sequence[int]
    batches: Batches
    epoch: int = 0

    def learner(self, optimizer: Any = None) -> Learner:
        """A fresh Learner, always the same, no array of which is 0: what starts at 0 would let nothing through."""
        with warnings.catch_warnings(action="ignore"):  # it is built many times, and would say so each time
            it = Learner(self.net, self.rule, self.modules, rng=streams.rng(1), dtype="float64", optimizer=optimizer)
        it.epoch = self.epoch
        for name, w in it.parameters().items():
            w += 0.1 * stream(7, name).standard_normal(w.shape)
        return it


@dataclass
class PerturbedRun:
    """The notes of one run; `nudged` is disturbed from iteration `start` on."""

    subject: Subject
    nudged: Site | None = None
    start: int = 0
    moving: bool = False
    noted: Noted = field(default_factory=dict)

    def run(self) -> Noted:
        """The fingerprints of everything noted, iteration by iteration."""
        self.now = 0
        it = self.subject.learner(_Watch(self))
        self.owners = owners(it)
        self.names = {id(w): name for name, w in it.parameters().items()}
        for k, module in enumerate(it.modules):
            module.hooks.append(_PerturbingHook(self, k))
        for now, (x, y) in enumerate(self.subject.batches):
            self.now = now
            if self.now == self.start and self.nudged is not None and self.nudged.what == "weights":
                for name, w in it.parameters().items():
                    if self.owners[name] == self.nudged[1:]:
                        w += self.noise(w, 1e-3)
            it.step(x, y, lr=0.01)
        return self.noted

    def note(self, site: Site, a: Array) -> None:
        """Writes down what goes by; -0 and 0 are the same."""
        if not np.isfinite(a).all():
            raise FloatingPointError(f"{site} is no longer finite, so that nothing can be said about what it hears")
        iterations = self.noted.setdefault(site, [()] * len(self.subject.batches))
        iterations[self.now] += (hashlib.blake2b((a + 0.0).tobytes(), digest_size=8).digest(),)

    def through(self, site: Site, a: Array) -> Array:
        """`a`, nudged where this is the site and the time."""
        return a + self.noise(a, 1e-9) if site == self.nudged and self.now >= self.start else a

    def noise(self, a: Array, least: float) -> Array:
        """Noise of three tenths of a's size."""
        size = max(least, 0.3 * float(np.sqrt((a * a).mean())))
        return size * stream(11, "nudge", step=self.now).standard_normal(a.shape)


@dataclass(frozen=True)
class _Watch:
    """An optimiser that notes each gradient, and follows it, as Adam does, only where the trial moves."""

    trial: PerturbedRun

    def update(self, moves: Sequence[Update], lr: float | Array) -> None:
        for w, g, _ in moves:
            self.trial.note(Site("update", *self.trial.owners[self.trial.names[id(w)]]), g)
        if self.trial.moving:
            Adam().update(moves, lr)  # of bounded steps: nothing diverges, no influence shrinks out of sight


class _PerturbingHook(Hook):
    """Perturbs and records the activations and errors of module k."""

    def __init__(self, trial: PerturbedRun, k: int) -> None:
        self.trial, self.k = trial, k

    def replace_batch(self, part: Part, batch: Batch) -> Batch:
        trial, (x, y) = self.trial, batch
        if trial.now >= trial.start and trial.nudged == Site("image", self.k, part):
            return Batch(x + trial.noise(x, 1e-3), y)
        if trial.now >= trial.start and trial.nudged == Site("labels", self.k, part):
            return Batch(x, (y + 1) % trial.subject.net.classes)
        return batch

    def after_forward(self, part: Part, out: Array, cache: Any) -> Array:
        if part == "synthesiser":
            return self.trial.through(Site("error", self.k, part), out)
        if isinstance(part, int):
            out = self.trial.through(Site("activation", self.k, part), out)
            self.trial.note(Site("activation", self.k, part), out)
        return out

    def after_backward(self, part: Part, error: Array | None, grads: Gradients) -> Array | None:
        return None if error is None else self.trial.through(Site("error", self.k, part), error)


def owners(it: Learner) -> dict[str, tuple[int, int | str]]:
    """{parameter: (module, unit, "objective" or "guess")}."""
    owner: dict[str, tuple[int, int | str]] = {}
    for k, module in enumerate(it.modules):
        parts: dict[int | str, Any] = dict(enumerate(module.units))
        parts |= {"objective": module.objective, "synthesiser": module.synthesiser}
        owner |= {name: (k, part) for part, it in parts.items() if it is not None for name in it.parameters}
    return owner


def first_difference(plain: Noted, nudged: Noted, start: int) -> dict[Site, int]:
    """{site: iterations from the nudge to the first in which it differs}; sites that never differ are left out."""
    lags = {}
    for site in plain.keys() | nudged.keys():
        pairs = zip(plain.get(site, ()), nudged.get(site, ()), strict=True)
        first = next((t for t, (a, b) in enumerate(pairs) if a != b), None)
        if first is not None:
            assert first >= start, f"{site} differed before anything was nudged: the two runs were not twins"
            lags[site] = first - start
    return lags
