"""Algorithm 1 against autograd: its step is minus η times the gradient of one number under stop-gradients.

    sg[·] is a constant to the differentiation; c_m are the last l layers of module m, b_m the layers below them.

    Σ_m L_m( c_m(b_m(sg[x_m])) ; c_m constant )                  layers below the range, and the classifiers
  + Σ_{m<K} L_m( c_m^α(sg[b_m]) ; classifier constant )          δ_lc of the linked layers
  + Σ_{m<K} D_{m+1}( c_m^{1-α}(sg[b_m]) ; all above constant )   δ_gl of the linked layers

    D_m(x) = L_m(f_m(x))                                 "own"; always so for m = K and modules longer than l
    D_m(x) = L_m(c_m^α(x))                               "own-scaled"
    D_m(x) = L_m(c_m^α(x)) + D_{m+1}(c_m^{1-α}(x))       "total"

c^α computes what c does, and multiplies the error that comes back by α: after its top layer (4), and in the literal
reading after every layer (5).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from minilocal import equations as eq
from minilocal import streams
from minilocal.array import Array
from minilocal.verify.compare import Result, errors
from minilocal.verify.jax_cpu import jax, jax_on_cpu, jnp, lax

WIDTHS = [6, 5, 7, 6, 5, 4, 5]  # of x, and of six ReLU layers
CLASSES, COLUMNS, ALPHA, ETA = 3, 7, 0.3, 0.3
CUTS = [(6, 1), (3, 1), (3, 2), (2, 2), (2, 3), (1, 1)]  # (K, l)
Parts = tuple[eq.Layers, eq.Layers]  # layers, classifiers

stop_gradient = lax.stop_gradient


def lengths(K: int) -> list[int]:
    """Layers of each module."""
    return [(len(WIDTHS) - 1) // K] * K


def network(K: int) -> tuple[eq.Layers, eq.Layers, np.ndarray, np.ndarray]:
    """(layers, K classifiers, x, labels): random matrices and one mini-batch of columns."""
    rng = streams.rng(2)
    layers: eq.Layers = [(rng.standard_normal((o, i)), rng.standard_normal(o)) for i, o in pairwise(WIDTHS)]
    tops = np.cumsum(lengths(K))
    classifiers: eq.Layers = [(rng.standard_normal((CLASSES, WIDTHS[t])), rng.standard_normal(CLASSES)) for t in tops]
    return layers, classifiers, rng.standard_normal((WIDTHS[0], COLUMNS)), rng.integers(0, CLASSES, COLUMNS)


def by_engine(K: int, length: int, alpha: float = ALPHA, **options: Any) -> Parts:
    """The network after one step of Algorithm 1."""
    layers, classifiers, x, labels = network(K)
    options = {"modules": lengths(K), "eta": ETA, **options}
    return eq.algorithm_1(layers, classifiers, x, labels, length=length, alpha=alpha, **options)


def by_jax(K: int, length: int, weighting: str, error: str, alpha: float = ALPHA) -> Parts:
    """The network after a step down the gradient of the number above."""
    layers, classifiers, x, labels = network(K)
    n = lengths(K)[0]

    def forward(m: int, h: Any, layers: Any, count: int, by: float | None = None) -> Any:
        for j in reversed(range(count)):
            w, b = layers[(m + 1) * n - 1 - j]
            h = jnp.maximum(w @ h + b[:, None], 0)
            if by is not None and (j == 0 or weighting == "literal"):
                h = stop_gradient(h) + by * (h - stop_gradient(h))
        return h

    def local_loss(m: int, h: Any, classifiers: Any) -> Any:
        w, b = classifiers[m]
        return -jax.nn.log_softmax(w @ h + b[:, None], axis=0)[labels, jnp.arange(COLUMNS)].mean()

    def sent(m: int, h: Any) -> Any:
        fixed, heads = stop_gradient(layers), stop_gradient(classifiers)
        if error == "own" or m == K - 1 or length < n:
            return local_loss(m, forward(m, h, fixed, n), heads)
        scaled = local_loss(m, forward(m, h, fixed, n, alpha), heads)
        return scaled + sent(m + 1, forward(m, h, fixed, n, 1 - alpha)) if error == "total" else scaled

    def number(layers: Any, classifiers: Any) -> Any:
        total: Any = 0.0
        h: Any = x
        for m in range(K):
            linked = min(length, n) if m < K - 1 else 0
            base: Any = stop_gradient(h)
            for w, b in layers[m * n : (m + 1) * n - linked]:
                base = jnp.maximum(w @ base + b[:, None], 0)
            h = forward(m, base, stop_gradient(layers), linked)
            total += local_loss(m, h, classifiers)
            if linked:
                total += local_loss(
                    m, forward(m, stop_gradient(base), layers, linked, alpha), stop_gradient(classifiers)
                )
                total += sent(m + 1, forward(m, stop_gradient(base), layers, linked, 1 - alpha))
        return total

    with jax_on_cpu():
        grads = jax.grad(number, (0, 1))(layers, classifiers)
        after = jax.tree.map(lambda w, g: np.asarray(w - ETA * g), (layers, classifiers), grads)
    return after[0], after[1]


def relative_errors(K: int, length: int, weighting: str, error: str) -> dict[str, float]:
    """Relative errors of the step, array by array."""
    before, ours = network(K)[:2], by_engine(K, length, weighting=weighting, error=error)
    theirs = by_jax(K, length, weighting, error)

    def steps(after: Parts) -> dict[str, Array]:
        moved: dict[str, Array] = {}
        for part, old, new in zip(("layer", "classifier"), before, after, strict=True):
            for i, (was, now) in enumerate(zip(old, new, strict=True)):
                moved |= {f"{part} {i + 1}, {letter}": b - a for letter, a, b in zip("wb", was, now, strict=True)}
        return moved

    return errors(steps(ours), steps(theirs))


def run(quick: bool = False) -> Iterator[Result]:
    """One row for each reading of the error that enters (4)."""
    for error in ("own", "own-scaled", "total"):
        cases = [(K, l, w, error) for K, l in (CUTS[::2] if quick else CUTS) for w in ("literal", "unfolded")]
        rows = [
            (e, f"K, l, weighting, error = {case}: {array}")
            for case in cases
            for array, e in relative_errors(*case).items()
        ]
        largest, worst = max(rows)
        name = f"Algorithm 1, {error}"
        yield Result("equations", name, "jax.grad of its stop-gradient loss", len(cases), largest, worst=worst)
