"""The cost of each rule on one network: CPU seconds and bytes of a step beside BP's, and the parameters that it adds.

    python docs/benchmarks/rules.py        writes docs/benchmarks/rules.json and rules.md, in some minutes

ResNet-32 for CIFAR-10 cut into 4 and into 16 modules, 64 images a step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import minilocal as ml
from minilocal.kernels.threads import available
from minilocal.record import atomic_write, current_environment
from minilocal.summary import network_size

HERE = Path(__file__).parent
NET, BATCH, ROUNDS = "resnet32", 64, 5
SGD, ADAM = ml.optim.SGD(momentum=0.9, weight_decay=1e-4), ml.optim.Adam()
R = ml.rules
INFOPRO = {4: [6, 0, 1, 2], 16: [5, 0.05, 0.2, 0.5]}  # the published λ of ResNet-32 on CIFAR-10


NOTES = """# What each rule costs

One step of ResNet-32 on 64 images of CIFAR-10's size, the network cut into K = 4 or 16 modules; BP = 1. Made by
`python docs/benchmarks/rules.py` on {cores} cores (rows, and the machine, in `rules.json`).

* **CPU seconds**, of all threads: a step of the rule over a step of BP, the two taking turns in one process; the median
  of {rounds} turns. They count work, whatever else the machine does meanwhile. PGL's is the mean over a period, since
  its epochs differ.
* **bytes**: the peak of a step above parameters, running statistics and optimiser state. Batches that a delayed rule
  has in flight are counted. PGL's is a global epoch's, where it is BP.
* **parameters added**: auxiliary networks and synthesisers, which are not part of the trained network, and contexts,
  which are.
* **tested**: the multiply-adds of the network that is tested over the plain network's. Contexts enlarge it; the row of
  BP with contexts is the fair baseline of ContSup.

The auxiliary networks are each rule's default: a linear classifier (0c1f) for GLL, BackLink and Interlocking, whose n
is 1 where no other is said. AugLocal's d is 2, and its modules are cut evenly, as all others. DNI learns with Adam.
For bytes on ResNet-110, and for K = 2 to 16, see [memory.md](memory.md); for seconds beside PyTorch, [cpu.md](cpu.md).

"""


def recipes(K: int) -> dict[str, tuple[Any, Any]]:
    """{name: (rule, optimiser)} for K modules."""
    infopro = ml.objectives.infopro(INFOPRO[K])
    rows = {
        "BP": R.bp(),
        "BP, checkpointed": R.bp(keep="inputs"),
        "GLL": R.gll(),
        "BackLink": R.backlink(length=1),
        "DGL": R.dgl(),
        "PredSim": R.predsim(),
        "InfoPro": R.infopro(lambdas=INFOPRO[K]),
        "PGL": R.pgl(period=3, duration=1),
        "DNI": R.dni(labels=True),
        "DDG": R.ddg(),
        "FDG": R.fdg(),
        "Interlocking": R.interlocking(reach=1),
        "Interlocking, n = 3": R.interlocking(reach=3),
        "AugLocal": R.auglocal(depth=2),
        "HPFF": R.hpff(lambdas=INFOPRO[K]),
        "MAN": R.man(),
        "ContSup, E": R.contsup(context="E"),
        "ContSup, R1E": R.contsup(context="R1E"),
        "BP, contexts E": R.bp(context="E"),
        "BP, contexts R1E": R.bp(context="R1E"),
        "BackLink + InfoPro": R.compose("BackLink + InfoPro", objective=infopro, boundary=ml.boundaries.link(1)),
        "PGL + BackLink": R.pgl(period=3, duration=1, around=R.backlink(length=1)),
    }
    return {name: (rule, ADAM if name == "DNI" else SGD) for name, rule in rows.items()}


def measure(name: str, K: int) -> dict[str, Any]:
    """The row of a rule: CPU seconds over BP's, peak bytes of a step, parameters added."""
    rule, optimizer = recipes(K)[name]
    rng = ml.rng(0)
    net = ml.nets.get(NET, rng=rng)
    x, y = rng.standard_normal((BATCH, 32, 32, 3), dtype=np.float32), rng.integers(0, 10, BATCH)
    learner = ml.Learner(net, rule, K, rng=ml.rng(1), optimizer=optimizer)
    return {
        "rule": name,
        "K": K,
        "seconds": _seconds(net, rule, optimizer, K, x, y),
        "bytes": _bytes(net, rule, optimizer, K, x, y),
        "tested": network_size(learner).multiply_adds / net.macs,
        "added": sum(a.size for a in learner.parameters().values()) - ml.nets.count(net.parameters()),
    }


