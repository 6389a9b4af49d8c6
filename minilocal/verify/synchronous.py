"""Every rule's gradients against the one stop-gradient loss whose gradient they are.

The weights are the initial ones shaken, so that no scale is 1 and no shift 0. In float32 the reference is autograd in
float64 on the same float32 numbers, and the measure is what autograd's own float32 run loses against it.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from minilocal import nets, streams
from minilocal import rules as hand
from minilocal.layers import Dropout, Flatten, Initializer, Layer, Linear, PassContext, ReLU, Sequential
from minilocal.learner import Learner
from minilocal.verify.compare import OWN, Result, errors
from minilocal.verify.jax_cpu import jax_on_cpu
from minilocal.verify.layers import random_like
from minilocal.verify.reference import rules as twins


def with_dropout(rng: np.random.Generator) -> nets.Net:
    """A network whose second and third unit drop out, the way fully connected units do."""
    initial, widths = Initializer.of(rng), [18, 9, 8, 7, 4]
    units: list[Layer] = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        first: list[Layer] = [Flatten() if i == 0 else Dropout(0.3, name=f"drop.{i}")]
        units.append(Sequential([*first, Linear(inputs, outputs, initial, name=f"layers.{i}"), ReLU()]))
    return nets.Net("dropout", units, Sequential([]), 4, (3, 3, 2), initial)


NETS: dict[str, Any] = {
    "dropout": with_dropout,
    "mlp": lambda rng: nets.mlp((7, 6, 5, 6), classes=4, channels=2, size=3, rng=rng),
    "resnet8": lambda rng: nets.resnet(8, classes=4, size=8, rng=rng),
}
BATCH = 4


@dataclass(frozen=True)
class Case:
    """A rule, by name and options, on a small network cut into K modules."""

    rule: str
    options: tuple[tuple[str, Any], ...] = ()
    net: str = "resnet8"
    modules: int = 2
    seed: int = 0

    def __str__(self) -> str:
        options = ", ".join(f"{key}={value}" for key, value in self.options)
        return f"{self.rule}({options}), {self.net}, K={self.modules}"


@lru_cache(maxsize=32)
def network(name: str, seed: int) -> nets.Net:
    """One of the small networks; the same object each time, so that its twins are compiled once."""
    return NETS[name](streams.rng(seed))


def learner(case: Case, dtype: str = "float64") -> Learner:
    """A Learner of this case, its arrays shaken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of lengths past a module's floor: a case here, not a mistake
        rule = hand.get(case.rule, **dict(case.options))
        made = Learner(network(case.net, case.seed), rule, case.modules, rng=streams.rng(case.seed), dtype=dtype)
    randomise(made, case.seed)
    return made


def randomise(made: Learner, seed: int) -> None:
    """Random numbers around the initial ones, the same for the same name in every Learner and type."""
    for number, (name, a) in enumerate(sorted({**made.parameters(), **made.buffers()}.items())):
        made.load(
            {name: random_like(name, np.asarray(a, "float64"), streams.rng(1000 * seed + number)).astype("float32")}
        )


