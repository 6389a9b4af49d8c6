"""Equations (1) to (6) and Algorithm 1 of the paper, each against the derivative that it stands for.

A layer y = f(w x + b) lies under a layer (or a classifier) v; an error δ at the output of v is sent down by
differentiating ⟨δ, v f(z)⟩, which is what the paper's f'(z) ⊙ vᵀ δ stands for. ⟨δ, w x⟩ gives the update.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minilocal import equations as eq
from minilocal import streams
from minilocal.verify import algorithm
from minilocal.verify.compare import Result, errors
from minilocal.verify.jax_cpu import jax, jax_on_cpu, jnp

WIDTHS = {"x": 5, "z": 4, "c": 3, "next": 6}
COLUMNS = [(), (1,), (7,)]  # one sample, a mini-batch of one, a mini-batch
ALPHAS = [0.0, 0.3, 1.0]
ETA = 0.1
Numbers = dict[str, Any]


def numbers(columns: tuple[int, ...]) -> Numbers:
    """Random matrices and columns of every size that the equations take."""
    rng = streams.rng(len(columns))
    n: Numbers = {name: rng.standard_normal((size, *columns)) for name, size in WIDTHS.items()}
    n["w"], n["b"] = rng.standard_normal((WIDTHS["z"], WIDTHS["x"])), rng.standard_normal(WIDTHS["z"])
    n["w_c"] = rng.standard_normal((WIDTHS["c"], WIDTHS["z"]))
    n["w_next"] = rng.standard_normal((WIDTHS["next"], WIDTHS["z"]))
    n["other"] = rng.standard_normal((WIDTHS["next"], *columns))
    return n


def _f(z: Any) -> Any:
    return jnp.where(z > 0, z, 0)


def _below(v: Any, delta: Any, z: Any) -> Any:
    return jax.grad(lambda z: jnp.sum(delta * (v @ _f(z))))(z)


def _updated(w: Any, delta: Any, x: Any) -> Any:
    return w - ETA * jax.grad(lambda w: jnp.sum(delta * (w @ x)))(w)


def _forward(n: Numbers) -> Any:
    z = (n["w"] @ n["x"]).T + n["b"]
    return z.T, _f(z.T)


EQUATIONS: dict[str, tuple[Callable[[Numbers, float], Any], Callable[[Numbers, float], Any]]] = {
    "(1) forward": (lambda n, a: eq.forward(n["w"], n["b"], n["x"]), lambda n, a: _forward(n)),
    "(2) update": (
        lambda n, a: (eq.update(n["w"], n["z"], n["x"], ETA),),
        lambda n, a: (_updated(n["w"], n["z"], n["x"]),),
    ),
    "(3) backward": (
        lambda n, a: (eq.backward(n["z"], n["w_next"], n["next"]),),
        lambda n, a: (_below(n["w_next"], n["next"], n["z"]),),
    ),
    "( ) GLL update": (
        lambda n, a: (eq.update_local(n["w"], eq.local_errors([n["z"]], [n["w"]], n["w_c"], n["c"])[0], n["x"], ETA),),
        lambda n, a: (_updated(n["w"], _below(n["w_c"], n["c"], n["z"]), n["x"]),),
    ),
    "(4) link": (
        lambda n, a: eq.link(n["z"], n["w_c"], n["c"], n["w_next"], n["next"], a),
        lambda n, a: (a * _below(n["w_c"], n["c"], n["z"]), (1 - a) * _below(n["w_next"], n["next"], n["z"])),
    ),
    "(5) literal": (
        lambda n, a: eq.link_below(n["z"], n["w_next"], n["next"], n["other"], a),
        lambda n, a: (
            _below(n["w_next"], a * n["next"], n["z"]),
            _below(n["w_next"], (1 - a) * n["other"], n["z"]),
        ),
    ),
    "(5) unfolded": (
        lambda n, a: eq.link_below_unfolded(n["z"], n["w_next"], n["next"], n["other"]),
        lambda n, a: (_below(n["w_next"], n["next"], n["z"]), _below(n["w_next"], n["other"], n["z"])),
    ),
    "(6) update": (
        lambda n, a: (eq.update_linked(n["w"], a * n["z"], (1 - a) * n["z"], n["x"], ETA),),
        lambda n, a: (_updated(n["w"], a * n["z"] + (1 - a) * n["z"], n["x"]),),
    ),
}


def relative_errors(name: str, columns: tuple[int, ...], alpha: float) -> dict[str, float]:
    """Relative errors of the equation's results."""
    by_engine, by_jax = EQUATIONS[name]
    n = numbers(columns)
    with jax_on_cpu():
        reference = [np.asarray(a) for a in by_jax(n, alpha)]
    ours = by_engine(n, alpha)
    return errors(dict(zip("ab", ours, strict=False)), dict(zip("ab", reference, strict=False)))


def run(quick: bool = False) -> Iterator[Result]:
    """One row for each equation, and for each reading of Algorithm 1."""
    for name in EQUATIONS:
        cases = [(columns, alpha) for columns in COLUMNS for alpha in ALPHAS]
        rows = [(e, f"columns {c}, α = {a}") for c, a in cases for e in relative_errors(name, c, a).values()]
        error, worst = max(rows)
        yield Result("equations", name, "jax.grad", len(cases), error, worst=worst)
    yield from algorithm.run(quick)
