"""The loop of one worker: claim a cell, train it, mark it; until no cell is left that can be claimed."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from minilocal import record
from minilocal.config import from_tables, tables_of
from minilocal.errors import UserError
from minilocal.record import InUse
from minilocal.sweep.cells import Cell
from minilocal.sweep.claim import CLAIM, Claim
from minilocal.sweep.queue import Queue
from minilocal.sweep.share import PARENT, Worker, parent_gone
from minilocal.sweep.state import DONE, RUNNING, failure, is_done, mark_done, mark_failed
from minilocal.train import dataset_of
from minilocal.train.start import Result, train
from minilocal.train.stop import Interrupted, StopRequest

PAUSE = 1.0  # seconds between two looks at cells that other processes train


def drain(
    queue: Queue,
    request: StopRequest,
    *,
    threads: int = 0,
    bar: bool = False,
    wait: bool = False,
    on_change: Callable[[], None] = lambda: None,
) -> None:
    """Train every cell that is neither done nor failed nor claimed by another process.

    threads    of this process; 0 is every core
    bar        shows a progress bar for each run, on a terminal
    wait       goes on until no other process trains a cell either, and trains those that others leave
    on_change  called after each cell, and with `wait` at the end too

    Raises: UserError where a folder cannot be written; Interrupted after a signal, when the run is saved and its claim
    given back.
    """
    while True:
        before = wait and _is_running(queue)
        for cell, claim in _claimed(queue, request):
            try:
                _run(queue.folder(cell), cell, claim, request, threads, bar)
            finally:
                claim.release()
            on_change()
        if request.stop or parent_gone():
            raise Interrupted("", request.number)
        now = wait and _is_running(queue)
        if not (before or now):  # one that ran before may have been left since: then it is claimed next
            if wait:
                on_change()  # another process's last cell may have ended since the last look
            return
        if now:
            time.sleep(PAUSE)
            on_change()


def check_data(queue: Queue) -> None:
    """Load each data set of the cells that are left, once: what is missing is fetched, or refused, before a start.

    A worker leaves this to the process that started it.

    Raises: UserError for data that cannot be loaded.
    """
    if PARENT in os.environ:
        return
    left = [c for c, s in zip(queue.cells, queue.states(), strict=True) if s.word != DONE]
    for cell in {repr(tables_of(cell.config)["data"]): cell for cell in left}.values():
        dataset_of(cell.config)


def _is_running(queue: Queue) -> bool:
    return any(state.word == RUNNING for state in queue.states())


def _claimed(queue: Queue, request: StopRequest) -> Iterator[tuple[Cell, Claim]]:
    """The cells that this process claims, one by one. Those that another process abandoned come last: one of them may
    be what ended it."""
    left = list(queue.cells)
    for abandoned in (False, True):
        for cell in tuple(left):
            folder = queue.folder(cell)
            if request.stop or parent_gone():
                return
            if _is_settled(folder):
                left.remove(cell)
            elif (abandoned or not (folder / CLAIM).exists()) and (claim := Claim.acquire(folder)) is not None:
                left.remove(cell)
                if _is_settled(folder):  # by the process that held the claim until now
                    claim.release()
                else:
                    yield cell, claim


def _is_settled(folder: Path) -> bool:
    return is_done(folder) or failure(folder) is not None


def _run(folder: Path, cell: Cell, claim: Claim, request: StopRequest, threads: int, bar: bool) -> None:
    """Train one cell, or go on with it, and mark it as done or failed."""
    worker = Worker(cell.config.run, claim, threads)
    try:
        with claim.heartbeat():
            result = _trained(folder, cell, worker, request, bar)
            if not claim.is_lost:
                mark_done(folder, result.rows[-1])
    except Interrupted as stop:
        if not claim.is_lost:
            raise Interrupted("", stop.number) from None
    except InUse:  # by a process without a claim, as minilocal train --resume: it is left to that one
        return
    except UserError as error:
        _fail(folder, claim, " ".join(str(error).split()))
    except Exception as error:  # of a user's own rule: the other cells may be without it
        _fail(folder, claim, f"{type(error).__name__}: {' '.join(str(error).split())}", traceback.format_exc())


def _trained(folder: Path, cell: Cell, worker: Worker, request: StopRequest, bar: bool) -> Result:
    if (folder / "config.json").is_file() and not record.saved_nothing(folder):
        result = train(resume=folder, group=worker, request=request, bar=bar)
    else:
        tables = tables_of(cell.config)
        tables["run"]["out"] = str(folder)
        result = train(from_tables(tables, "the sweep"), group=worker, request=request, bar=bar)
    if not result.rows:
        raise UserError(f"{folder}/metrics.jsonl has no rows any more: remove the folder, and its run starts anew.")
    return result


def _fail(folder: Path, claim: Claim, line: str, trace: str = "") -> None:
    if not claim.is_lost:
        mark_failed(folder, line, trace)