def batch(case: Case, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, the same, rounded to float32, in every type."""
    net, rng = network(case.net, case.seed), streams.rng(case.seed + 1)
    x = rng.standard_normal((BATCH, *net.shape)).astype("float32").astype(dtype)
    return x, rng.integers(net.classes, size=BATCH)


@lru_cache(maxsize=64)
def _parts(net: str, modules: int, seed: int, aux: str | None) -> list[twins.Part]:
    """What stands where, from one Learner for all rules: its layers tell geometry and names only."""
    rule = hand.bp() if aux is None else hand.gll(aux=aux)
    return twins.parts(Learner(network(net, seed), rule, modules, rng=streams.rng(seed)))


def by_autograd(case: Case, made: Learner, dtype: str = "float64") -> dict[str, np.ndarray]:
    """Losses and gradients of the rule's twin at the Learner's present weights, computed in `dtype`."""
    x, y = batch(case, dtype)
    options = dict(case.options)
    net = _parts(case.net, case.modules, case.seed, None if case.rule == "bp" else options.get("aux", "0c1f"))
    p = {name: np.asarray(a, dtype) for name, a in {**made.parameters(), **made.buffers()}.items()}
    m = options.get("accumulate", 1)

    def twin(p: Any, part: int) -> Any:
        i, j = part * BATCH // m, (part + 1) * BATCH // m
        given = net, p, x[i:j], y[i:j], PassContext(key=made.key, epoch=made.epoch, part=part)
        if case.rule == "backlink":
            how: dict[str, Any] = {"length": 1, "alpha": 0.5, "weighting": "literal", "error": "own"} | options
            return twins.backlink(*given, **{key: how[key] for key in ("length", "alpha", "weighting", "error")})
        return {"bp": twins.bp, "gll": twins.gll}[case.rule](*given)

    total: dict[str, Any] = {}
    with jax_on_cpu(dtype):
        for part in range(m):
            losses, grads = twins.gradients(lambda p, part=part: twin(p, part), p, list(made.parameters()))
            found = {"losses": np.nan_to_num(np.asarray([float(x) for x in losses]), nan=-1.0), **grads}
            total = {name: total.get(name, 0) + np.asarray(a) / m for name, a in found.items()}
    return total


def by_hand(case: Case, made: Learner, dtype: str = "float64") -> dict[str, np.ndarray]:
    """Losses and gradients of the engine."""
    losses, grads = made.gradients(*batch(case, dtype))
    return {"losses": np.nan_to_num(losses, nan=-1.0), **grads}


def gap(case: Case) -> dict[str, float]:
    """Relative errors in float64, by name of the parameter."""
    made = learner(case)
    return errors(by_hand(case, made), by_autograd(case, made))


def single(case: Case) -> tuple[float, float]:
    """In float32: (our largest relative error, autograd's own), both against autograd in float64."""
    made = learner(case, "float32")
    truth = by_autograd(case, made)
    ours, theirs = by_hand(case, made, "float32"), by_autograd(case, made, "float32")
    return max(errors(ours, truth).values()), max(errors(theirs, truth).values())


def _backlink(**options: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(options.items())


CASES = {
    "BP": [
        *(Case("bp", net=net, modules=K) for net in NETS for K in (1, 3)),
        Case("bp", (("keep", "inputs"),), "dropout", 2),
        Case("bp", (("keep", "inputs"),), modules=3),
        Case("bp", (("accumulate", 2),), modules=2),
    ],
    "GLL": [
        *(Case("gll", net=net, modules=K) for net in NETS for K in (1, 2, 4)),
        *(Case("gll", (("aux", aux),), modules=3) for aux in ("1c2f", "0c2f", "aux-adapt")),
    ],
    "BackLink, literal": [
        *(
            Case("backlink", _backlink(length=l, alpha=alpha, weighting="literal"), net, K)
            for net, K, l in (
                ("mlp", 2, 2),
                ("mlp", 3, 1),
                ("mlp", 5, 1),
                ("resnet8", 2, 1),
                ("resnet8", 2, 2),
                ("resnet8", 3, 1),
            )
            for alpha in (0.0, 0.25, 1.0)
        ),
        Case("backlink", _backlink(length=2, alpha=0.25, weighting="literal", keep="inputs"), "resnet8", 2),
        Case("backlink", _backlink(length=3, alpha=0.25, weighting="literal"), "resnet8", 4),
        Case("backlink", _backlink(length=2, alpha=0.25, keep="inputs"), "dropout", 2),
    ],
    "BackLink, unfolded": [
        *(
            Case("backlink", _backlink(length=l, alpha=alpha, weighting="unfolded"), net, K)
            for net, K, l in (("mlp", 2, 2), ("mlp", 3, 2), ("resnet8", 2, 2), ("resnet8", 3, 1))
            for alpha in (0.0, 0.25, 1.0)
        ),
        Case("backlink", _backlink(length=2, alpha=0.25, weighting="unfolded", aux="1c2f"), "resnet8", 2),
    ],
    **{
        f"BackLink, {error}": [
            Case("backlink", _backlink(length=l, alpha=alpha, weighting=weighting, error=error), net, K)
            for net, K, l, alpha, weighting in (
                ("mlp", 5, 1, 0.25, "literal"),
                ("mlp", 3, 2, 0.25, "literal"),
                ("mlp", 3, "module", 0.25, "unfolded"),
                ("mlp", 5, 1, 0.0, "literal"),
                ("resnet8", 4, 1, 0.25, "literal"),
                ("resnet8", 2, 2, 0.25, "literal"),
                ("dropout", 4, "module", 0.5, "literal"),
            )
        ]
        for error in ("own-scaled", "total")
    },
}
SINGLE = [
    Case("bp", modules=1),
    Case("gll", modules=4),
    Case("backlink", _backlink(length=2, alpha=0.25), modules=2),
]


def run(quick: bool = False) -> Iterator[Result]:
    """One row for each rule in float64, then one for each in float32."""
    for name, cases in CASES.items():
        chosen = cases[::2] if quick else cases
        error, worst = max((e, f"{case}: {array}") for case in chosen for array, e in gap(case).items())
        yield Result("rules", name, "jax.grad of its stop-gradient loss", len(chosen), error, worst=worst)
    for case in SINGLE[-1:] if quick else SINGLE:
        ours, theirs = single(case)
        yield Result(
            "rules", f"{case.rule}, float32", f"{OWN} × JAX's own float32 error", 1, ours, OWN * theirs, str(case)
        )
