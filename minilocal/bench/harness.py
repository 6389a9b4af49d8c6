"""Contests held: contestants enter their workers, take turns in rounds, and what was seen is written down.

Contestants of one engine share a worker, since only one works at a time; engines never share one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any

from minilocal import nets, streams
from minilocal.bench import timing
from minilocal.bench.ops import op_benchmarks
from minilocal.bench.plan import Comparison, Plan, comparisons
from minilocal.bench.torch_learner import available
from minilocal.bench.worker import PATIENCE, Pool, Worker, WorkerError
from minilocal.bench.workload import Workload
from minilocal.nets.counted import macs

SETUP, TIME, PEAK, TEARDOWN = (
    f"minilocal.bench.workload:{what}" for what in ("setup", "time", "peak_memory", "teardown")
)
LIMITS = "minilocal.bench.roofline:measure"
SETTLE = 0.03  # seconds between contestants on the host: longer than OpenMP's threads spin
Row = dict[str, Any]


def run_comparison(
    contest: Comparison,
    pool: Pool,
    number: int,
    *,
    budget: float = math.inf,
    patience: float = PATIENCE,
    turn: Callable[[], None] = lambda: None,
) -> list[Row]:
    """The rows of a contest: what each contestant was, its seconds round by round, their median and quartiles.

    `number` rounds, fewer when `budget` seconds are over; a worker has `patience` seconds for each answer.

    A contestant that fails has a row that says why. Steps on a device have their bytes in their rows too, measured
    after the rounds, one contestant at a time.
    """
    failed: dict[str, str] = {}
    turns: dict[str, Callable[[], float]] = {}
    entries = {str(place): entry for place, entry in enumerate(contest.entries)}
    seats = {key: worker_for(entry, pool) for key, entry in entries.items()}
    for key, entry in entries.items():
        try:
            first = seats[key].ask(SETUP, patience=patience, key=key, entry=entry)
        except WorkerError as error:
            failed[key] = str(error)
            continue
        runs = timing.enough(first, contest.least) if contest.least else 1
        turns[key] = partial(seats[key].ask, TIME, patience=patience, key=key, number=runs)
    settle = SETTLE if all(entry.device == "cpu" for entry in contest.entries) else 0.0
    times = timing.rounds(turns, number, budget=budget, settle=settle, turn=turn)
    failed |= times.failed
    for worker in seats.values():
        with suppress(WorkerError):
            worker.ask(TEARDOWN)
    rows = []
    for key, entry in entries.items():
        row: Row = {"contest": contest.title, **entry.row()}
        if key in failed:
            rows.append({**row, "failed": failed[key]})
            if entry.device != "cpu":
                seats[key].close(at_once=True)  # an error of CUDA stays in its process
            continue
        row |= {**timing.spread(times.seconds[key]), "seconds": times.seconds[key]}
        if entry.op:
            it = op_benchmarks(entry.batch)[entry.op]
            row |= {"flops": it.flops, "moved": it.numbers * (8 if entry.dtype == "float64" else 4)}
        elif entry.device != "cpu":
            row["bytes"] = _bytes(entry, pool, patience)
        rows.append(row)
    return rows


def _bytes(entry: Workload, pool: Pool, patience: float) -> Row:
    """What a step takes on a device, nobody else being there."""
    worker = worker_for(entry, pool)
    try:
        worker.ask(SETUP, patience=patience, key="alone", entry=entry)
        found: Row = worker.ask(PEAK, patience=patience, key="alone")
        worker.ask(TEARDOWN)
    except WorkerError as error:
        worker.close(at_once=True)
        return {"failed": str(error)}
    return found


def worker_for(entry: Workload, pool: Pool) -> Worker:
    """The worker of this entry's engine."""
    environ = {"CUPY_TF32": "1"} if entry.tf32 else {}
    return pool.at((entry.label, entry.threads, str(entry.device)), entry.threads, environ)


def run(
    plan: Plan, *, turn: Callable[[str], None] = lambda title: None, save: Callable[[Row], None] = lambda found: None
) -> dict[str, Any]:
    """Everything that the plan asks for, by section; `turn` is called after each timing, `save` after each contest."""
    found: dict[str, Any] = {"plan": asdict(plan), "torch": available(), **{what: [] for what in plan.what}}
    found["macs"] = {name: macs(nets.get(name, rng=streams.rng(0))) for name in plan.nets}
    with Pool() as pool:
        if "limits" in plan.what:
            found["limits"] += roofline(plan, pool, "before")
        for contest in comparisons(plan, available()):
            found[contest.section] += run_comparison(contest, pool, plan.rounds, turn=partial(turn, contest.title))
            save(found)
        if "limits" in plan.what:
            found["limits"] += roofline(plan, pool, "after")
            save(found)
    return found


def roofline(plan: Plan, pool: Pool, when: str) -> list[Row]:
    """The machine's limits for each number of threads, in a worker of their own; on a device with TF32 too."""
    rows = []
    for threads in plan.threads:
        for tf32 in (False,) if plan.device == "cpu" else (False, True):
            ask = pool.at(("limits", threads, tf32), threads, {"CUPY_TF32": "1"} if tf32 else {}).ask
            given: Row = {"device": plan.device, "threads": threads, "batch": plan.batches[0], "quick": plan.quick}
            try:
                measured = ask(LIMITS, tf32=tf32, **given)
            except WorkerError:
                if not tf32:
                    raise
                continue  # an older GPU, which has no TF32
            for row in measured:
                row["what"] += ", TF32" * tf32
                rows.append({"when": when, "threads": threads, "tf32": tf32, **row})
    return rows
