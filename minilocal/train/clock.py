"""How long a run has taken, and how long it will go on at this pace."""

from __future__ import annotations

import math
from dataclasses import dataclass

LONG = 3600  # seconds: a run that takes longer says so as soon as it can be told
SURE = 5, 2.0  # steps and seconds after which it can


@dataclass
class Clock:
    """The seconds that this process has spent on a run of `epochs` epochs, `steps` steps each.

    What another process spent on the run before it was resumed does not count: it may have been another machine.
    """

    epochs: int
    steps: int
    done: int = 0
    trained: float = 0.0  # seconds of the steps that are done
    evaluated: int = 0
    judged: float = 0.0  # seconds of the evaluations
    announced: bool = False

    def left(self, epoch: int, step: int) -> float:
        """Seconds to the end of the run from `step` steps into `epoch`, counted from 0; NaN before the first step.

        The first evaluation is foreseen to cost nothing.
        """
        if not self.done:
            return math.nan
        steps = (self.epochs - epoch) * self.steps - step
        evaluation = self.judged / self.evaluated if self.evaluated else 0.0
        return steps * self.trained / self.done + (self.epochs - epoch) * evaluation

    def announce(self, epoch: int, step: int) -> str:
        """Once, and only for a run that will take long: the line that says so."""
        if self.announced or self.done < SURE[0] or self.trained < SURE[1]:
            return ""
        self.announced = True
        left = self.left(epoch, step)
        if left < LONG:
            return ""
        return f"at this pace it takes {duration(left)} more; it can be stopped at any time, and goes on with --resume"


def duration(seconds: float) -> str:
    """3.2 as `0:03`, 3723 as `1:02:03`, a day and more as `25 h`; `?` where it is not known."""
    if not math.isfinite(seconds):
        return "?"
    minutes, s = divmod(round(seconds), 60)
    h, m = divmod(minutes, 60)
    if h >= 24:
        return f"{h} h"
    return f"{h}:{m:02d}:{s:02d}" if h else f"{m}:{s:02d}"
