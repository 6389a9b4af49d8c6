"""Long runs: what a process holds after 1 000 steps is what it holds after 10 000."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from tests.faults.long_run.leaks import LEAKS
from tests.faults.long_run.process import GROWTH, Held, grown
from tests.faults.long_run.runs import held
from tests.faults.measured import Broken, Figure, Measured
from tests.faults.page import table

TITLE = "Long runs"
ABOUT = f"""
Steps on batches of changing size, with predictions and states in between, in a process of its own: 10 000 of
BackLink, with NumPy's kernels on two threads, with Numba's, and in two MPI ranks; 2 000 of FDG, DDG, asynchronous DGL
and PGL; and a run of 500 epochs by `train`, with as many checkpoints and rows. From a tenth of the way to the end the
resident set grows by at most {100 * GROWTH:.0f} %, and no descriptor, thread or process is added.
"""
MINUTES = 6.0

LEAK_STEPS = 120
Case = tuple[str, str, int, tuple[str, ...]]  # what, the case of work.py, its steps, and other options


def cases(part_of: float = 1.0) -> Iterator[Case]:
    """All cases, or so much of each."""

    def steps(number: int) -> int:
        return max(10, round(number * part_of))

    yield "BackLink, NumPy kernels, 2 threads", "backlink", steps(10_000), ()
    if find_spec("numba"):
        yield "BackLink, Numba kernels", "backlink", steps(10_000), ("--kernels", "numba", "--threads", "1")
    if find_spec("mpi4py"):
        yield "BackLink, 2 ranks", "ranks", steps(10_000), ()
    yield "FDG", "fdg", steps(2000), ()
    yield "DDG", "ddg", steps(2000), ()
    yield "DGL, asynchronous", "dgl", steps(2000), ()
    yield "PGL", "pgl", steps(2000), ()
    yield "epochs of `train`", "train", steps(500), ()


def run(minutes: float) -> Measured:
    """All cases, as long as they take; of fewer minutes than MINUTES, shorter ones."""
    figures, failures, rows = [], [], []
    for what, case, steps, options in cases(min(1.0, minutes / MINUTES)):
        try:
            processes = held(case, steps, *options)
        except RuntimeError as error:
            processes, wrong = [], [str(error).replace("\n", " ")]
        else:
            wrong = [fault for early, last in processes for fault in grown(early, last)]
        unit = "epochs" if case == "train" else "steps"
        figures.append(Figure(f"{what}: {steps:,} {unit}", 1, 0 if wrong else 1))
        failures += [f"{what}: {fault}" for fault in wrong]
        rows += [row(what, *both) for both in processes]
    head = ("run", "resident MB, early", "at the end", "", "descriptors", "threads", "children")
    return Measured(figures, broken(), failures, table(head, rows))


def row(what: str, early: Held, last: Held) -> tuple[object, ...]:
    """A row of the table: early and last."""
    share = f"{100 * (last.resident / early.resident - 1):+.2f} %"
    counts = [f"{getattr(early, name)}, {getattr(last, name)}" for name in ("descriptors", "threads", "children")]
    return what, f"{early.resident / 1e6:.1f}", f"{last.resident / 1e6:.1f}", share, *counts


def broken() -> list[Broken]:
    """Each kind of leak, put in on purpose: it must be seen within LEAK_STEPS steps."""
    collected = []
    for name in LEAKS:
        ((early, last),) = held("backlink", LEAK_STEPS, "--leak", name, "--early", str(LEAK_STEPS // 2))
        collected.append(Broken(f"nothing kept of a step: its {name} kept", 1, int(bool(grown(early, last)))))
    return collected
