"""Comparisons run: workloads are set up in worker processes and timed in rounds; a row says what each of them took.

Workloads of one engine share a worker, since only one runs at a time. Two engines never share one. Workloads that do
not fit on a GPU at once are set up, timed and torn down one at a time (device_memory.py).
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from minilocal import nets, streams
from minilocal.bench import timing
from minilocal.bench.device_memory import bytes_needed
from minilocal.bench.launches import step_launches
from minilocal.bench.ops import op_benchmark
from minilocal.bench.plan import Comparison, Plan, comparisons, steps_of
from minilocal.bench.torch_learner import available
from minilocal.bench.worker import NO_ANSWER, TIMEOUT, Worker, WorkerError, WorkerPool
from minilocal.bench.workload import Workload
from minilocal.errors import UserError

SETUP = "minilocal.bench.workload:setup"
TIME = "minilocal.bench.workload:time"
PEAK_MEMORY = "minilocal.bench.workload:peak_memory"
TEARDOWN = "minilocal.bench.workload:teardown"
FREE = "minilocal.bench.workload:free_bytes"
NODES = "minilocal.bench.launches:captured_launches"
ROOFLINE = "minilocal.bench.roofline:measure"
COOLDOWN = 0.03  # seconds between two workloads on the host: longer than OpenMP's threads spin
Row = dict[str, Any]


def run_comparison(
    comparison: Comparison,
    pool: WorkerPool,
    rounds: int,
    *,
    budget: float = math.inf,
    timeout: float = TIMEOUT,
    until: float = math.inf,
    on_progress: Callable[[], None] = lambda: None,
) -> list[Row]:
    """A row for each workload: its fields, its seconds round by round, and their median and quartiles.

    There are `rounds` rounds, fewer when `budget` seconds are over. A worker has `timeout` seconds for each answer, and
    all of them have until `until` (`time.monotonic`): a workload whose turn comes later fails, and is not asked for.
    `on_progress` is called after each timing. The row of a workload that fails says why under "failed". A step on a
    device has its bytes in its row too, measured after the rounds, one workload at a time. Rows on a device say under
    "memory" whether all workloads fit on it at once, with the bytes that they need and the bytes that are free.
    """
    limits = _Limits(rounds, budget, timeout, until, on_progress)
    if all(workload.device == "cpu" for workload in comparison.workloads):
        return _in_turns(comparison, pool, limits)
    memory = _device_memory(comparison.workloads, pool, limits)
    rows = (_in_turns if memory["fits"] else _one_at_a_time)(comparison, pool, limits)
    return [{**row, "memory": memory} for row in rows]


@dataclass(frozen=True)
class _Limits:
    rounds: int
    budget: float
    timeout: float
    until: float
    on_progress: Callable[[], None]

    def ask(self, worker: Worker, function: str, **arguments: Any) -> Any:
        """The worker's answer, within these limits.

        Raises: WorkerError, as `Worker.ask`.
        """
        left = self.until - time.monotonic()
        if left <= 0:
            raise WorkerError(f"{NO_ANSWER} 0 s, since none was left: it was not asked")
        return worker.ask(function, timeout=min(self.timeout, left), **arguments)


def _device_memory(workloads: list[Workload], pool: WorkerPool, limits: _Limits) -> Row:
    """Whether the workloads fit on their device together, by the free bytes that the first one's engine reports."""
    try:
        free = limits.ask(worker_for(workloads[0], pool), FREE, workload=workloads[0])
        needed = bytes_needed(workloads)
    except (WorkerError, UserError):  # no device, or no such step: their rows will say so
        return {"fits": True}
    return {"fits": needed <= free, "needed": needed, "free": free}


def _one_at_a_time(comparison: Comparison, pool: WorkerPool, limits: _Limits) -> list[Row]:
    """A row for each workload, engine after engine. An engine's process ends with its last one.

    So all that it has taken of the device is given back.
    """
    workloads, rows = comparison.workloads, {}
    each = replace(limits, budget=limits.budget / len(workloads))
    for label in dict.fromkeys(workload.label for workload in workloads):
        numbers = [i for i, workload in enumerate(workloads) if workload.label == label]
        for i in numbers:
            (rows[i],) = _in_turns(replace(comparison, workloads=[workloads[i]]), pool, each)
        worker_for(workloads[numbers[0]], pool).close()
    return [rows[i] for i in sorted(rows)]


def _in_turns(comparison: Comparison, pool: WorkerPool, limits: _Limits) -> list[Row]:
    """A row for each workload; all are set up at once and timed in turns."""
    keys = {str(number): workload for number, workload in enumerate(comparison.workloads)}
    workers = {key: worker_for(workload, pool) for key, workload in keys.items()}
    ready, failed = _set_up(keys, workers, limits)
    timers = {}
    for key, facts in ready.items():  # a timer runs its workload once, or as often as fills `least` seconds
        repeats = timing.enough(facts["warm"], comparison.least) if comparison.least else 1
        timers[key] = partial(limits.ask, workers[key], TIME, key=key, repeats=repeats)
    cooldown = COOLDOWN if all(workload.device == "cpu" for workload in keys.values()) else 0.0
    times = timing.rounds(
        timers, limits.rounds, budget=limits.budget, cooldown=cooldown, on_progress=limits.on_progress
    )
    failed |= times.failed
    for worker in workers.values():
        with suppress(WorkerError):
            worker.ask(TEARDOWN, timeout=limits.timeout)
    rows: list[Row] = []
    for key, workload in keys.items():
        row: Row = {"comparison": comparison.title, **workload.row()}
        if key in failed:
            rows.append({**row, "failed": failed[key]})
            if workload.device != "cpu":
                workers[key].close(at_once=True)  # after a CUDA error every later call in this process fails
            continue
        if workload.device != "cpu":
            row |= {fact: ready[key][fact] for fact in ("started", "refused", "host")}
        seconds = times.seconds[key]
        rows.append({**row, **timing.quartiles(seconds), "seconds": seconds, **_costs(workload, pool, limits)})
    return rows


