"""Threads and processes: nothing hangs, and every Learner has the bits that it has alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from tests.faults.measured import Broken, Figure, Measured

TITLE = "Threads and processes"
ABOUT = """
Processes are forked, spawned and served while their parent has worked, is in a step, holds the pool or compiles.
Threads train Learners of their own while another changes the number of threads or the kernels; 32 Learners train at
once; threads share one Learner, one network, one generator. Programs end while a thread is in a step, and Ctrl-C meets
a step at each of its operations. Every case ends in time, without a traceback, with the bits of a Learner alone.
"""
MINUTES = 6.0

ROOT = Path(__file__).parents[3]
FIRST_USE = "minilocal: compiling Numba kernels, once"
TIME_LIMIT = 240.0  # seconds of a case
Case = tuple[str, str, str, tuple[object, ...]]  # what, module, function, its arguments

METHODS = ("fork", "forkserver", "spawn")


def cases(kind: str, methods: tuple[str, ...] = METHODS, threads: tuple[int, ...] = (1, 2, 3)) -> Iterator[Case]:
    """The cases with these kernels."""
    for method in methods:
        for number in threads:
            yield f"{method} after a step, {number} threads", "forked", "by_start_method", (method, number)
    for number in threads:
        yield f"20 forks during another thread's steps, {number} threads", "forked", "beside_a_step", (number,)
    yield "forks while another thread holds BLAS or the pool", "forked", "beside_a_holder", (2,)
    for method in methods:
        yield f"a multiprocessing.Pool of predictions, {method}", "forked", "pool_of_predicts", (method, 2)
    yield "use_threads(1 to 4) while four threads train", "threaded", "number_of_threads_changes", ()
    yield "32 Learners, interleaved", "threaded", "many_interleaved", ()
    yield "32 Learners, in threads", "threaded", "many_in_threads", ()
    yield "one Learner predicts in eight threads", "threaded", "predictions_of_one_learner", ()
    yield "four Learners of one network in threads", "threaded", "learners_of_one_net", ()
    yield "one generator of eight threads", "threaded", "a_generator_of_all_threads", ()
    yield "errstate and warning filters of another thread", "threaded", "errstate_of_another", ()
    yield "state, copy, deepcopy, pickle in the middle of a step", "threaded", "copies_during_a_step", ()
    yield "five threads step one Learner", "threaded", "steps_of_one_learner", ()
    yield "exit with a daemon thread in a step, 20 times", "ending", "at_exit", ("daemon", kind)
    yield "exit with another thread in a step, 5 times", "ending", "at_exit", ("thread", kind, 5)
    yield "Ctrl-C at each operation of a step, six rules", "interrupted", "every_rule", ()
    yield "60 signals at instants of a step, 2 threads", "interrupted", "by_signals", (2,)
    if kind == "numba":
        yield "forks while another thread compiles", "forked", "beside_a_compilation", ()
        yield "two processes compile into one folder", "first_use", "at_once", (2,)
        yield "use_kernels in turn while four threads train", "threaded", "kernels_change", ()


def run(minutes: float) -> Measured:
    """All cases; they have an end."""
    figures, failures = [], []
    for kind in ("numpy", "numba") if find_spec("numba") else ("numpy",):
        for what, module, function, arguments in cases(kind):
            fault = wrong(module, function, kind, *arguments)
            figures.append(Figure(f"{what}, {kind} kernels", 1, 0 if fault else 1))
            failures += [f"{what}, {kind} kernels: {fault}"] if fault else []
    return Measured(figures, broken(), failures)


def broken() -> list[Broken]:
    """Cases with what they rely on taken out."""
    collected = []
    for what, without, seconds, module, function, arguments in BROKEN:
        if function == "beside_a_compilation" and not find_spec("numba"):
            continue
        fault = wrong(module, function, "numpy", *arguments, without=without, seconds=seconds)
        collected.append(Broken(what, 1, int(bool(fault))))
    return collected


BROKEN: list[tuple[str, str, float, str, str, tuple[object, ...]]] = [
    ("a lock of its own for a forked process", "forks_noticed", 6.0, "forked", "beside_a_holder", (2,)),
    ("turns of threads", "turns", TIME_LIMIT, "threaded", "copies_during_a_step", ()),
    ("scratch memory of each thread", "scratch_of_each_thread", TIME_LIMIT, "threaded", "many_in_threads", (8,)),
    ("a fork that waits for compilations", "forks_noticed", 10.0, "forked", "beside_a_compilation", ()),
    ("restoring after Ctrl-C", "in_flight_restored", TIME_LIMIT, "interrupted", "at_each_operation", ("gll",)),
]


def wrong(
    module: str, function: str, kind: str, *arguments: object, without: str = "", seconds: float = TIME_LIMIT
) -> str:
    """What is wrong with a case in a process of its own; "" where all is well."""
    words = [sys.executable, str(Path(__file__).with_name("child.py")), module, function, kind, without]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*words, json.dumps(arguments)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)  # its children too
        process.communicate()
        return f"still ran after {seconds:.0f} s"
    messages = [line for line in err.splitlines() if not line.startswith(FIRST_USE)]
    if process.returncode or messages:
        return f"status {process.returncode}: {' '.join(messages)[-600:]}"
    return out.strip()
