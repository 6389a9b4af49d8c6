"""A paper's recipe as keys of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

SCHEDULES = {  # the papers' words, and the schedules that they describe
    "cosine": "cosine",
    "cosine after 10 epochs of warm-up": "infopro",
    "/10 at 150 225 275": "steps:150,225,275",
    "0.01 for 3 epochs; /10 at 150 225 275": "hold:3:0.01+steps:150,225,275",
}


def keys_of_recipe(stated: Mapping[str, str]) -> dict[str, Any]:
    """The keys of [optim] that a row of `recipes.csv` states."""
    columns: dict[str, tuple[str, Callable[[str], Any]]] = {
        "optim.name": ("optimizer", str.lower),
        "optim.momentum": ("momentum", float),
        "optim.nesterov": ("nesterov", "yes".__eq__),
        "optim.lr": ("lr", float),
        "optim.schedule": ("schedule", SCHEDULES.__getitem__),
        "optim.weight_decay": ("weight_decay", float),
        "optim.batch_size": ("batch", int),
        "optim.epochs": ("epochs", int),
    }
    return {key: read(stated[column]) for key, (column, read) in columns.items() if stated.get(column)}
