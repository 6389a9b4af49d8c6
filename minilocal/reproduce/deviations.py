"""Everything in which a cell's configuration differs from the paper's own, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilocal.config import flatten, tables_of
from minilocal.published.keys import DATA, NET, RULE, words_of
from minilocal.reproduce.plan import Plan, PlannedCell
from minilocal.reproduce.recipe import keys_of_recipe

WORDS = {
    "optim.lr": "lr", "optim.batch_size": "batch", "optim.schedule": "schedule", "optim.weight_decay": "weight decay",
    "data.augment": "augmentation", "net.modules": "modules",
}  # fmt: skip
IMAGES = {"data.limit_train": "training images", "data.limit_test": "test images"}


def deviations(planned: PlannedCell) -> list[str]:
    """`5 of 200 epochs`, `digits, not CIFAR-10`, and so on; [] at full scale."""
    own, paper = (flatten(tables_of(config), "a cell") for config in (planned.config, planned.full))
    keys = sorted((key for key in own if own[key] != paper.get(key)), key=lambda key: (key != DATA, key))
    words = [_in_words(key, own[key], paper.get(key)) for key in keys]
    stated = planned.cell.stated.get("trials", "")
    if stated and planned.trials < int(stated):
        words.append(f"{planned.trials} of {stated} trials")
    return words


def shared(cells: Sequence[PlannedCell]) -> list[str]:
    """The deviations that all of these cells have."""
    first, *others = [deviations(planned) for planned in cells]
    return [text for text in first if all(text in other for other in others)]


def chosen(plan: Plan, cells: Sequence[PlannedCell]) -> list[str]:
    """The keys that the paper does not state for some of these cells, with the experiment's values."""
    keys = {
        key: value
        for key, value in plan.experiment.recipe.flat.items()
        if key not in (DATA, NET, RULE) and any(key not in keys_of_recipe(planned.cell.stated) for planned in cells)
    }
    return [f"{WORDS.get(key, key.rpartition('.')[2])} {_plain(value)}" for key, value in keys.items()]


def _in_words(key: str, own: Any, paper: Any) -> str:
    if key == DATA:
        return f"{words_of(key, own)}, not {words_of(key, paper)}"
    if key == "optim.epochs":
        return f"{own} of {paper} epochs"
    if key == "optim.schedule":
        return f"schedule {own}, not the paper's"
    if key in IMAGES:
        return f"{own} {IMAGES[key]}"
    return f"{WORDS.get(key, key.replace('.', ' '))} {_plain(own)}, not {_plain(paper)}"


def _plain(value: Any) -> str:
    if value is None:
        return "its default"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
