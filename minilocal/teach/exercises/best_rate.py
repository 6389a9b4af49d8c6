"""7b: the best learning rate of a step that is not BP's, and how far it falls short: from σ, norm ratio and λ."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal.teach.exercise import Case, Exercise, Mistake

Best = tuple[float, float]


def best_rate(sigma: float, ratio: float, smoothness: float) -> Best:
    """The rate η at which the bound falls most, and that fall as a share of the most that BP's own step can give.

    The step is w - η g. Where ∇L is Lipschitz with the constant λ, (11), the loss at w - η g is at most

        L(w) - η ⟨∇L, g⟩ + λ η² ‖g‖² / 2,        ⟨∇L, g⟩ = σ ‖∇L‖²,        ‖g‖ = ratio · ‖∇L‖

    BP is σ = ratio = 1. `smoothness` is λ.
    """
    return sigma / (smoothness * ratio**2), (sigma / ratio) ** 2


def reference(sigma: float, ratio: float, smoothness: float) -> Best:
    """From the losses of real steps on a bowl, L(w) = λ ‖w‖² / 2, for which the bound is exact."""
    rate, fall = lowest(np.array([sigma, (ratio**2 - sigma**2) ** 0.5]), smoothness)
    _, of_bp = lowest(np.array([1.0, 0.0]), smoothness)
    return rate, fall / of_bp


def lowest(g: np.ndarray, smoothness: float) -> Best:
    """(the rate of the lowest loss along w - η g, how far it lies below that at w), where ∇L is (1, 0)."""
    w = np.array([1 / smoothness, 0.0])
    rates = np.array([0.0, 1.0, 2.0]) / smoothness
    losses = [smoothness * float(((w - rate * g) ** 2).sum()) / 2 for rate in rates]
    half, slope, _ = np.polyfit(rates, losses, 2)  # a parabola through three losses
    return float(-slope / (2 * half)), float(slope**2 / (4 * half))


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for _ in range(5):
        sigma = float(rng.uniform(0.1, 1.2))
        yield sigma, float(sigma * rng.uniform(1.2, 3.0)), float(rng.uniform(0.5, 4.0))


EXERCISE = Exercise(
    id="7b",
    question="Find the learning rate at which the bound on the loss falls most, and that fall as a share of BP's.",
    solution=best_rate,
    reference=reference,
    against="the lowest losses on a bowl",
    returns=("rate", "share"),
    cases=cases,
    mistakes=(
        Mistake("the norm ratio is not squared in the rate", lambda s, r, n: (s / (n * r), (s / r) ** 2)),
        Mistake("λ is missing: where ∇L turns fast, steps must be short", lambda s, r, n: (s / r**2, (s / r) ** 2)),
        Mistake(
            "that is the largest rate that still descends: the best one is half of it",
            lambda s, r, n: (2 * s / (n * r**2), (s / r) ** 2),
        ),
        Mistake("that is BP's best rate: it has neither σ nor ratio in it", lambda s, r, n: (1 / n, (s / r) ** 2)),
        Mistake("the share is the square of the cosine", lambda s, r, n: (s / (n * r**2), s / r)),
        Mistake("σ alone is no share: a longer g has a larger σ", lambda s, r, n: (s / (n * r**2), s)),
    ),
)
