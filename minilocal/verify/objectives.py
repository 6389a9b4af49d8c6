"""Rules whose modules want more than labels, guided rules, and compositions, against their stop-gradient losses."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from minilocal import boundaries as boundaries
from minilocal import nets, rules, streams
from minilocal import objectives as objectives
from minilocal.layers import Conv, Flatten, GlobalAveragePool, Initializer, Linear, Sequential
from minilocal.layers.norm import BatchNormReLU
from minilocal.learner import Learner
from minilocal.rules import Rule, compose
from minilocal.rules.when import periodic
from minilocal.verify.compare import Result, errors
from minilocal.verify.jax_cpu import jax_on_cpu
from minilocal.verify.reference.composed import by_autograd
from minilocal.verify.synchronous import randomise

BATCH = 6
LAMBDAS = (5.0, 0.5, 0.25, 2.0)


@dataclass(frozen=True)
class Case:
    """A rule by its answers, on a small network cut into K modules, in one epoch."""

    name: str
    make: Callable[[], Rule]
    modules: int = 3
    net: str = "convolutions"
    is_global: bool = False

    def __str__(self) -> str:
        return f"{self.name}, {self.net}, K={self.modules}" + ", a global epoch" * self.is_global


def learner(case: Case, dtype: str = "float64") -> Learner:
    """A Learner of this case, its arrays shaken."""
    with warnings.catch_warnings(action="ignore"):  # of convolutions left out behind vectors: a case here, no mistake
        made = Learner(network(case.net), case.make(), case.modules, rng=streams.rng(0), dtype=dtype)
    randomise(made, 0)
    return made


@lru_cache
def network(name: str) -> nets.Net:
    """Four units: convolutions, or vectors; the same object each time, so that its twins are compiled once.

    "few pixels" are images of 2×2: a mean over many makes samples alike, and a batch norm behind magnifies round-off.
    """
    if name == "mlp":
        return nets.mlp((7, 6, 8), classes=4, channels=2, size=3, rng=streams.rng(0))
    initial = Initializer(0)
    units = [
        Sequential([Conv(i, o, 3, initial, stride=s, pad=1, name=f"u{n}.0"), BatchNormReLU(o, initial, name=f"u{n}.1")])
        for n, (i, o, s) in enumerate([(3, 4, 1), (4, 6, 2), (6, 6, 1), (6, 8, 2)])
    ]
    head = Sequential([GlobalAveragePool(), Flatten(), Linear(8, 4, initial, name="fc")])
    side = 2 if name == "few pixels" else 8
    return nets.Net(name, list(units), head, 4, (side, side, 3), initial)


def batch(net: nets.Net, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    """Images and labels; one label stands alone, so that one anchor of a contrast has no positive."""
    x = streams.rng(1).standard_normal((BATCH, *net.shape)).astype("float32").astype(dtype)
    return x, np.array([0, 1, 1, 0, 2, 1])


def gap(case: Case, dtype: str = "float64") -> dict[str, float]:
    """Relative errors of losses and gradients, by name of the parameter."""
    made = learner(case, dtype)
    x, y = batch(made.net, dtype)
    losses, grads = made.gradients(x, y)
    with jax_on_cpu(dtype):
        values, slopes = by_autograd(made, x, y, case.is_global)
        return errors({"losses": losses, **grads}, {"losses": np.asarray([float(v) for v in values]), **slopes})


def _infopro(**options: Any) -> Any:
    return objectives.infopro(LAMBDAS, **options)


def _guided(**options: Any) -> Callable[[], Rule]:
    """Under guidance in every epoch, the first too."""
    return lambda: rules.pgl(period=1, duration=1, **options)


CASES = {
    "DGL": [
        Case(aux, lambda aux=aux: rules.dgl(aux=aux), K)  # type: ignore[misc]
        for aux, K in (("mlp-sr", 3), ("mlp-sr-auglocal", 2), ("mlp", 2), ("cnn", 3))
    ]
    + [Case("mlp-sr", rules.dgl, 3, "mlp")],
    "PredSim": [
        Case("β 0.99", rules.predsim, 3),
        Case("β 0.99", rules.predsim, 4, "mlp"),
        Case("β 0.6, few features", lambda: rules.predsim(beta=0.6, dim_in_decoder=50, zero=False), 2),
        Case("β 0", lambda: rules.predsim(beta=0.0), 2),
        Case("β 1, the last loss at 1-β", lambda: rules.predsim(beta=1.0, final_weight="1-beta"), 2),
        Case("the last loss at 1-β", lambda: rules.predsim(beta=0.7, final_weight="1-beta"), 2),
    ],
    "InfoPro, softmax": [
        *(Case("four λ", lambda: rules.infopro(lambdas=LAMBDAS), K) for K in (2, 4)),
        Case("published λ, some of them 0", rules.infopro, 3),
        Case("own mean", lambda: rules.infopro(lambdas=LAMBDAS, mean=0.5, std=[0.4, 0.5, 0.6], aux="0c1f"), 3),
    ],
    "InfoPro, contrast": [
        Case("τ 0.07", lambda: rules.infopro(lambdas=LAMBDAS, version="contrast"), 3),
        Case("τ 0.5", lambda: rules.infopro(lambdas=LAMBDAS, version="contrast", temperature=0.5, aux="0c2f"), 2),
    ],
    "PGL": [
        Case("AUX-ADAPT", rules.pgl, 3),
        *(Case("AUX-ADAPT", _guided(), K, is_global=True) for K in (2, 4)),
        Case("0c1f", _guided(aux="0c1f"), 3, "mlp", True),
    ],
    "BackLink and InfoPro": [
        Case("l 1", lambda: compose(objective=_infopro(aux="0c1f"), boundary=boundaries.link(1)), 3),
        Case(
            "l 2, contrast",
            lambda: compose(objective=_infopro(version="contrast"), boundary=boundaries.link(2, 0.25)),
            2,
        ),
    ],
    "BackLink and PredSim": [
        Case("l 1", lambda: compose(objective=objectives.predsim(0.6), boundary=boundaries.link(1)), 3),
        Case("l 2", lambda: compose(objective=objectives.predsim(0.6), boundary=boundaries.link(2, 0.25)), 2, "mlp"),
    ],
    "BackLink and other networks": [
        Case("mlp-sr, l 2", lambda: rules.backlink(length=2, alpha=0.25, aux="mlp-sr"), 2),
        Case("AUX-ADAPT, l 1", lambda: rules.backlink(aux="aux-adapt", alpha=0.25), 3),
    ],
    "Auxiliary networks with options": [
        *(
            Case(aux, lambda aux=aux: rules.backlink(aux=aux, alpha=0.25), 3, "few pixels")  # type: ignore[misc]
            for aux in ("1c2f+bn", "1c2f+dropout", "1c3f+bn+dropout", "0c1f+flat", "1c2f+flat+bn")
        ),
        Case("0c2f+dropout", lambda: rules.gll(aux="0c2f+dropout"), 3, "mlp"),
        Case("aux-adapt+bn", lambda: rules.pgl(aux="aux-adapt+bn"), 3, "few pixels"),
        Case("InfoPro, 1c2f+bn", lambda: rules.infopro(lambdas=LAMBDAS, aux="1c2f+bn"), 2, "few pixels"),
    ],
    "PGL and BackLink": [
        Case("l 2", lambda: rules.pgl(around="backlink:length=2,alpha=0.25"), 2),
        Case("l 2", _guided(around="backlink:length=2,alpha=0.25"), 2, is_global=True),
        Case(
            "by compose, inputs kept",
            lambda: compose(
                objective=objectives.classifier("0c2f"), boundary=boundaries.link(), when=periodic(1, 1), keep="inputs"
            ),
            3,
            is_global=True,
        ),
    ],
    "PGL and InfoPro": [Case("four λ", _guided(around=rules.infopro(lambdas=LAMBDAS)), 3, is_global=True)],
}


def run(quick: bool = False) -> Iterator[Result]:
    """One row for each rule and composition."""
    for name, cases in CASES.items():
        chosen = cases[:1] if quick else cases
        error, worst = max((e, f"{case}: {array}") for case in chosen for array, e in gap(case).items())
        yield Result("objectives", name, "jax.grad of its stop-gradient loss", len(chosen), error, worst=worst)
