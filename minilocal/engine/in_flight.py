"""What is under way between two iterations of a rule with delays: batches, and what is held of them where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from minilocal.array import Array
from minilocal.engine.module import Caches
from minilocal.layers import PassContext
from minilocal.objectives import Batch


@dataclass(frozen=True)
class InFlightBatch:
    """A batch under way: its number, its images and labels, and the names of its chance."""

    number: int
    batch: Batch
    ctx: PassContext


class Message(NamedTuple):
    """What crosses a boundary, and the batch that it is of: an activation upward, an error downward."""

    flight: InFlightBatch
    array: Array


@dataclass
class PendingBackward:
    """A batch that a module has forwarded, and whose error it awaits.

    `entry` is the module's input; without `caches` they are made again from it. `weights` are the module's
    parameters as that forward used them, where they are stashed.
    """

    flight: InFlightBatch
    entry: Array
    caches: Caches | None = None
    weights: dict[str, Array] | None = None
