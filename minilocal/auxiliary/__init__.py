"""What a module wants: nothing, or a classifier."""

from __future__ import annotations

from dataclasses import dataclass

from minilocal.auxiliary.classifiers import NAMES, Classification
from minilocal.auxiliary.objective import Batch, Classifier, Objective, Place, Wants


@dataclass(frozen=True)
class _Nothing(Wants):
    pass


def nothing() -> Wants:
    """No loss of its own: the module waits for an error from above (BP)."""
    return _Nothing()


def classifier(aux: str = "0c1f") -> Wants:
    """To classify, through an auxiliary network: 0c1f 0c2f 1c1f 1c2f 1c3f 2c2f aux-adapt.

    Raises: UserError for an unknown name.
    """
    return Classification(aux)


__all__ = ["NAMES", "Batch", "Classifier", "Objective", "Place", "Wants", "classifier", "nothing"]
