"""Train twice from one seed, once with one tensor perturbed: what differs is what the tensor influences.

A run records a hash of every activation and gradient. From one iteration on, noise is added to one *site*: to a unit's
parameters, to its output, or to the error at its input. The two runs are equal to the bit otherwise, so round-off
cannot be mistaken for influence.

With `moving=False` the optimiser records gradients and updates nothing. No influence then travels through weights, and
the first iteration in which a site differs is the lag of what crosses directly. With `moving=True` the runs train.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from minilocal import streams
from minilocal.array import Array, namespace, to_host
from minilocal.device import to_device
from minilocal.engine.hooks import Gradients, Hook, Part
from minilocal.layers.with_context import Source
from minilocal.learner import Learner
from minilocal.nets import Net
from minilocal.objectives import Batch
from minilocal.optim import Adam, Update
from minilocal.rules import Rule
from minilocal.streams import stream

What = Literal["weights", "activation", "error", "labels", "image", "below", "update"]


class Site(NamedTuple):
    """A tensor of one part of a module (counted from 0): of a unit, the objective or the synthesiser.

    Perturbed are `weights`, `activation` (the output), `error` (at the input; of an objective and a synthesiser, the
    error that it sends into its module), an objective's `labels` and `image`, and of a unit with contexts the `image`
    and the input of the module `below`, as these contexts encode them. Recorded are `activation` and
    `update` (the gradients that the optimiser receives).
    """

    what: What
    module: int
    part: Part


Hashes = dict[Site, list[tuple[bytes, ...]]]  # for each site, the hashes of each iteration
Batches = Sequence[tuple[Array, Array]]


@dataclass(frozen=True)
class Subject:
    """What is measured: a rule on a network, on these batches, in an epoch that decides its phase, on a device."""

    net: Net
    rule: Rule
    modules: int | Sequence[int]
    batches: Batches
    epoch: int = 0
    device: Any = "cpu"

    def learner(self, optimizer: Any = None) -> Learner:
        """A new Learner, always with the same weights. No array is 0, since a weight of 0 passes no error."""
        with warnings.catch_warnings(action="ignore"):  # it is built for each run, and would warn each time
            learner = Learner(
                self.net, self.rule, self.modules, rng=streams.rng(1), dtype="float64", optimizer=optimizer,
                device=self.device, cuda_graph=False,  # a recorded step would call no hook
            )  # fmt: skip
        learner.epoch = self.epoch
        with learner.on_device:
            for name, w in learner.parameters().items():
                w += namespace(w).asarray(0.1 * stream(7, name).standard_normal(w.shape))
        return learner


@dataclass
class PerturbedRun:
    """One training run that records hashes; `perturbed` gets noise from iteration `start` on."""

    subject: Subject
    perturbed: Site | None = None
    start: int = 0
    moving: bool = False
    hashes: Hashes = field(default_factory=dict)

    def run(self) -> Hashes:
        """Train on all batches, and return the hashes of every site, iteration by iteration."""
        learner = self.subject.learner(_RecordingOptimizer(self))
        self.owners = owners(learner)
        self.names = {id(w): name for name, w in learner.parameters().items()}
        for k, module in enumerate(learner.modules):
            module.hooks.append(_PerturbingHook(self, k))
        for now, batch in enumerate(self.subject.batches):
            x, y = (to_device(a, learner.device) for a in batch)
            self.now = now
            if now == self.start and self.perturbed is not None and self.perturbed.what == "weights":
                with learner.on_device:
                    for name, w in learner.parameters().items():
                        if self.owners[name] == self.perturbed[1:]:
                            w += self.noise(w, 1e-3)
            learner.step(x, y, lr=0.01)
        return self.hashes

    def record(self, site: Site, a: Array) -> None:
        """Append the hash of `a` to the site's iteration; -0 and 0 are equal.

        Raises: FloatingPointError where `a` is not finite: NaNs are equal whatever they were computed from.
        """
        on_host = to_host(a)
        if not np.isfinite(on_host).all():
            raise FloatingPointError(f"{site} is no longer finite, so its influences cannot be told apart")
        iterations = self.hashes.setdefault(site, [()] * len(self.subject.batches))
        iterations[self.now] += (hashlib.blake2b((on_host + 0.0).tobytes(), digest_size=8).digest(),)

    def perturb(self, site: Site, a: Array) -> Array:
        """`a` with noise, if `site` is perturbed in this iteration; else `a` itself."""
        return a + self.noise(a, 1e-9) if self.is_perturbed(site) else a

    def is_perturbed(self, site: Site) -> bool:
        """Whether this site is perturbed in this iteration."""
        return site == self.perturbed and self.now >= self.start

    def noise(self, a: Array, least: float) -> Array:
        """Gaussian noise of 0.3 times the root mean square of `a`, or of `least` where that is larger."""
        scale = max(least, 0.3 * float(np.sqrt(to_host((a * a).mean()))))
        return namespace(a).asarray(scale * stream(11, "perturbation", step=self.now).standard_normal(a.shape))


@dataclass(frozen=True)
class _RecordingOptimizer:
    """Records each gradient. In a moving run it also updates, as Adam."""

    run: PerturbedRun

    def update(self, updates: Sequence[Update], lr: float | Array) -> None:
        for w, g, _ in updates:
            self.run.record(Site("update", *self.run.owners[self.run.names[id(w)]]), g)
        if self.run.moving:
            Adam().update(updates, lr)  # steps of bounded size: nothing diverges, and no influence underflows


class _PerturbingHook(Hook):
    """Perturbs and records the activations and errors of module k."""

    def __init__(self, run: PerturbedRun, k: int) -> None:
        self.run, self.k = run, k

    def replace_batch(self, part: Part, batch: Batch) -> Batch:
        if self.run.is_perturbed(Site("image", self.k, part)):
            return Batch(batch.x + self.run.noise(batch.x, 1e-3), batch.y)
        if self.run.is_perturbed(Site("labels", self.k, part)):
            return Batch(batch.x, (batch.y + 1) % self.run.subject.net.classes)
        return batch

    def replace_source(self, source: Source, value: Array) -> Array:
        return self.run.perturb(Site(source, self.k, 0), value)

    def after_forward(self, part: Part, out: Array, cache: Any) -> Array:
        if part == "synthesiser":
            return self.run.perturb(Site("error", self.k, part), out)
        if part == "objective":
            return out
        site = Site("activation", self.k, part)
        out = self.run.perturb(site, out)
        self.run.record(site, out)
        return out

    def after_backward(self, part: Part, error: Array | None, grads: Gradients) -> Array | None:
        return None if error is None else self.run.perturb(Site("error", self.k, part), error)


def owners(learner: Learner) -> dict[str, tuple[int, Part]]:
    """{parameter: (module, part)}: the unit, objective or synthesiser that each parameter belongs to."""
    owner: dict[str, tuple[int, Part]] = {}
    for k, module in enumerate(learner.modules):
        parts: dict[Part, Any] = dict(enumerate(module.units))
        parts |= {"objective": module.objective, "synthesiser": module.synthesiser}
        for part, layer in parts.items():
            if layer is not None:
                owner |= dict.fromkeys(layer.parameters, (k, part))
    return owner


def first_difference(plain: Hashes, perturbed: Hashes, start: int) -> dict[Site, int]:
    """{site: iterations from `start` to the first one in which the runs differ}, without the sites that never differ.

    Raises: AssertionError where they differ before `start`.
    """
    lags = {}
    for site in plain.keys() | perturbed.keys():
        pairs = zip(plain.get(site, ()), perturbed.get(site, ()), strict=True)
        first = next((t for t, (a, b) in enumerate(pairs) if a != b), None)
        if first is not None:
            assert first >= start, f"{site} differed before the perturbation: the two runs are not the same training"
            lags[site] = first - start
    return lags