def _seconds(net: Any, rule: Any, optimizer: Any, K: int, x: Any, y: Any) -> float:
    """CPU time of a step over a step of BP; for a rule with global epochs, the mean over a period."""
    if rule.when.guided:
        return statistics.mean(_ratio(net, rule, optimizer, K, x, y, epoch) for epoch in range(rule.when.period))
    return _ratio(net, rule, optimizer, K, x, y, 0)


def _ratio(net: Any, rule: Any, optimizer: Any, K: int, x: Any, y: Any, epoch: int) -> float:
    """The median over rounds of a warm step's CPU time over that of a warm step of BP."""
    pair = [ml.Learner(net, r, K, rng=ml.rng(1), optimizer=optimizer) for r in (rule, R.bp())]
    pair[0].epoch = epoch
    for _ in range(rule.least_batches(K)):
        pair[0].step(x, y, lr=1e-4)
    pair[1].step(x, y, lr=1e-4)
    ratios = []
    for _ in range(ROUNDS):
        seconds = []
        for learner in pair:
            start = time.process_time()
            learner.step(x, y, lr=1e-4)
            seconds.append(time.process_time() - start)
        ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios)


def _bytes(net: Any, rule: Any, optimizer: Any, K: int, x: Any, y: Any) -> int:
    """Peak bytes of a step in the steady state, above the Learner's parameters, statistics and optimiser state."""
    tracemalloc.start()
    learner = ml.Learner(net, rule, K, rng=ml.rng(1), optimizer=optimizer)
    learner.epoch = rule.when.period - 1 if rule.when.guided else 0
    for _ in range(rule.least_batches(K)):
        learner.step(x, y, lr=1e-4)
    tracemalloc.reset_peak()
    learner.step(x, y, lr=1e-4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    between_steps = sum(a.nbytes for name, a in learner.state().items() if not name.startswith("flight:"))
    return peak - between_steps


def table(rows: list[dict[str, Any]]) -> str:
    """The rows for K = 4 and K = 16 side by side, in Markdown."""
    by = {(row["rule"], row["K"]): row for row in rows}
    lines = [
        "| rule | CPU seconds, K = 4 | 16 | bytes, K = 4 | 16 | parameters added, K = 4 | 16 | tested, K = 4 | 16 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["rule"] for row in rows):
        four, sixteen = by[name, 4], by[name, 16]
        seconds = [f"{row['seconds']:.2f}" for row in (four, sixteen)]
        bytes = [f"{row['bytes'] / by['BP', row['K']]['bytes']:.2f}" for row in (four, sixteen)]
        added = [f"{row['added']:,}" for row in (four, sixteen)]
        tested = [f"{row['tested']:.2f}" for row in (four, sixteen)]
        lines.append("| " + " | ".join([name, *seconds, *bytes, *added, *tested]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    warnings.simplefilter("ignore")
    rows, cases = [], [(name, K) for K in (4, 16) for name in recipes(K)]
    for name, K in tqdm(cases, disable=None):
        rows.append(measure(name, K))
        print(rows[-1], flush=True)
    document = {"command": "python docs/benchmarks/rules.py", "environment": current_environment(), "rows": rows}
    with atomic_write(HERE / "rules.json") as file:
        file.write((json.dumps(document, indent=1) + "\n").encode())
    with atomic_write(HERE / "rules.md") as file:
        file.write((NOTES.format(cores=available(), rounds=ROUNDS) + table(rows)).encode())


if __name__ == "__main__":
    main()
