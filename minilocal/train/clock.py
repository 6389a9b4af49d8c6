"""The time that a run has taken, and an estimate of the time that is left."""

from __future__ import annotations

import math
from dataclasses import dataclass

LONG = 3600  # seconds: a run with more than this left is announced
SURE = 5, 2.0  # steps and seconds after which the estimate is good enough to announce it


@dataclass
class Clock:
    """The seconds that this process has spent on a run of `epochs` epochs with `steps` steps each.

    The time before a resume is not counted: it may be another machine's.
    """

    epochs: int
    steps: int
    steps_done: int = 0
    step_seconds: float = 0.0
    evaluations: int = 0
    evaluation_seconds: float = 0.0
    announced: bool = False

    def left(self, epoch: int, step: int) -> float:
        """Seconds to the end of the run from `step` steps into `epoch`, counted from 0; NaN before the first step.

        Evaluations count as 0 s until the first one has been measured.
        """
        if not self.steps_done:
            return math.nan
        steps = (self.epochs - epoch) * self.steps - step
        evaluation = self.evaluation_seconds / self.evaluations if self.evaluations else 0.0
        return steps * self.step_seconds / self.steps_done + (self.epochs - epoch) * evaluation

    def announce(self, epoch: int, step: int) -> str:
        """The line about the time that is left, once, and only for a long run; else empty."""
        if self.announced or self.steps_done < SURE[0] or self.step_seconds < SURE[1]:
            return ""
        self.announced = True
        left = self.left(epoch, step)
        if left < LONG:
            return ""
        return f"at this pace it takes {duration(left)} more; it can be stopped at any time, and goes on with --resume"


def duration(seconds: float) -> str:
    """3.2 as `0:03`, 3723 as `1:02:03`, a day and more as `25 h`; `?` for NaN."""
    if not math.isfinite(seconds):
        return "?"
    minutes, s = divmod(round(seconds), 60)
    h, m = divmod(minutes, 60)
    if h >= 24:
        return f"{h} h"
    return f"{h}:{m:02d}:{s:02d}" if h else f"{m}:{s:02d}"
