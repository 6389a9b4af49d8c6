"""Simulated step times beside real ones: two MPI ranks on this machine, one thread each.

    python docs/benchmarks/parallel_check.py --net resnet32 --modules 2 --out parallel-check.json

In each round the parts of the network are timed, in both ranks at the same time, then the link, then a few steps of
each rule in one process and in two ranks. Rounds are short and compared one by one, since a machine's speed moves. The
status is 1 where the median difference of a rule is more than 15 %.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import minilocal as ml
from minilocal.kernels.threads import use_threads
from minilocal.learner import Learner
from minilocal.parallel.simulate import Link
from minilocal.parallel.simulate.costs import PartCosts
from minilocal.parallel.simulate.measure import MOMENTUM, Measure, Table
from minilocal.parallel.simulate.table import Simulator
from minilocal.record import atomic_write, current_environment
from minilocal.rules import registry

RULES = ("bp", "gll", "backlink:length=1", "backlink:length=2", "ddg", "fdg")
CLOSE = 0.15
WARM, BYTES, TURNS = 2, 8_000_000, 6


def rule_of(text: str, aux: str) -> ml.rules.Rule:
    """The rule of a text, with this auxiliary network where it has one."""
    name = text.partition(":")[0]
    return registry.parse("rule", text, **({"aux": aux} if "aux" in ml.rules.options(name) else {}))


# ---------------------------------------------------------------------- in each rank


def measure(
    net: str, rules: list[str], aux: str, modules: int, images: int, steps: int, rounds: int
) -> list[dict[str, Any]]:
    """For each round the costs of all parts, the link, and the seconds of a step of each rule, in one of two ranks."""
    from mpi4py import MPI

    comm, network = MPI.COMM_WORLD, ml.nets.get(net, rng=ml.rng(0))
    use_threads(1)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((images, *network.shape), dtype="float32"), rng.integers(network.classes, size=images)
    own = [rule_of(text, aux) for text in rules]
    alone = [Learner(network, rule, modules, rng=ml.rng(1), optimizer=MOMENTUM) for rule in own]
    ranked = [ml.parallel.Learner(network, rule, modules, rng=ml.rng(1), optimizer=MOMENTUM) for rule in own]
    results = []
    for number in range(rounds + 1):  # the first one warms up, and fills what delayed rules have in flight
        wait(comm)
        row: dict[str, Any] = {"parts": parts(network, alone, images), "link": link(comm)}
        for text, one, two in zip(rules, alone, ranked, strict=True):
            row[text] = {"1": seconds(one, x, y, steps) if comm.rank == 0 else 0.0}
            wait(comm)
            row[text]["2"] = seconds(two, x, y, steps)
            two.state()  # everything of these steps has crossed
        if number:
            results.append(row)
    return results


def seconds(learner: Learner, x: np.ndarray, y: np.ndarray, steps: int) -> float:
    """Mean seconds between the ends of steps, after some that fill the pipeline."""
    for _ in range(WARM):
        learner.step(x, y, lr=1e-4)
    start = time.perf_counter()
    for _ in range(steps):
        learner.step(x, y, lr=1e-4)
    return (time.perf_counter() - start) / steps


def wait(comm: Any) -> None:
    """Meet the other rank, asleep until then: a rank that waits inside MPI would keep a core busy."""
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(0.01)


def parts(network: ml.nets.Net, learners: list[Learner], images: int) -> dict[str, Any]:
    """The costs of all parts, timed in each rank while the other times its own."""
    table: Table = {}
    timed = Measure(network, images, table, optimizer=MOMENTUM, least=0.0, fewest=3)
    for learner in learners:
        timed.modules(learner.modules)
    timed.modules(Learner(network, ml.rules.bp(), 1, rng=ml.rng(0)).modules)
    return {key: asdict(costs) for key, costs in table.items()}


def link(comm: Any) -> tuple[float, float]:
    """(latency, bandwidth) between two ranks: of 1 byte, and of 8 MB without that."""
    medians = []
    for nbytes in (1, BYTES):
        buffer, times = np.zeros(nbytes, np.uint8), []
        for _ in range(TURNS):
            comm.Barrier()
            start = time.perf_counter()
            if comm.rank == 0:
                comm.Send(buffer, 1)
                comm.Recv(buffer, 1)
            else:
                comm.Recv(buffer, 0)
                comm.Send(buffer, 0)
            times.append((time.perf_counter() - start) / 2)
        medians.append(statistics.median(times))
    return medians[0], BYTES / max(medians[1] - medians[0], 1e-9)


# ---------------------------------------------------------------------- beside each other


def beside(options: argparse.Namespace, ranks: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """For each round {rule: simulated and measured seconds, in one process and in two ranks}, and the link."""
    network, rounds = ml.nets.get(options.net, rng=ml.rng(0)), []
    for first, second in zip(*ranks, strict=True):
        keys = first["parts"].keys()
        table = {key: mean([PartCosts(**one["parts"][key]) for one in (first, second)]) for key in keys}
        simulator = Simulator(network, options.batch_size, Link(*first["link"]), table)
        row: dict[str, Any] = {"link": first["link"]}
        for text in options.rules:
            rule = rule_of(text, options.aux)
            row[text] = {
                str(processes): {
                    "simulated": simulator.schedule(rule, options.modules, processes).step,
                    "measured": max(one[text][str(processes)] for one in (first, second)),
                }
                for processes in (1, 2)
            }
        rounds.append(row)
    return rounds


def mean(costs: list[PartCosts]) -> PartCosts:
    """The mean of several measurements of one part."""
    fields = [asdict(one) for one in costs]
    return PartCosts(**{key: type(value)(statistics.mean(f[key] for f in fields)) for key, value in fields[0].items()})


def compare(rounds: list[dict[str, Any]], text: str, ranks: str) -> tuple[float, float, float]:
    """(simulated, measured, relative difference) of a rule: medians over the rounds."""
    pairs = [(one[text][ranks]["simulated"], one[text][ranks]["measured"]) for one in rounds]
    simulated, measured = (statistics.median(values) for values in zip(*pairs, strict=True))
    return simulated, measured, statistics.median(s / m - 1 for s, m in pairs)


def main() -> int:
    """Compare, print, and write everything as JSON."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--net", default="resnet32")
    p.add_argument("--aux", default="1c2f")
    p.add_argument("--rules", nargs="+", default=list(RULES))
    p.add_argument("--modules", type=int, default=2)
    p.add_argument("--batch-size", type=int, default=64)
    p.add_argument("--steps", type=int, default=3)
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--out")
    options = p.parse_args()
    words = options.net, options.rules, options.aux, options.modules, options.batch_size, options.steps, options.rounds
    ranks = ml.parallel.launch(f"{Path(__file__).resolve()}:measure", *words, processes=2)
    rounds = beside(options, ranks)
    print(f"{options.net}, K = {options.modules}, {options.batch_size} images; simulated / measured seconds a step\n")
    print("| rule | one process | difference | two ranks | difference |\n|---|---|---|---|---|")
    worst = 0.0
    for text in options.rules:
        cells = []
        for ranks in ("1", "2"):
            simulated, measured, off = compare(rounds, text, ranks)
            cells += [f"{simulated:.3f} / {measured:.3f}", f"{100 * off:+.1f} %"]
            worst = max(worst, abs(off)) if ranks == "2" else worst
        print(f"| {text} | {' | '.join(cells)} |")
    print(f"\nThe largest difference in two ranks is {100 * worst:.1f} %.")
    if options.out:
        document = {"asked": vars(options), "environment": current_environment(), "rounds": rounds}
        with atomic_write(options.out) as file:
            file.write(json.dumps(document, indent=1).encode())
    return int(worst > CLOSE)


if __name__ == "__main__":
    raise SystemExit(main())
