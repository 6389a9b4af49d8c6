"""A lower bound of a share, from a sample."""

from __future__ import annotations


def lower_bound(held: int, tried: int, confidence: float = 0.95) -> float:
    """The one-sided Clopper-Pearson bound: where the share is lower than this, `held` or more of `tried` are rarer than
    1 - `confidence`. Exact for a simple sample; for parts sampled apart, whose sum varies less, it is on the safe side.
    """
    from scipy.stats import beta

    return float(beta.ppf(1 - confidence, held, tried - held + 1)) if held else 0.0


def percent(share: float) -> str:
    """A share as "98.5 %", rounded down, so that no bound is stated too high."""
    return f"{int(share * 1000) / 10} %"
