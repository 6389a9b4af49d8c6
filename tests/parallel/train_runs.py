"""Run by the ranks of `test_run.py`: a run that several ranks train, from a configuration in a JSON file, or resumed.

train_runs.py CONFIG.json        a new run        train_runs.py --resume RUN        train_runs.py --stop N ...
train_runs.py --own-lr CONFIG.json    each rank with another learning rate
"""

from __future__ import annotations

import json
import os
import signal
import sys
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


def stop_by_signal(rank: int, questions: int) -> None:
    """Let this rank get SIGTERM when it asks for the stop for the n-th time."""
    ask, asked = Ranks.stop, iter(range(10**6))

    def stop(group: Ranks, request: StopRequest) -> bool:
        if next(asked) == questions and rank == RANK:
            os.kill(os.getpid(), signal.SIGTERM)
        return ask(group, request)

    ranks: Any = Ranks
    ranks.stop = stop


words = sys.argv[1:]
if words[0] == "--stop":
    stop_by_signal(int(words[1]), int(words[2]))
    words = words[3:]
if words[0] == "--fit":
    print(json.dumps(fitted(parallel.Learner)) + "\n", end="", flush=True)
    sys.exit()
if words[0] == "--own-lr":
    tables = json.loads(Path(words[1]).read_text())
    tables["optim"]["lr"] += RANK
    try:
        parallel.train(tables)
    except ml.UserError as error:
        print(f"{error}\n", end="", flush=True)
    sys.exit()
try:
    if words[0] == "--resume":
        result = parallel.train(resume=words[1])
    else:
        result = parallel.train(json.loads(Path(words[0]).read_text()))
    print(f"rank {RANK}: {len(result.rows)} rows\n", end="", flush=True)
except Interrupted as stopped:
    print(f"rank {RANK}: {stopped}, by signal {stopped.number}\n", end="", flush=True)
MPI.Finalize()  # fails where a message is left that nobody has received
