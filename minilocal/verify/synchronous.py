"""How a rule's gradients are compared with those of the one stop-gradient loss that defines the rule.

In float32 the reference is autograd in float64 on the same float32 numbers, and the measure is the error of autograd's
own float32 run against it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from minilocal import boundaries, objectives, rules, streams
from minilocal.array import to_host
from minilocal.boundaries import Boundary
from minilocal.layers import PassContext
from minilocal.learner import Learner
from minilocal.objectives import ObjectiveSpec
from minilocal.rules import Rule
from minilocal.verify.compare import Result, errors
from minilocal.verify.jax_cpu import jax_on_cpu
from minilocal.verify.reference import synchronous as reference
from minilocal.verify.small_nets import network, randomise

BATCH = 4
AGAINST = "jax.grad of its stop-gradient loss"


@dataclass(frozen=True)
class RuleCase:
    """A rule on a small network cut into K modules, in one epoch; labels are random unless they are given."""

    name: str
    rule: Rule
    net: str
    modules: int
    is_global: bool = False
    labels: tuple[int, ...] | None = None

    def __str__(self) -> str:
        return f"{self.name}, {self.net}, K={self.modules}" + ", a global epoch" * self.is_global


def named(rule: str, net: str = "resnet8", modules: int = 2, **options: Any) -> RuleCase:
    """The case of a rule by its name and options."""
    text = ", ".join(f"{key}={value}" for key, value in options.items())
    return RuleCase(f"{rule}({text})", rules.get(rule, **options), net, modules)


def learner(case: RuleCase, dtype: str = "float64", **options: Any) -> Learner:
    """A Learner of this case, its arrays random."""
    with warnings.catch_warnings(action="ignore"):  # of links longer than a module: intended here
        learner = Learner(network(case.net), case.rule, case.modules, rng=streams.rng(0), dtype=dtype, **options)
    randomise(learner)
    return learner


def batch(case: RuleCase, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    """Images and labels; the images are rounded to float32 in every type."""
    net, rng = network(case.net), streams.rng(1)
    x = rng.standard_normal((len(case.labels or range(BATCH)), *net.shape)).astype("float32").astype(dtype)
    return x, rng.integers(net.classes, size=BATCH) if case.labels is None else np.array(case.labels)


def by_engine(case: RuleCase, learner: Learner, dtype: str = "float64") -> dict[str, np.ndarray]:
    """Losses and gradients of the engine."""
    losses, grads = learner.gradients(*batch(case, dtype))
    return {"losses": _without_nan(to_host(losses)), **{name: to_host(g) for name, g in grads.items()}}


def by_jax(case: RuleCase, learner: Learner, dtype: str = "float64") -> dict[str, np.ndarray]:
    """Losses and gradients of the rule's reference at the Learner's weights, computed in `dtype`."""
    weights, buffers = (
        {name: np.asarray(a, dtype) for name, a in arrays.items()}
        for arrays in (learner.parameters(), learner.buffers())
    )
    ctx = PassContext(key=learner.key, epoch=learner.epoch)
    modules = _modules(
        case.net, case.modules, case.rule.objective, case.rule.context, _what_stands_behind(case.rule.boundary)
    )
    with jax_on_cpu(dtype):
        losses, grads = reference.gradients(
            case.rule, modules, weights, buffers, *batch(case, dtype), ctx, case.is_global
        )
    return {"losses": _without_nan(to_host(losses)), **{name: to_host(g) for name, g in grads.items()}}


def _what_stands_behind(boundary: Boundary) -> Boundary:
    """The boundary that gives modules the same parts: closed, where this one adds none behind their outputs."""
    return boundaries.closed() if boundary.averages is None else boundary


@lru_cache(maxsize=64)
def _modules(
    net: str, modules: int, objective: ObjectiveSpec, context: boundaries.context, boundary: Boundary
) -> list[Any]:
    """The modules of one Learner for all rules with these answers, so that JAX compiles their references once."""
    boundary = boundaries.open() if objective == objectives.none() else boundary
    rule = rules.compose(objective=objective, boundary=boundary, context=context)
    with warnings.catch_warnings(action="ignore"):
        return Learner(network(net), rule, modules, rng=streams.rng(0)).modules


def _without_nan(losses: np.ndarray) -> np.ndarray:
    """-1 for modules that have no loss."""
    return np.nan_to_num(losses, nan=-1.0)


def relative_errors(case: RuleCase, dtype: str = "float64") -> dict[str, float]:
    """The error of the losses, and of every gradient by name of its parameter."""
    ours = learner(case, dtype)
    return errors(by_engine(case, ours, dtype), by_jax(case, ours, dtype))


def single_precision(case: RuleCase) -> tuple[float, float]:
    """In float32: (the engine's largest relative error, autograd's own), both against autograd in float64."""
    ours = learner(case, "float32")
    exact = by_jax(case, ours)
    engine, jax = by_engine(case, ours, "float32"), by_jax(case, ours, "float32")
    return max(errors(engine, exact).values()), max(errors(jax, exact).values())


def row(kind: str, name: str, cases: list[RuleCase]) -> Result:
    """One row of the table: the largest error among these cases."""
    error, worst = max((e, f"{case}: {array}") for case in cases for array, e in relative_errors(case).items())
    return Result(kind, name, AGAINST, len(cases), error, worst=worst)
