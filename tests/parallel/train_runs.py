"""Run by the ranks of `test_run.py`: the runs of a JSON file, one after the other. `train_runs.py RUNS.json`

A run is {"name": NAME, "config": TABLES}, {"name": NAME, "resume": RUN} or {"name": NAME, "fit": true}. With
"stop": [RANK, N] this rank gets SIGTERM when it asks for the stop for the n-th time; with "own lr" each rank has
another learning rate. Each rank prints [NAME, RANK, what came of it] in a line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mpi4py import MPI

import minilocal as ml
from minilocal import parallel
from minilocal.parallel.group import Ranks
from minilocal.train import Interrupted
from minilocal.train.stop import StopRequest
from tests.helpers.fitted import fitted

RANK = MPI.COMM_WORLD.rank


@contextmanager
def stopped(rank: int, questions: int) -> Iterator[None]:
    """This rank gets SIGTERM when it asks for the stop for the n-th time."""
    ask, asked = Ranks.stop, iter(range(10**6))

    def stop(group: Ranks, request: StopRequest) -> bool:
        if next(asked) == questions and rank == RANK:
            os.kill(os.getpid(), signal.SIGTERM)
        return ask(group, request)

    ranks: Any = Ranks
    ranks.stop = stop
    try:
        yield
    finally:
        ranks.stop = ask


def outcome(run: dict[str, Any]) -> Any:
    """The rows of a fit; of a run their number, or the line that ended it."""
    if run.get("fit"):
        return fitted(parallel.Learner)
    try:
        if "resume" in run:
            result = parallel.train(resume=run["resume"])
        else:
            run["config"]["optim"]["lr"] += RANK if run.get("own lr") else 0
            with stopped(*run.get("stop", (-1, 0))):
                result = parallel.train(run["config"])
        return f"{len(result.rows)} rows"
    except Interrupted as end:
        return f"{end}, by signal {end.number}"
    except ml.UserError as error:
        return str(error)


for run in json.loads(Path(sys.argv[1]).read_text()):
    print(json.dumps([run["name"], RANK, outcome(run)]) + "\n", end="", flush=True)
MPI.Finalize()  # fails where a message is left that nobody has received
