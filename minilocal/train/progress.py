"""The counters of a run, which a checkpoint holds beside its arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from minilocal.errors import UserError

LISTS, REALS = ("sums", "counts"), ("sums", "seconds")  # counters


@dataclass
class Progress:
    """How far a run has come.

    epoch     epochs completed
    step      steps done in the current epoch
    sums      per module, the sum over images of its loss in this epoch
    counts    per module, the images in that sum: a module may lack a loss in some steps
    seconds   spent on the steps of this epoch
    """

    epoch: int = 0
    step: int = 0
    sums: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def from_json(cls, counters: Mapping[str, Any], source: str) -> Progress:
        """The counters that the checkpoint `source` holds.

        Raises: UserError where one is unknown, missing or of another type: the run would not continue as it was.
        """
        known = {f.name for f in fields(cls)}
        if strange := sorted(set(counters) ^ known):
            met = "unknown to this version" if strange[0] in counters else "missing"
            raise UserError(
                f"{source} was written by another version of minilocal: its counter {strange[0]!r} is {met}. Resume "
                "it with the version that environment.json names, or start another run from it with --set net.weights."
            )
        for key, value in counters.items():
            if not _is_counter(key, value):
                raise UserError(f"{source} is damaged: its counter {key!r} is {value!r:.40}.")
        return cls(**counters)

    def add(self, losses: np.ndarray, images: int) -> None:
        """Count one step: its mean losses over `images` images, float64 (K,), NaN where a module has none."""
        if not self.sums:
            self.sums, self.counts = [0.0] * len(losses), [0] * len(losses)
        for k, loss in enumerate(losses.tolist()):
            if not math.isnan(loss):
                self.sums[k] += loss * images
                self.counts[k] += images
        self.step += 1

    def losses(self) -> list[float]:
        """Each module's mean loss over the images of this epoch so far; NaN where it has none."""
        return [total / n if n else math.nan for total, n in zip(self.sums, self.counts, strict=True)]

    def next_epoch(self) -> Progress:
        """The counters at the start of the next epoch."""
        return Progress(epoch=self.epoch + 1)


def _is_counter(key: str, value: Any) -> bool:
    """Whether a value is of this counter's type: whole, or real, or a list of such numbers."""
    kinds = (int, float) if key in REALS else (int,)
    numbers = value if isinstance(value, list) else [value]
    return isinstance(value, list) == (key in LISTS) and all(type(number) in kinds for number in numbers)
