"""2c: batch norm's backward, through mean and variance as well."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal import ops
from minilocal.teach.exercise import Case, Exercise, Mistake

Errors = tuple[np.ndarray, np.ndarray, np.ndarray]


def batch_norm_backward(dy: np.ndarray, z: np.ndarray, gamma: np.ndarray, eps: float) -> Errors:
    """(dz, dγ, dβ) of y = γ n + β.        dy, z (M, C), gamma (C,)  →  (M, C), (C,), (C,)

    n = (z - μ) r, r = 1/√(σ² + eps); μ and σ² are the mean and the biased variance of each column of z.
    """
    r = 1 / np.sqrt(z.var(axis=0) + eps)
    n = (z - z.mean(axis=0)) * r
    dgamma, dbeta = (dy * n).sum(axis=0), dy.sum(axis=0)
    return gamma * r * (dy - dbeta / len(z) - n * dgamma / len(z)), dgamma, dbeta


def reference(dy: np.ndarray, z: np.ndarray, gamma: np.ndarray, eps: float) -> Errors:
    stats = ops.batch_norm_stats(z, eps)
    dz, dgamma, dbeta, _ = ops.batch_norm_backward(dy, z, stats.mean, stats.r, gamma)
    return np.asarray(dz), np.asarray(dgamma), np.asarray(dbeta)


def variant(
    dy: np.ndarray,
    z: np.ndarray,
    gamma: np.ndarray,
    eps: float,
    *,
    through_mean: bool = True,
    through_variance: bool = True,
    scaled: bool = True,
    r_in_dz: bool = True,
    ddof: int = 0,
    divided: bool = True,
) -> Errors:
    """The solution without one of its parts."""
    M = len(z)
    r = 1 / np.sqrt(z.var(axis=0, ddof=ddof) + eps)
    n, terms = (z - z.mean(axis=0)) * r, M if divided else 1
    dgamma, dbeta = (dy * n).sum(axis=0), dy.sum(axis=0)
    inner = dy - through_mean * dbeta / terms - through_variance * n * dgamma / terms
    return (gamma if scaled else 1) * (r if r_in_dz else 1) * inner, dgamma, dbeta


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for M, C, eps in ((5, 3, 1e-5), (4, 4, 0.1), (9, 2, 1e-3)):
        z = 3 * rng.standard_normal((M, C)) + rng.standard_normal(C)
        yield rng.standard_normal((M, C)), z, 0.5 + rng.random(C), eps


EXERCISE = Exercise(
    id="2c",
    question="Write the backward of batch norm: dz, dγ and dβ.",
    solution=batch_norm_backward,
    reference=reference,
    against="minilocal.ops.batch_norm_backward",
    returns=("dz", "dγ", "dβ"),
    cases=cases,
    mistakes=(
        Mistake("the path through the mean is missing, - dβ/M", lambda *a: variant(*a, through_mean=False)),
        Mistake("the path through the variance is missing, - n dγ/M", lambda *a: variant(*a, through_variance=False)),
        Mistake(
            "μ and σ² are taken for constants: both depend on z",
            lambda *a: variant(*a, through_mean=False, through_variance=False),
        ),
        Mistake("γ is missing in dz", lambda *a: variant(*a, scaled=False)),
        Mistake("r is missing in dz", lambda *a: variant(*a, r_in_dz=False)),
        Mistake("1/M is missing in dz", lambda *a: variant(*a, divided=False)),
        Mistake("the variance is the unbiased one: divide by M, not by M - 1", lambda *a: variant(*a, ddof=1)),
    ),
)
