"""Divergence: which module's loss shows it first, and the error that ends the run with a remedy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import numpy as np

from minilocal import record, rules
from minilocal.errors import UserError
from minilocal.learner import Learner

if TYPE_CHECKING:
    from minilocal.config import Config

SAFE_LR = {"sgd": 0.1, "adam": 0.001}  # a rate to suggest under each optimiser, where it is below the run's


class Diverged(Exception):
    """A loss that is not finite; the message names the module."""


def with_losses(learner: Learner) -> list[bool]:
    """For each module, whether it can have a loss here in this epoch. Where it cannot, NaN is no divergence."""
    last = len(learner.modules) - 1
    only_last = learner.rule.when.is_global(learner.epoch)
    can_have = [k == last or (m.objective is not None and not only_last) for k, m in enumerate(learner.modules)]
    return [can and k in learner.own_modules for k, can in enumerate(can_have)]


def suspect(losses: Sequence[float], may: Sequence[bool], counts: Sequence[int]) -> int | None:
    """The lowest module whose loss may show a divergence, or None.

    losses   of one step, NaN where a module has none, or where it is no number
    may      whether each module can have a loss at all
    counts   images in each module's mean loss of this epoch so far, [] before the first step

    An infinite loss shows it. NaN may, where the module had a loss earlier in this epoch, or where no module has one.
    """
    silent = all(math.isnan(loss) for loss in losses)
    for k, loss in enumerate(losses):
        if math.isinf(loss):
            return k
        if math.isnan(loss) and may[k] and (silent or any(counts[k : k + 1])):
            return k
    return None


def not_finite(state: Mapping[str, np.ndarray]) -> str:
    """The name of the first array that holds NaN or infinity; empty where there is none."""
    return next((name for name, a in state.items() if a.dtype.kind == "f" and not np.isfinite(a).all()), "")


def diverged(what: str, config: Config, where: str, saved: int, path: Path) -> UserError:
    """The error that ends a run: `what` happened `where`, and the folder `path` holds `saved` epochs."""
    remedy, flags = "at a lower rate", f"--lr {min(config.optim.lr / 10, SAFE_LR[config.optim.name]):g}"
    best = rules.get(config.rule.name, **config.rule.options).recommends
    if best and best.optimizer != config.optim.name:
        remedy = f"with {best.describe()}, as the rule recommends"
        flags = f"--set optim.name={best.optimizer} --lr {best.lr:g}"
    if saved:
        then = (
            f"{path} keeps the state after epoch {saved}. Start another run {remedy}: "
            f"minilocal train --config {quote(f'{path}/config.json')} {flags} --out {quote(str(record.beside(path)))}"
        )
    else:
        then = f"Nothing of it was saved. Start it again {remedy}: minilocal train --resume {quote(str(path))} {flags}"
    return UserError(f"training diverged: {what} {where}. {then}")
