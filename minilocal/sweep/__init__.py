"""Grids of runs, whose folders are the queue: any number of processes on any machines drain it.

run(values, path)       trains a grid, and returns its table
expand(axes)            the cells of a grid
Queue.open(path, cells) their folder; Queue.read(path), the one that is recorded there
drain(queue, request)   the loop of one process
run_workers(...)        several such processes on this machine
"""

from minilocal.sweep.call import Sweep, run
from minilocal.sweep.cells import Cell
from minilocal.sweep.claim import Claim
from minilocal.sweep.grid import Axis, Choice, axes, expand, without_machine
from minilocal.sweep.loop import drain
from minilocal.sweep.queue import Queue
from minilocal.sweep.workers import run_workers

__all__ = [
    "Axis",
    "Cell",
    "Choice",
    "Claim",
    "Queue",
    "Sweep",
    "axes",
    "drain",
    "expand",
    "run",
    "run_workers",
    "without_machine",
]


def __dir__() -> list[str]:
    return sorted(__all__)
