"""When a module learns from which loss: always from its own, as yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class When:
    """The same in every epoch."""

    def is_global(self, epoch: int) -> bool:
        """Do the main weights learn from the final loss in this epoch?"""
        return False


def always() -> When:
    """Every epoch is local."""
    return When()
