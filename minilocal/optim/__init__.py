"""Optimisers, as frozen recipes, and learning rates over the epochs."""

from minilocal.optim.recipes import SGD, Adam, Optimizer, State, Update, get
from minilocal.optim.schedules import (
    SCHEDULES,
    Schedule,
    constant,
    cosine,
    hold,
    infopro,
    schedule,
    steps,
    warmup,
)

__all__ = [
    "SCHEDULES",
    "SGD",
    "Adam",
    "Optimizer",
    "Schedule",
    "State",
    "Update",
    "constant",
    "cosine",
    "get",
    "hold",
    "infopro",
    "schedule",
    "steps",
    "warmup",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
