"""The agreement of two mean gradients: σ of Eq. (9), the norm ratio of Eq. (10), their cosine.

    σ      = ⟨∇L, E[g]⟩ / ‖∇L‖²                                                    Eq. (9)
    ratio  = ‖E[g]‖ / ‖∇L‖                                                         Eq. (10)
    cosine = ⟨∇L, E[g]⟩ / (‖∇L‖ ‖E[g]‖),   so that σ = ratio · cosine

(BackLink, IEEE version.) Sums are in float64, in the library that the gradients live in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minilocal.array import Array, namespace, to_host


@dataclass(frozen=True)
class Agreement:
    """σ, the norm ratio and the cosine of a rule's mean gradient and BP's; NaN where one is 0/0."""

    sigma: float
    norm_ratio: float
    cosine: float

    @classmethod
    def of(cls, both: float, rule: float, final: float) -> Agreement:
        """From ⟨∇L, E[g]⟩, ‖E[g]‖² and ‖∇L‖². Where the gradients are equal, all three are 1 exactly."""
        if final == 0:
            return cls(math.nan, math.nan if rule == 0 else math.inf, math.nan)
        sigma, ratio = both / final, math.sqrt(rule / final)  # Eq. (9), Eq. (10)
        return cls(sigma, ratio, sigma / ratio if ratio else math.nan)


class MeanGradients:
    """E[g], ∇L and E‖g‖² over batches, of the parameters `names`, whose arrays are `like`."""

    def __init__(self, names: Sequence[str], like: Mapping[str, Array]) -> None:
        xp = namespace(like[names[0]])
        self.rule = {name: xp.zeros(like[name].shape, xp.float64) for name in names}
        self.final = {name: xp.zeros(like[name].shape, xp.float64) for name in names}
        self.squares: Array = xp.zeros((), xp.float64)
        self.batches = 0

    def add(self, rule: Mapping[str, Array], final: Mapping[str, Array]) -> None:
        """Add one batch: the rule's gradients, and those of the final loss. A parameter without a gradient has 0."""
        for sums, grads in ((self.rule, rule), (self.final, final)):
            for name, total in sums.items():
                if name in grads:
                    total += grads[name]
        for name in self.rule:
            if name in rule:
                self.squares = self.squares + inner(rule[name], rule[name])  # ‖g‖² of Eq. (12)
        self.batches += 1

    def products(self, groups: Sequence[Sequence[str]]) -> tuple[list[list[float]], float]:
        """⟨∇L, E[g]⟩, ‖E[g]‖² and ‖∇L‖² of each group of names, and E‖g‖² of Eq. (12), copied to the host at once."""
        xp, n = namespace(self.squares), self.batches
        pairs = ((self.final, self.rule), (self.rule, self.rule), (self.final, self.final))
        zero: Any = xp.zeros((), xp.float64)
        products = [sum((inner(a[name], b[name]) for name in group), zero) for group in groups for a, b in pairs]
        *of_sums, squares = to_host(xp.stack([*products, self.squares])).tolist()
        of_means = [product / n**2 for product in of_sums]
        return [of_means[i : i + 3] for i in range(0, len(of_means), 3)], squares / n


def inner(a: Array, b: Array) -> Array:
    """⟨a, b⟩ in float64, as an array without axes."""
    xp = namespace(a, b)
    return (a.astype(xp.float64) * b).sum()
