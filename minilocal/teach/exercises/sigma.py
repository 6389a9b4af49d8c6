"""7a: how far a rule's mean gradient is still one of descent: σ, the norm ratio and the cosine, Eq. (9) and (10)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal.convergence import Agreement
from minilocal.teach.exercise import Case, Exercise, Mistake

Measures = tuple[float, float, float]


def agreement(g: np.ndarray, bp: np.ndarray) -> Measures:
    """(σ, norm ratio, cosine) of two mean gradients.        g, bp (batches, P)  →  three numbers

    Each row is the gradient of one batch: of a local rule in g, of the final loss in bp. E[g] and ∇L are the means over
    the batches; σ = ⟨∇L, E[g]⟩ / ‖∇L‖², ratio = ‖E[g]‖ / ‖∇L‖.
    """
    rule, final = g.mean(axis=0), bp.mean(axis=0)
    sigma = rule @ final / (final @ final)
    ratio = (rule @ rule / (final @ final)) ** 0.5
    return sigma, ratio, sigma / ratio


def reference(g: np.ndarray, bp: np.ndarray) -> Measures:
    rule, final = g.mean(axis=0), bp.mean(axis=0)
    a = Agreement.of(float(rule @ final), float(rule @ rule), float(final @ final))
    return a.sigma, a.norm_ratio, a.cosine


def batch_by_batch(g: np.ndarray, bp: np.ndarray) -> Measures:
    each = [reference(one[None], other[None]) for one, other in zip(g, bp, strict=True)]
    sigma, ratio, cosine = np.mean(each, axis=0)
    return float(sigma), float(ratio), float(cosine)


def swapped(g: np.ndarray, bp: np.ndarray) -> Measures:
    return reference(bp, g)


def not_squared(g: np.ndarray, bp: np.ndarray) -> Measures:
    sigma, ratio, cosine = reference(g, bp)
    return sigma * float(np.linalg.norm(bp.mean(axis=0))), ratio, cosine


def cosine_for_sigma(g: np.ndarray, bp: np.ndarray) -> Measures:
    _, ratio, cosine = reference(g, bp)
    return cosine, ratio, cosine


def squared_ratio(g: np.ndarray, bp: np.ndarray) -> Measures:
    sigma, ratio, cosine = reference(g, bp)
    return sigma, ratio**2, cosine


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for batches, P in ((3, 5), (1, 7), (4, 40)):
        bp = 1 + rng.standard_normal((batches, P))
        yield 0.4 * bp + 0.5 * rng.standard_normal((batches, P)), bp


EXERCISE = Exercise(
    id="7a",
    question="Measure whether a local rule still descends: σ of (9), the norm ratio of (10), and the cosine.",
    solution=agreement,
    reference=reference,
    against="minilocal.convergence.Agreement",
    returns=("σ", "ratio", "cosine"),
    cases=cases,
    mistakes=(
        Mistake(
            "the mean is taken of σ, ratio and cosine: (9) and (10) have the mean of the gradients", batch_by_batch
        ),
        Mistake("the two gradients are swapped: the final loss stands below the line", swapped),
        Mistake("‖∇L‖ is not squared in σ", not_squared),
        Mistake("that is the cosine in place of σ: σ is divided by ‖∇L‖ twice", cosine_for_sigma),
        Mistake("the norm ratio is squared", squared_ratio),
    ),
)
