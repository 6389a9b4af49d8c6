"""A rule of your own, certified: its gradients, its limits, its locality, and that a run can be repeated.

The gradients are compared with what the boundary's answers promise (`minilocal.verify.promise`): by JAX where it is
installed and knows all parts of the rule, else by finite differences along random directions.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minilocal import boundaries, inputs, locality, rules, streams
from minilocal.array import Array, to_host
from minilocal.device import to_device
from minilocal.errors import UserError
from minilocal.kernels.threads import partition
from minilocal.layers import PassContext
from minilocal.learner import Learner
from minilocal.locality.influence import toy_net
from minilocal.nets import Net
from minilocal.objectives import Batch
from minilocal.objectives.base import ClassifierLoss
from minilocal.rules import Rule
from minilocal.verify.compare import DOUBLE, errors
from minilocal.verify.promise import factors, promised, slopes
from minilocal.verify.small_nets import randomise

IMAGES = 6
STEPS = 10
LR = 0.05
SAME = "bit for bit"


@dataclass(frozen=True)
class Claim:
    """One line of a certificate: what is claimed, what was found, and whether the claim holds."""

    what: str
    result: str
    holds: bool


@dataclass(frozen=True, repr=False)
class Certificate:
    """What `certify` found; true where every claim holds, and printed, a table.

    Attributes:
        rule: its name.
        claims: the lines of the table.
        promised: {phase: c (units, K)}, the factor of each loss's plain gradient in each unit; (units, 2K) where an
            objective has two heads.
        losses: (10, K), of ten steps that are the same every time; NaN where a module has none. A test may keep them.
    """

    rule: str
    claims: tuple[Claim, ...]
    promised: dict[str, np.ndarray] = field(compare=False)
    losses: np.ndarray = field(compare=False)

    def __bool__(self) -> bool:
        return all(claim.holds for claim in self.claims)

    def __repr__(self) -> str:
        kept = sum(claim.holds for claim in self.claims)
        wide = max(len(claim.what) for claim in self.claims)
        lines = [f"{self.rule}: {kept} of {len(self.claims)} claims hold"]
        lines += [f"{'yes' if c.holds else 'NO':4}{c.what:{wide}}  {c.result}" for c in self.claims]
        for phase, rows in self.promised.items():
            lines += [f"what it promises{f' in {phase}' if phase else ''}, unit by unit:"]
            lines += [f"    unit {u}   {_sum(row, self.losses.shape[1])}" for u, row in enumerate(rows, 1)]
        return "\n".join(lines)


def certify(
    rule: Rule, net: Net | None = None, modules: int | Sequence[int] = 3, *, device: Any = "cpu"
) -> Certificate:
    """Check a rule whose errors arrive within the step, on `net` (7 small convolutions by default) in `modules`.

    It is trained on `device`; what is promised is computed on the host.

        gradients     of all units and auxiliary networks are those that the boundary's answers promise:
                      to 1e-9 of JAX's, else within the bound of finite differences
        limits        with weights (1, 0) the rule is its own with boundary=closed, and with one module BP; where it
                      keeps inputs, keep="caches" has the same gradients
        locality      what crosses each boundary is what the rule says (`minilocal.locality.measure`)
        repetition    ten steps twice, and once with a copy in between, give the same losses; else nothing is compared

    >>> import minilocal as ml
    >>> net = ml.nets.mlp((6, 5), classes=3, channels=1, size=2, rng=ml.rng(0))
    >>> bool(ml.verify.certify(ml.rules.gll(), net))
    True

    Raises: UserError for anything but a rule; for delays, synthetic gradients and asynchronous modules, whose gradients
    belong to other batches; for fewer than two modules; where rule, net and modules do not fit; for a missing device.
    """
    rule = inputs.training_rule(rule)
    subject = _Subject(rule, net or toy_net(), modules, device)
    if rule.boundary.delayed or rule.when.engine != "synchronous" or subject.synthesises:
        raise UserError(
            f"{rule.name}: certify takes rules whose errors arrive within the step; minilocal locality measures what "
            "crosses the boundaries of all others."
        )
    losses, repeated = _repetition(subject)
    if not all(claim.holds for claim in repeated):
        return Certificate(
            rule.name, (*repeated, Claim("all else", "two runs differ: nothing to compare", False)), {}, losses
        )
    measured = locality.measure(rule, subject.net, modules, device=device)
    phases = {phase: subject.learner(epoch=epoch) for phase, epoch in locality.phases(rule).items()}
    claims = [claim for phase, learner in phases.items() for claim in _gradients(learner, subject.batch(), phase)]
    claims += [*_limits(subject), *map(_locality, measured), *repeated]
    rows = {phase: promised(rule, one.modules, _is_global(one)) for phase, one in phases.items()}
    return Certificate(rule.name, tuple(claims), rows, losses)


@dataclass(frozen=True)
class _Subject:
    rule: Rule
    net: Net
    modules: int | Sequence[int]
    device: Any

    def learner(self, rule: Rule | None = None, modules: int | Sequence[int] = 0, epoch: int = 0) -> Learner:
        """A new Learner in float64, always with the same weights."""
        with warnings.catch_warnings(action="ignore"):  # a link longer than a module was chosen to be tried
            learner = Learner(
                self.net, rule or self.rule, modules or self.modules, rng=streams.rng(0), dtype="float64",
                device=self.device,
            )  # fmt: skip
        randomise(learner)
        learner.epoch = epoch
        return learner

    @property
    def synthesises(self) -> bool:
        return any(module.synthesiser is not None for module in self.learner().modules)

    def batch(self, step: int = 0) -> Batch:
        """Random images and labels; two images have one label, without which a contrastive loss is 0."""
        random = streams.stream(step, "certify")
        y = random.integers(0, self.net.classes, IMAGES)
        y[1] = y[0]
        return Batch(random.standard_normal((IMAGES, *self.net.shape)), y)


def _is_global(learner: Learner) -> bool:
    return learner.rule.when.is_global(learner.epoch)


def _passes(learner: Learner) -> bool:
    """Whether errors pass through whole modules, and so through what contexts encode."""
    return learner.rule.boundary.passes_on or _is_global(learner)


def _parts(learner: Learner, batch: Batch) -> Iterator[tuple[float, Batch, PassContext]]:
    """(share, images and labels, context) of each micro-batch."""
    ctx, number = PassContext(key=learner.key, epoch=learner.epoch), learner.rule.accumulate
    parts = partition(len(batch.x), number)
    for part, (i, j) in enumerate(parts):
        yield (j - i) / len(batch.x), Batch(batch.x[i:j], batch.y[i:j]), replace(ctx, part=part)


def _moved(batch: Batch, learner: Learner) -> Batch:
    """The batch on the Learner's device."""
    return Batch(*(to_device(a, learner.device) for a in batch))


