"""How far a run has come: the few numbers that stand in a checkpoint beside its arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np


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
