"""The three locks, read off a measurement.

`needs` has for each module but the last, and for each of its units, the number of modules above whose forward or error
its update needs in the same iteration. Of Jaderberg et al., "Decoupled Neural Interfaces using Synthetic Gradients",
2017.
"""

from __future__ import annotations

from collections.abc import Sequence

Needs = Sequence[Sequence[int]]


def forward_kept(lags: Sequence[tuple[int, ...]]) -> bool:
    """Whether every h_k is used in the iteration that computed it; `lags` are those of each boundary."""
    return all(at_boundary == (0,) for at_boundary in lags)


def update_kept(needs: Needs) -> bool:
    """Whether in every module some update needs all modules above."""
    return all(max(module) == above for module, above in _with_above(needs))


def backward_kept(needs: Needs) -> bool:
    """Whether every update needs all modules above."""
    return all(number == above for module, above in _with_above(needs) for number in module)


def _with_above(needs: Needs) -> list[tuple[Sequence[int], int]]:
    """(needs of a module, the modules above it)."""
    return [(module, len(needs) - k) for k, module in enumerate(needs)]