def _set_up(
    workloads: dict[str, Workload], workers: dict[str, Worker], limits: _Limits
) -> tuple[dict[str, Row], dict[str, str]]:
    """Set up every workload: {key: what `setup` returns}, and {key: error} of those that failed."""
    ready: dict[str, Row] = {}
    failed: dict[str, str] = {}
    for key, workload in workloads.items():
        try:
            ready[key] = limits.ask(workers[key], SETUP, key=key, workload=workload)
        except WorkerError as error:
            failed[key] = str(error)
    return ready, failed


def _costs(workload: Workload, pool: WorkerPool, limits: _Limits) -> Row:
    """What an operation computes and moves at least, or the bytes of a step on a device."""
    if workload.op:
        op = op_benchmark(workload.op, workload.batch)
        return {"flops": op.flops, "moved": op.elements * (8 if workload.dtype == "float64" else 4)}
    return {"bytes": _bytes(workload, pool, limits)} if workload.device != "cpu" else {}


def _bytes(workload: Workload, pool: WorkerPool, limits: _Limits) -> Row:
    """The bytes of a step on a device, with no other workload in its worker."""
    worker = worker_for(workload, pool)
    try:
        limits.ask(worker, SETUP, key="alone", workload=workload)
        memory: Row = limits.ask(worker, PEAK_MEMORY, key="alone")
        worker.ask(TEARDOWN, timeout=limits.timeout)
    except WorkerError as error:
        worker.close(at_once=True)
        return {"failed": str(error)}
    return memory


def worker_for(workload: Workload, pool: WorkerPool) -> Worker:
    """The worker of this workload's engine, with its threads and its device."""
    environ = {"CUPY_TF32": "1"} if workload.tf32 else {}
    return pool.worker((workload.label, workload.threads, str(workload.device)), workload.threads, environ)


def run(
    plan: Plan,
    *,
    on_progress: Callable[[str], None] = lambda title: None,
    save: Callable[[Row], None] = lambda results: None,
) -> dict[str, Any]:
    """The results of a plan, by section, in seconds; as `report.markdown` takes them.

    `on_progress` is called after each timing with the comparison's title, `save` after each comparison with the
    results so far.

    Raises: UserError where the plan's options do not fit, as `Plan.check`.
    """
    plan.check()
    plan = replace(plan, kernels=plan.kinds)
    results: Row = {"plan": asdict(plan), "torch": available(), **{section: [] for section in plan.what}}
    results["macs"] = {name: nets.get(name, rng=streams.rng(0)).macs for name in plan.nets}
    with WorkerPool() as pool:
        if "launches" in plan.what:
            results["launches"] += launches(plan, pool)
        if "limits" in plan.what:
            results["limits"] += roofline(plan, pool, "before")
        for comparison in comparisons(plan, available()):
            progress = partial(on_progress, comparison.title)
            results[comparison.section] += run_comparison(comparison, pool, plan.rounds, on_progress=progress)
            save(results)
        if "limits" in plan.what:
            results["limits"] += roofline(plan, pool, "after")
            save(results)
    return results


def launches(plan: Plan, pool: WorkerPool) -> list[Row]:
    """Launches and bytes of a step of each rule on a GPU, counted from shapes; on a device its graph's nodes too."""
    rows = []
    for workload in steps_of(plan):
        net, rule, modules = workload.recipe()
        with warnings.catch_warnings(action="ignore"):  # lengths beyond a module's first unit
            counted = step_launches(net, rule, modules, workload.batch)
        row: Row = {**workload.row(), "launches": counted.launches, "moved": counted.moved}
        if workload.device != "cpu":
            with suppress(WorkerError):  # its timings will say why, or that it runs eagerly
                row["nodes"] = worker_for(workload, pool).ask(NODES, workload=workload)
        rows.append(row)
    return rows


def roofline(plan: Plan, pool: WorkerPool, when: str, timeout: float = TIMEOUT) -> list[Row]:
    """The machine's peak rates for each number of threads, in a worker of their own; on a device with TF32 too.

    Raises: WorkerError where they cannot be measured within `timeout` seconds.
    """
    rows = []
    for threads in plan.threads:
        for tf32 in (False,) if plan.device == "cpu" else (False, True):
            worker = pool.worker(("limits", threads, tf32), threads, {"CUPY_TF32": "1"} if tf32 else {})
            options: Row = {"device": plan.device, "threads": threads, "batch": plan.batches[0], "quick": plan.quick}
            try:
                measured = worker.ask(ROOFLINE, timeout=timeout, tf32=tf32, **options)
            except WorkerError:
                if not tf32:
                    raise
                continue  # an older GPU, which has no TF32
            for row in measured:
                row["what"] += ", TF32" * tf32
                rows.append({"when": when, "threads": threads, "tf32": tf32, **row})
    return rows
