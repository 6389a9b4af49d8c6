"""The kinds of runs that are killed: rules, optimisers, networks; each of nine steps in three epochs, in two legs.

begin    a new run that is stopped and saved after its fourth step: after one epoch and one step
go on    the same, resumed, to the end
"""

from __future__ import annotations

from typing import Any

from tests.helpers.small_run import STEPS

EPOCHS, STOPPED = 3, 4
TOTAL = EPOCHS * STEPS
BACKLINK = {"rule__name": "backlink", "rule__length": 1}
KINDS: dict[str, dict[str, Any]] = {
    "BackLink": BACKLINK,
    "BP": {"rule__name": "bp"},
    "PGL, both kinds of epochs": {"rule__name": "pgl", "rule__period": 2, "rule__duration": 1},
    "FDG": {"rule__name": "fdg", "net__modules": 3},
    "DDG": {"rule__name": "ddg", "net__modules": 3},
    "asynchronous DGL": {"rule__name": "dgl", "rule__buffer": 2, "net__modules": 3},
    "DNI": {"rule__name": "dni"},
    "Adam": {**BACKLINK, "optim__name": "adam", "optim__lr": 0.001},
    "dropout": {"rule__name": "gll", "rule__aux": "0c2f+dropout"},
    "augmented images": {"rule__name": "bp", "data__augment": True},
    "batch norm, on ResNet-8": {**BACKLINK, "net__name": "resnet8", "net__modules": 3, "data__augment": True},
}
