"""How far a run has come: the few numbers that stand in a checkpoint beside its arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from minilocal.errors import UserError

SHOWN = 4  # losses in a line


@dataclass
class Progress:
    """Counters of a run.

    epoch     epochs completed
    step      steps done in the epoch under way
    sums      per module, the sum over images of its loss in this epoch
    counts    per module, the images in that sum: a module need not have a loss in every step
    seconds   spent on the steps of this epoch
    """

    epoch: int = 0
    step: int = 0
    sums: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def read(cls, told: Mapping[str, Any], source: str) -> Progress:
        """From a checkpoint's text.

        Raises: UserError for counters that are unknown here, or missing: with them a run would not go on as it was.
        """
        known = {f.name for f in fields(cls)}
        if strange := sorted(set(told) ^ known):
            met = "unknown to this version" if strange[0] in told else "missing"
            raise UserError(
                f"{source} was written by another version of minilocal: its counter {strange[0]!r} is {met}. Resume "
                "it with the version that environment.json names, or start another run from it with --set net.weights."
            )
        return cls(**told)

    def add(self, losses: np.ndarray, images: int) -> None:
        """Counts one step: its mean losses over `images` images, float64 (K,), NaN where a module has none."""
        if not self.sums:
            self.sums, self.counts = [0.0] * len(losses), [0] * len(losses)
        for k, loss in enumerate(losses.tolist()):
            if not math.isnan(loss):
                self.sums[k] += loss * images
                self.counts[k] += images
        self.step += 1

    def losses(self) -> list[float]:
        """Each module's mean loss over the images of this epoch so far; NaN where it had none."""
        return [total / n if n else math.nan for total, n in zip(self.sums, self.counts, strict=True)]

    def next_epoch(self) -> Progress:
        """The counters at the start of the next epoch."""
        return Progress(epoch=self.epoch + 1)


def losses_text(losses: Sequence[float | None]) -> str:
    """One number a module, `-` for a module without a loss; of many modules the first, the last and the largest."""
    there = [loss for loss in losses if loss is not None and not math.isnan(loss)]
    shown = ["-" if loss is None or math.isnan(loss) else _number(loss) for loss in losses]
    if len(shown) <= SHOWN:
        return " ".join(shown)
    return f"{shown[0]} … {shown[-1]}" + (f", max {_number(max(there))}" if len(there) > 1 else "")


def _number(loss: float) -> str:
    """To three places, and never -0.000."""
    return f"{loss:z.3f}" if abs(loss) < 1000 else f"{loss:.2e}"
