"""The progress of a sweep, read from its folders: what has ended since the last look, counts, and the time left."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence

from minilocal import record
from minilocal.errors import UserError
from minilocal.sweep.cells import Cell
from minilocal.sweep.queue import Queue
from minilocal.sweep.state import DONE, FAILED, STATES, State, state
from minilocal.train.clock import duration


class Watch:
    """The states of a queue's cells, as of the last `update`."""

    def __init__(self, queue: Queue) -> None:
        self.queue, self.states = queue, queue.states()
        self.began, self.first = time.monotonic(), self.epochs()

    def update(self) -> list[str]:
        """Read the folders again; return a line for each cell that has ended since."""
        lines = []
        for i, cell in enumerate(self.queue.cells):
            if self.states[i].word == DONE:  # it stays so
                continue
            before, self.states[i] = self.states[i], state(self.queue.folder(cell))
            if self.states[i].word != before.word and self.states[i].word in (DONE, FAILED):
                lines.append((cell, self.states[i]))
        return [f"{self._ended(cell, new)}  ({self.counts()})" for cell, new in lines]

    def counts(self) -> str:
        """`3 of 40 done, 2 running, 1 failed, 34 left`; states without a cell are left out."""
        return counts(self.states)

    def left(self) -> str:
        """The time to the end at the pace since this object was made, as `0:42`; `?` before the first epoch."""
        done = self.epochs() - self.first
        pace = done / (time.monotonic() - self.began)
        return duration(self._epochs_left() / pace if done else math.nan)

    def epochs(self) -> int:
        """The epochs that all cells have been trained."""
        return sum(each.epochs for each in self.states)

    def total(self) -> int:
        """The epochs of all cells but those that failed."""
        return self.epochs() + self._epochs_left()

    def _epochs_left(self) -> int:
        pairs = zip(self.queue.cells, self.states, strict=True)
        return sum(max(0, c.config.optim.epochs - s.epochs) for c, s in pairs if s.word not in (DONE, FAILED))

    def _ended(self, cell: Cell, new: State) -> str:
        if new.word == FAILED:
            return f"failed  {cell.name}: {new.note}"
        error = last_error(self.queue, cell)
        return f"done    {cell.name}: test error {'?' if error is None else f'{error:.2f} %'}"


def counts(states: Sequence[State]) -> str:
    """The number of cells in each state, `3 of 40 done, 2 running`."""
    number = Counter(each.word for each in states)
    rest = [f"{number[word]} {word}" for word in STATES[1:] if number[word]]
    return ", ".join([f"{number[DONE]} of {len(states)} done", *rest])


def last_error(queue: Queue, cell: Cell) -> float | None:
    """The test error after the last epoch, in percent; None where its row is missing or damaged."""
    try:
        rows = record.rows(queue.folder(cell))
    except UserError:
        return None
    if not rows or rows[-1]["epoch"] != cell.config.optim.epochs:
        return None
    error = rows[-1].get("test_error")
    return float(error) if isinstance(error, (int, float)) else None
