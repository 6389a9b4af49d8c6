"""Local objectives: none (BP), a classifier, or a classifier plus an auxiliary loss (PredSim, InfoPro)."""

from __future__ import annotations

from minilocal.objectives.augmented import Augmented as augmented
from minilocal.objectives.auxiliary_nets import NAMES
from minilocal.objectives.auxiliary_nets import ClassifierSpec as classifier
from minilocal.objectives.base import Batch, ClassifierLoss, ModuleContext, Objective, ObjectiveSpec
from minilocal.objectives.base import NoObjective as none
from minilocal.objectives.behind import Behind
from minilocal.objectives.branches import Branch, Branches
from minilocal.objectives.hpff import HPFF as hpff
from minilocal.objectives.infopro import LAMBDAS
from minilocal.objectives.infopro import InfoPro as infopro
from minilocal.objectives.predsim import PredSim as predsim
from minilocal.objectives.two_heads import TwoHeads

__all__ = [
    "LAMBDAS", "NAMES", "Batch", "Behind", "Branch", "Branches", "ClassifierLoss", "ModuleContext", "Objective",
    "ObjectiveSpec", "TwoHeads", "augmented", "classifier", "hpff", "infopro", "none", "predsim",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
