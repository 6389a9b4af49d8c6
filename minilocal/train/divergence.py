"""A run that has diverged: which module's loss was the first, and what to try."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote

import numpy as np

from minilocal import record, rules
from minilocal.config import Config
from minilocal.errors import UserError
from minilocal.learner import Learner

TRIED = {"sgd": 0.1, "adam": 0.001}  # a rate that is worth a try under each optimiser, where it is below the run's


def with_losses(learner: Learner) -> list[bool]:
    """Of each module, whether it may have a loss in this epoch: NaN says elsewhere that it has none."""
    last = len(learner.modules) - 1
    only_last = learner.rule.when.is_global(learner.epoch)
    return [k == last or (m.objective is not None and not only_last) for k, m in enumerate(learner.modules)]


def suspect(losses: Sequence[float], may: Sequence[bool], counts: Sequence[int]) -> int | None:
    """The lowest module whose loss says that the run has diverged, or None.

    losses   of one step, NaN where a module has none, or where it is no number
    may      whether a module may have a loss at all
    counts   images that each module has had a loss for in this epoch, [] before the first step

    An infinite loss is one. NaN is one where the module had a loss before in this epoch, or no module has any.
    """
    silent = all(math.isnan(loss) for loss in losses)
    for k, loss in enumerate(losses):
        if math.isinf(loss):
            return k
        if math.isnan(loss) and may[k] and (silent or any(counts[k : k + 1])):
            return k
    return None


def not_finite(state: Mapping[str, np.ndarray]) -> str:
    """The name of the first array that holds NaN or infinity, or nothing."""
    return next((name for name, a in state.items() if a.dtype.kind == "f" and not np.isfinite(a).all()), "")


def diverged(what: str, config: Config, where: str, saved: int, path: Path) -> UserError:
    """The error that ends the run: `what` happened `where`, `saved` epochs are in its folder `path`."""
    how, flags = "at a lower rate", f"--lr {min(config.optim.lr / 10, TRIED[config.optim.name]):g}"
    best = rules.get(config.rule.name, **config.rule.options).recommends
    if best and best.optimizer != config.optim.name:
        how, flags = (
            f"with {best.describe()}, as the rule recommends",
            f"--set optim.name={best.optimizer} --lr {best.lr:g}",
        )
    if saved:
        then = (
            f"{path} keeps the state after epoch {saved}. Start another run {how}: "
            f"minilocal train --config {quote(f'{path}/config.json')} {flags} --out {quote(str(record.beside(path)))}"
        )
    else:
        then = f"Nothing of it was saved. Start it again {how}: minilocal train --resume {quote(str(path))} {flags}"
    return UserError(f"training diverged: {what} {where}. {then}")