def _of_learner(learner: Learner, batch: Batch) -> tuple[Array, dict[str, Array]]:
    """The Learner's losses and gradients of a batch on the host."""
    return learner.gradients(*_moved(batch, learner))


def _gradients(learner: Learner, batch: Batch, phase: str) -> Iterator[Claim]:
    """Units and auxiliary networks, each against what is promised."""
    ours = {name: to_host(g) for name, g in _of_learner(learner, batch)[1].items()}
    expected = factors(learner.rule, learner.modules, _is_global(learner))
    of_units = {name for module in learner.modules for name in module.parameters()}
    by_jax, why = _by_jax(learner, batch, expected)
    for kind, names in (("units", of_units), ("the losses' weights", expected.keys() - of_units)):
        what = f"gradients of {kind}" + f", {phase}" * bool(phase)
        some = {name: ours.get(name, np.zeros(())) for name in sorted(names)}
        if not some:
            continue
        if by_jax is None:
            yield _by_differences(learner, batch, expected, some, what, why)
        else:
            error = max(errors(some, {name: by_jax[name] for name in some}).values())
            yield Claim(what, f"{error:.0e} from JAX's, {DOUBLE:.0e} allowed", error <= DOUBLE)


def _by_jax(learner: Learner, batch: Batch, c: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray] | None, str]:
    """The promised gradients; None and the reason where JAX is missing, or does not know a part of the rule."""
    try:
        from minilocal.verify.jax_cpu import jax_on_cpu
        from minilocal.verify.reference.missing import NoReference
        from minilocal.verify.reference.plain import plain_gradients
    except UserError:
        return None, "JAX is not installed"
    weights, buffers = (
        {name: np.asarray(to_host(a)) for name, a in of.items()} for of in (learner.parameters(), learner.buffers())
    )
    total = {name: np.zeros_like(w) for name, w in weights.items()}
    try:
        with jax_on_cpu():
            for share, (x, y), ctx in _parts(learner, batch):
                plain = plain_gradients(learner.modules, weights, buffers, x, y, ctx, _passes(learner))
                for name in total:
                    total[name] += share * sum(factor * plain[m][name] for m, factor in enumerate(c[name]) if factor)
    except NoReference as missing:
        return None, f"{missing.part} has no form in JAX"
    return total, ""


