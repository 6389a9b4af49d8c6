"""Does it change learning which error enters equation (4)? GLL and the three readings, seed by seed, on the digits.

    python docs/benchmarks/readings.py [--seeds 24]        writes docs/benchmarks/readings.json and readings.md

Every module is one unit and l = 1, so that every linked unit below the last two modules has a linked unit above it;
α = 0.5, linear classifiers, SGD with momentum 0.9. Two networks: an MLP of eight hidden layers of 64 (K = 9, 12 epochs
at a constant rate of 0.02, no decay), and ResNet-14 (K = 7, 5 epochs, a cosine from 0.1, decay 1e-4, as in `minilocal
demo`). A seed names weights and order, the same for all four rules, so differences are of pairs; after ± stands the
standard error over the seeds. Learning rates were chosen once and not tuned for any rule: an indication, not a ranking.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import minilocal as ml
from minilocal.record import atomic_write

HERE = Path(__file__).parent
BATCH = 64
RULES = {
    "GLL": ml.rules.gll(),
    "BackLink, own error": ml.rules.backlink(error="own"),
    "BackLink, own error, scaled": ml.rules.backlink(error="own-scaled"),
    "BackLink, total error": ml.rules.backlink(error="total"),
}


@dataclass(frozen=True)
class Subject:
    """A network and its training: epochs, learning rates, weight decay."""

    net: Callable[..., ml.nets.Net]
    epochs: int
    schedule: ml.optim.Schedule
    decay: float


SUBJECTS = {
    "MLP, K = 9": Subject(lambda **kw: ml.nets.mlp([64] * 8, **kw), 12, ml.optim.schedule("constant", 0.02, 12), 0.0),
    "ResNet-14, K = 7": Subject(lambda **kw: ml.nets.resnet(14, **kw), 5, ml.optim.schedule("cosine", 0.1, 5), 1e-4),
}


def error(subject: Subject, rule: ml.rules.Rule, seed: int, digits: ml.data.DataSet) -> float:
    """Test error in percent after the last epoch."""
    rng = ml.rng(seed)
    net = subject.net(channels=digits.channels, size=digits.size, rng=rng)
    optimizer = ml.optim.SGD(momentum=0.9, weight_decay=subject.decay)
    learner = ml.Learner(net, rule, len(net.units), rng=rng, optimizer=optimizer)
    for learner.epoch in range(subject.epochs):
        lr = subject.schedule.lr(learner.epoch)
        for x, y in digits.batches(learner.epoch, BATCH, key=seed):
            learner.step(x, y, lr=lr)
    return 100 * float((learner.predict(digits.normalise(digits.test_x)).argmax(1) != digits.test_y).mean())


def page(errors_of: dict[str, dict[str, list[float]]], seeds: int) -> str:
    """The Markdown page: for each network the mean errors and the paired differences."""
    lines = ["# Which error enters equation (4), and what it changes", "", *(__doc__ or "").splitlines()[4:]]
    for net, errors in errors_of.items():
        lines += ["", f"## {net}, {seeds} seeds", "", "| rule | test error, % |", "|---|---|"]
        lines += [
            f"| {name} | {np.mean(of_rule):.2f} ± {_deviation(of_rule):.2f} |" for name, of_rule in errors.items()
        ]
        lines += ["", "| difference | points |", "|---|---|"]
        for a, b in combinations(errors, 2):
            gap = np.subtract(errors[a], errors[b])
            lines.append(f"| {a} - {b} | {gap.mean():+.2f} ± {_deviation(gap):.2f} |")
    return "\n".join([*lines, "", "Made by `python docs/benchmarks/readings.py`.", ""])


def _deviation(numbers: Any) -> float:
    """The standard error of the mean."""
    return float(np.std(numbers, ddof=1) / np.sqrt(np.size(numbers)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=24)
    seeds, digits = parser.parse_args().seeds, ml.data.load("digits")
    errors = {
        net: {
            name: [error(subject, rule, seed, digits) for seed in tqdm(range(seeds), desc=f"{net}, {name}")]
            for name, rule in RULES.items()
        }
        for net, subject in SUBJECTS.items()
    }
    with atomic_write(HERE / "readings.json") as file:
        file.write(json.dumps({"seeds": seeds, "errors": errors}, indent=1).encode())
    with atomic_write(HERE / "readings.md") as file:
        file.write(page(errors, seeds).encode())


if __name__ == "__main__":
    main()
