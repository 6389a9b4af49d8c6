"""Run by the ranks of `test_rank_learner.py`: what the methods of a Learner in ranks give, as lines of JSON."""

from __future__ import annotations

import json
import pickle
import sys
from typing import Any

import numpy as np
from mpi4py import MPI

import minilocal as ml
from minilocal.parallel import Learner
from tests.helpers.host import host

RANK = MPI.COMM_WORLD.rank
net = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
learner = Learner(net, ml.rules.backlink(), 3, rng=ml.rng(1))
x, y = np.ones((4, 8, 8, 3), "f4"), np.arange(4)


def refused(call: Any, *args: Any) -> str:
    """The message of a UserError."""
    try:
        call(*args)
    except ml.UserError as error:
        return str(error)
    return ""


learner.step(x, y, lr=0.1)
weights = {name: np.full_like(a, 0.5) for name, a in net.parameters().items()}
summary = {
    "unknown": refused(learner.load, {"no.such": np.ones(3)} if RANK == 0 else {}),
    "own": list(learner.own_modules),
    "states": len(learner.optimizer_states()),
    "state": len(learner.state()),
    "pickled": refused(pickle.dumps, learner),
    "labels": refused(learner.step, x, y + 9, 0.1),
}
learner.load(weights if RANK == 0 else {})
summary["loaded"] = all((a == 0.5).all() for name, a in learner.parameters().items() if name in weights)
learner.save(sys.argv[1])
summary["logits"] = float(host(learner.predict(x)).sum(dtype="f8"))
MPI.COMM_WORLD.Barrier()
print(json.dumps(summary) + "\n", end="", flush=True)
