"""The run time of local training in two processes on two cores, beside backpropagation in one.

    python docs/benchmarks/parallel.py        writes docs/benchmarks/parallel.json and parallel.md, in half an hour

Two MPI ranks hold a Learner of every rule, and one of them BP's Learner too. They take turns: in each round each of
them takes a few steps, and what counts is the time between the ends of its steps, when the ranks' pipeline is full.
While BP runs in one process the other rank sleeps. Modules are cut by measured time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

import minilocal as ml
from minilocal.kernels.threads import use_threads
from minilocal.record import atomic_write, current_environment

HERE = Path(__file__).parent
BATCH, STEPS, ROUNDS, SLEEP = 128, 3, 5, 0.01
NETS = {"resnet32": "0c1f", "resnet110": "1c2f"}  # with the auxiliary networks of the papers' tables
SGD = ml.optim.SGD(momentum=0.9, weight_decay=1e-4)
BP = {"BP, one core": 1, "BP, two threads": 2}

NOTES = """# Modules that train at once, on two cores

Seconds of a training step on {batch} images of CIFAR-10's size: K = 2 modules in P = 2 processes, one BLAS thread each,
beside BP in one process. Made by `python docs/benchmarks/parallel.py --rounds {rounds}` (machine: `parallel.json`):
{rounds} rounds in which all rows take turns; the median of all steps, with the pipeline full. The modules are cut by
measured time (`--balance time`); *units* are theirs.

For more modules than cores, beside the papers' figures, see the simulator in
[parallel.md](../parallel.md#simulate-more-devices-than-you-have).

"""


HEAD = "| | units | seconds a step | BP on one core = 1 |\n|---|---|---|---|\n"


def rules(aux: str) -> dict[str, ml.rules.Rule]:
    """The rows of the table that two ranks train."""
    links = {f"BackLink l = {n}": ml.rules.backlink(length=n, aux=aux) for n in (1, 2, 4)}
    return {"GLL": ml.rules.gll(aux=aux), **links, "DDG": ml.rules.ddg(), "FDG": ml.rules.fdg()}


# ---------------------------------------------------------------------- in each rank


def measure(net: str, aux: str, rounds: int) -> dict[str, dict[str, Any]]:
    """{row: the units of its modules, and the seconds of each of its steps}, in one of two ranks."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    use_threads(1)
    network = ml.nets.get(net, rng=ml.rng(0))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((BATCH, *network.shape), dtype="float32"), rng.integers(10, size=BATCH)
    rows: dict[str, dict[str, Any]] = {name: {"units": [len(network.units)], "seconds": []} for name in BP}
    learners: dict[str, ml.Learner] = {}
    for name, rule in rules(aux).items():
        sizes = comm.bcast(ml.costs.measure(network, rule, 2, "time", images=BATCH).cut() if comm.rank == 0 else None)
        learners[name] = ml.parallel.Learner(network, rule, sizes, rng=ml.rng(1), optimizer=SGD)
        rows[name] = {"units": sizes, "seconds": []}
        wait(comm)
    one = ml.Learner(network, ml.rules.bp(), 1, rng=ml.rng(1), optimizer=SGD)
    for _ in range(rounds):
        for name, threads in BP.items():
            if comm.rank == 0:
                use_threads(threads)
                rows[name]["seconds"] += intervals(one, x, y, 1)
                use_threads(1)
            wait(comm)
        for name, learner in learners.items():
            rows[name]["seconds"] += intervals(learner, x, y, 3)
            learner.state()  # everything of these steps has crossed
            wait(comm)
    return rows


def intervals(learner: ml.Learner, x: np.ndarray, y: np.ndarray, warm: int) -> list[float]:
    """The seconds between the ends of STEPS steps that follow `warm` others."""
    ends = []
    for _ in range(warm + STEPS):
        learner.step(x, y, lr=1e-4)
        ends.append(time.perf_counter())
    return [after - before for before, after in zip(ends[warm - 1 :], ends[warm:], strict=False)]


def wait(comm: Any) -> None:
    """Meet the other rank, asleep until then: a rank that waits inside MPI would keep a core busy."""
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(SLEEP)


# ---------------------------------------------------------------------- the table


def merged(ranks: list[dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """A row for each name: its median over all steps, the slower rank's, and its ratio to BP on one core."""
    rows = []
    for name, first in ranks[0].items():
        seconds = [rank[name]["seconds"] for rank in ranks]
        median = max(statistics.median(own) for own in seconds if own)
        rows.append({"row": name, "units": first["units"], "median": median, "seconds": seconds})
    return [{**row, "ratio": row["median"] / rows[0]["median"]} for row in rows]


def markdown(results: dict[str, list[dict[str, Any]]], rounds: int) -> str:
    """The page."""
    page = NOTES.format(batch=BATCH, rounds=rounds)
    for net, rows in results.items():
        page += f"## {net}, auxiliary network {NETS[net]}\n\n{HEAD}"
        for row in rows:
            units = ", ".join(map(str, row["units"]))
            page += f"| {row['row']} | {units} | {row['median']:.3f} | {row['ratio']:.2f} |\n"
        page += "\n"
    return page.rstrip() + "\n"


def main() -> None:
    """Measure, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", default=",".join(NETS), help="which networks")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", default=str(HERE / "parallel"), help="without its ending")
    options = parser.parse_args()
    results = {
        net: merged(ml.parallel.launch(f"{__file__}:measure", net, NETS[net], options.rounds, processes=2))
        for net in options.nets.split(",")
    }
    record = {"rounds": options.rounds, "steps": STEPS, "environment": current_environment(), "results": results}
    with atomic_write(f"{options.out}.json") as file:
        file.write((json.dumps(record, indent=1) + "\n").encode())
    with atomic_write(f"{options.out}.md") as file:
        file.write(markdown(results, options.rounds).encode())
    print(markdown(results, options.rounds))


if __name__ == "__main__":
    main()
