"""Run by `part.py` in a process of its own, or in two ranks: many steps, and what the process holds in between.

    work.py CASE STEPS [--kernels KIND] [--threads N] [--leak NAME ...] [--early N]

Prints what it holds after EARLY steps (a tenth) and at the end, a line of JSON each.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import minilocal as ml
from minilocal import layers
from tests.faults.long_run.leaks import LEAKS
from tests.faults.long_run.process import Held

CLASSES, SIDE = 4, 16
RULES: dict[str, Callable[[], ml.rules.Rule]] = {
    "backlink": lambda: ml.rules.backlink(length=1),
    "pgl": lambda: ml.rules.pgl(period=2, duration=1),
    "ddg": lambda: ml.rules.ddg(),
    "fdg": lambda: ml.rules.fdg(),
    "dgl": lambda: ml.rules.dgl(buffer=3),
}


def network() -> ml.nets.Net:
    """A stem that halves 16×16 images, two residual blocks and a dropout: what a step of a few milliseconds has."""
    initial = layers.Initializer.of(ml.rng(0))
    stem = layers.Conv(3, 16, 3, initial, stride=2, pad=1, name="conv1")
    units: list[layers.Layer] = [
        layers.Sequential([stem, layers.BatchNormReLU(16, initial, name="bn1")], "stem"),
        layers.Residual(16, 16, 1, initial, name="block1"),
        layers.Sequential([layers.Residual(16, 16, 1, initial, name="block2"), layers.Dropout(0.1, name="drop")], "u3"),
    ]
    last = layers.Linear(16, CLASSES, initial, name="fc", last=True)
    head = layers.Sequential([layers.GlobalAveragePool(), layers.Flatten(), last], "head")
    return ml.nets.Net("small", units, head, CLASSES, (SIDE, SIDE, 3), initial)


def learner(rule: str, kind: Any = ml.Learner) -> Any:
    """The network in three modules."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return kind(network(), RULES[rule](), 3, rng=ml.rng(1))


def batches(steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of 8 to 16 images, new arrays each."""
    rng = ml.rng(2)
    x, y = rng.standard_normal((64, SIDE, SIDE, 3)).astype("float32"), np.arange(64) % CLASSES
    for step in range(steps):
        at, number = step % 48, 8 + step % 9
        yield x[at : at + number].copy(), y[at : at + number].copy()


def by_steps(trained: Any, steps: int, early: int, after: Callable[[], object], say: Callable[[Held], None]) -> None:
    """Steps, with an evaluation, the local logits and a state now and then; an epoch has a hundred."""
    for step, (x, y) in enumerate(batches(steps), 1):
        trained.epoch = step // 100
        trained.step(x, y, lr=0.01)
        after()
        if step % 50 == 0:
            trained.predict(x)
        if step % 100 == 0:
            trained.state()
            if hasattr(trained, "local_logits") and type(trained) is ml.Learner:
                trained.local_logits(x)
        if step in (early, steps):
            say(Held.now(step))


def by_epochs(epochs: int, early: int, say: Callable[[Held], None]) -> None:
    """A run of `train` with a folder: each epoch writes a row and a checkpoint, and evaluates."""
    from minilocal.train import train

    config: dict[str, dict[str, Any]] = {
        "rule": {"name": "backlink"},
        "net": {"name": "resnet8", "modules": 3},
        "data": {"name": "digits", "limit_train": 32, "limit_test": 16},
        "optim": {"epochs": epochs, "batch_size": 16, "lr": 0.01},
        "run": {"threads": 1},
    }
    with tempfile.TemporaryDirectory() as folder:
        config["run"]["out"] = str(Path(folder) / "run")

        def on_epoch(row: dict[str, Any]) -> None:
            if row["epoch"] in (early, epochs):
                say(Held.now(row["epoch"]))

        train(config, on_epoch=on_epoch, bar=False)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=[*RULES, "train", "ranks"])
    parser.add_argument("steps", type=int)
    parser.add_argument("--kernels", default="numpy")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--leak", choices=LEAKS, nargs="*", default=())
    parser.add_argument("--early", type=int)
    options = parser.parse_args()
    early = options.early or options.steps // 10
    ml.use_threads(options.threads)
    ml.use_kernels(options.kernels)

    def say(held: Held) -> None:
        print(json.dumps(asdict(held)) + "\n", end="", flush=True)

    if options.case == "train":
        return by_epochs(options.steps, early, say)
    kind: Any = ml.parallel.Learner if options.case == "ranks" else ml.Learner
    trained = learner("backlink" if options.case == "ranks" else options.case, kind)
    leaking = [LEAKS[name](trained) for name in options.leak]
    by_steps(trained, options.steps, early, lambda: [leak() for leak in leaking], say)


if __name__ == "__main__":
    main()
