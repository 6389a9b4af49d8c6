"""Does it change learning which error enters equation (4)? GLL and the three readings, seed by seed, on the digits.

    python docs/benchmarks/readings.py [--seeds 24]        writes docs/benchmarks/readings.json and readings.md

An MLP of eight hidden layers of 64, one layer a module (K = 9), so that every linked layer below the last two has a
linked layer above it; l = 1, α = 0.5, linear classifiers, 12 epochs of plain SGD with momentum 0.9 at one learning
rate, chosen once. A seed names weights and order, the same for all four, so differences are of pairs; after each stands
its standard error over the seeds. One network and one set of images: an indication, not a ranking.
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path

import numpy as np
from tqdm import tqdm

import minilocal as ml
from minilocal.data import batches
from minilocal.record import written_aside

HERE = Path(__file__).parent
LAYERS, WIDTH, EPOCHS, BATCH, LR = 8, 64, 12, 64, 0.02
RULES = {"GLL": ml.rules.gll()} | {e: ml.rules.backlink(error=e) for e in ("own", "own-scaled", "total")}
WORDS = {
    "GLL": "GLL", "own": "BackLink, own error", "own-scaled": "BackLink, own error, scaled",
    "total": "BackLink, total error",
}  # fmt: skip


def error(rule: ml.rules.Rule, seed: int, digits: ml.data.DataSet) -> float:
    """Test error in percent after the last epoch."""
    rng = ml.rng(seed)
    net = ml.nets.mlp([WIDTH] * LAYERS, channels=digits.channels, size=digits.size, rng=rng)
    learner = ml.Learner(net, rule, LAYERS + 1, rng=rng)
    for learner.epoch in range(EPOCHS):
        for _, x, y in batches(
            digits.train_x, digits.train_y, digits, BATCH, key=seed, epoch=learner.epoch, augment=False
        ):
            learner.step(x, y, lr=LR)
    return 100 * float((learner.predict(digits.normalise(digits.test_x)).argmax(1) != digits.test_y).mean())


def page(errors: dict[str, list[float]]) -> str:
    """The table of means, and that of paired differences."""
    seeds = len(errors["GLL"])
    lines = ["# Which error enters equation (4), and what it changes", "", *(__doc__ or "").splitlines()[4:], ""]
    lines += [f"{seeds} seeds, 0 to {seeds - 1}.", "", "| rule | test error, % |", "|---|---|"]
    lines += [f"| {WORDS[name]} | {np.mean(found):.2f} ± {_deviation(found):.2f} |" for name, found in errors.items()]
    lines += ["", "| difference | points |", "|---|---|"]
    for a, b in combinations(errors, 2):
        gap = np.subtract(errors[a], errors[b])
        lines.append(f"| {WORDS[a]} - {WORDS[b]} | {gap.mean():+.2f} ± {_deviation(gap):.2f} |")
    return "\n".join([*lines, "", "Made by `python docs/benchmarks/readings.py`.", ""])


def _deviation(numbers: object) -> float:
    return float(np.std(numbers, ddof=1) / np.sqrt(np.size(numbers)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=24)
    seeds, digits = parser.parse_args().seeds, ml.data.load("digits")
    errors = {
        name: [error(rule, seed, digits) for seed in tqdm(range(seeds), desc=name)] for name, rule in RULES.items()
    }
    with written_aside(HERE / "readings.json") as file:
        file.write(json.dumps({"seeds": seeds, "errors": errors}, indent=1).encode())
    with written_aside(HERE / "readings.md") as file:
        file.write(page(errors).encode())


if __name__ == "__main__":
    main()
