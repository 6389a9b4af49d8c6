"""What a module wants: nothing, a classifier, or a classifier and something that keeps it from wanting only that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minilocal.objectives.auxiliary_nets import NAMES, Classification
from minilocal.objectives.base import Batch, Classifier, Objective, Place, Wants
from minilocal.objectives.branches import Branch, Branches
from minilocal.objectives.infopro import LAMBDAS, InfoPro
from minilocal.objectives.predsim import PredSim


@dataclass(frozen=True)
class _Nothing(Wants):
    pass


def nothing() -> Wants:
    """No loss of its own: the module waits for an error from above (BP)."""
    return _Nothing()


def classifier(aux: str = "0c1f") -> Wants:
    """To classify, through an auxiliary network: one of `NAMES`.

    Raises: UserError for an unknown name.
    """
    return Classification(aux)


def predsim(
    beta: float = 0.99, dim_in_decoder: int = 4096, zero: bool = True, final_weight: float | str = 1.0
) -> Wants:
    """That samples of one class look alike, weight β, and a linear classifier, weight 1-β (see `PredSim`).

    Raises: UserError for a β outside [0, 1], fewer than one feature, and a final weight that is no number nor "1-beta".
    """
    return PredSim(beta, dim_in_decoder, zero, final_weight)


def infopro(
    lambdas: str | Sequence[float] = "resnet32-cifar10",
    version: str = "softmax",
    aux: str = "1c2f",
    temperature: float = 0.07,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
) -> Wants:
    """The image back, weight λ1, and a classifier or a contrast of classes, weight λ2 (see `InfoPro`).

    Raises: UserError for what `InfoPro` refuses; where a module ends with vectors, when a Learner is built.
    """
    return InfoPro(lambdas, version, aux, temperature, mean, std)


__all__ = [
    "LAMBDAS", "NAMES", "Batch", "Branch", "Branches", "Classifier", "Objective", "Place", "Wants", "classifier",
    "infopro", "nothing", "predsim",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