def _by_differences(
    learner: Learner, batch: Batch, c: dict[str, np.ndarray], ours: dict[str, np.ndarray], what: str, why: str
) -> Claim:
    """Along a random direction in each array; of several the one with the narrowest bound."""
    p = {name: to_host(a) for name, a in {**learner.parameters(), **learner.buffers()}.items()}
    worst, allowed, share_of_bound = 0.0, 0.0, -1.0
    for name, g in ours.items():
        of_parts = [
            [
                (v, share * D, share * bound)
                for v, D, bound in slopes(learner.modules, p, name, part, ctx, _passes(learner))
            ]
            for share, part, ctx in _parts(learner, batch)
        ]
        tried = []
        for directions in zip(*of_parts, strict=True):
            v = directions[0][0]
            D, bound = (sum(one[i] for one in directions) for i in (1, 2))
            tried.append((float(np.abs(c[name]) @ bound), abs(float((g * v).sum()) - float(c[name] @ D))))
        bound, difference = min(tried)
        if difference > share_of_bound * bound or share_of_bound < 0:
            worst, allowed, share_of_bound = difference, bound, difference / bound if bound else float(difference > 0)
    result = f"{worst:.0e} from finite differences, {allowed:.0e} allowed ({why})"
    return Claim(what, result, share_of_bound <= 1)


def _limits(subject: _Subject) -> Iterator[Claim]:
    """What the rule becomes where only one of its answers matters."""
    rule, learner = subject.rule, subject.learner()
    sizes = [len(module.units) for module in learner.modules]
    if rule.objective.is_local and not rule.objective.divides and any(map(rule.boundary.linked_units, sizes[:-1])):
        silent = copy.copy(rule.boundary)
        object.__setattr__(silent, "weights", lambda j: (1.0, 0.0))
        closed = replace(rule, boundary=boundaries.closed(), keep="caches", when=rules.when.always())
        yield _same(
            "weights (1, 0): boundary=closed", subject, replace(rule, boundary=silent, when=rules.when.always()), closed
        )
    if isinstance(learner.modules[-1].objective, ClassifierLoss):
        yield _same("one module: BP", subject, rule, rules.bp(accumulate=rule.accumulate), modules=1)
    if rule.keep == "inputs":
        yield _same('keep="inputs": keep="caches"', subject, rule, replace(rule, keep="caches"))


def _same(what: str, subject: _Subject, one: Rule, other: Rule, modules: int = 0) -> Claim:
    """Whether two rules have the same gradients, bit for bit."""
    pair = [_of_learner(subject.learner(rule, modules), subject.batch())[1] for rule in (one, other)]
    differ = [name for name in pair[1] if not np.array_equal(to_host(pair[0][name]), to_host(pair[1][name]))]
    return Claim(what, f"{differ[0]} differs" if differ else SAME, not differ)


def _locality(measured: locality.Locality) -> Claim:
    forward, update, backward = measured.locks
    what = "locality is as it says" + f", {measured.phase}" * bool(measured.phase)
    locks = f"forward lock {forward}, update lock {update}, backward lock {backward}"
    return Claim(what, "; ".join(measured.disagreements) or locks, not measured.disagreements)


def _repetition(subject: _Subject) -> tuple[np.ndarray, list[Claim]]:
    """(the losses of ten steps, whether they are the same again, and with a copy in between)."""

    def steps(learner: Learner, numbers: range) -> tuple[Learner, list[np.ndarray]]:
        return learner, [to_host(learner.step(*_moved(subject.batch(n), learner), lr=LR)) for n in numbers]

    half = STEPS // 2
    once, again = (np.array(steps(subject.learner(), range(STEPS))[1]) for _ in range(2))
    first, before = steps(subject.learner(), range(half))
    copied = np.array(before + steps(copy.deepcopy(first), range(half, STEPS))[1])
    return once, [
        Claim(what, SAME if same else "the losses differ", same)
        for what, same in (
            ("ten steps, twice", np.array_equal(once, again, equal_nan=True)),
            ("ten steps, copied after five", np.array_equal(once, copied, equal_nan=True)),
        )
    ]


def _sum(row: np.ndarray, K: int) -> str:
    """0.5 ∂L_1 + 0.5 ∂L_2; of two heads, the own one's loss is L_1,own."""
    names = [f"∂L_{m % K + 1}" + ",own" * (m >= K) for m in range(len(row))]
    return " + ".join(f"{'' if c == 1 else f'{c:.4g} '}{name}" for name, c in zip(names, row, strict=True) if c) or (
        "nothing"
    )
