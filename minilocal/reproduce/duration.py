"""The time that a plan takes on this machine: its multiply-adds, at the pace of two measured steps."""

from __future__ import annotations

import time
from functools import cache
from statistics import mean

import numpy as np

from minilocal import costs
from minilocal.config import Config
from minilocal.data import load
from minilocal.data.official import FORMATS
from minilocal.report.bytes import IMAGES
from minilocal.reproduce.plan import Plan
from minilocal.sweep.cells import fingerprint
from minilocal.train.from_config import learner_of

MOST = 40  # configurations: counting those of more would take longer than a list may
STEP = 64  # images of a measured step, at most


def seconds(plan: Plan) -> float | None:
    """Training seconds of all runs in one process.

    None where the plan has too many configurations to count, or a user's own data set.

    Testing, and what is trained already, do not count.
    """
    configs = {fingerprint(planned.config): planned for planned in plan.taken}
    if len(configs) > MOST or any(p.config.data.name not in IMAGES for p in configs.values()):
        return None
    macs = {key: _multiply_adds(planned.config) for key, planned in configs.items()}
    ends = [min(macs, key=macs.__getitem__), max(macs, key=macs.__getitem__)]
    pace = mean(_step(configs[key].config) / macs[key] for key in ends)
    passes = {key: p.trials * p.config.optim.epochs * _images(p.config) for key, p in configs.items()}
    return pace * sum(macs[key] * passes[key] for key in configs)


def _multiply_adds(config: Config) -> float:
    """Multiply-adds of a training step for one image."""
    size, channels, classes = IMAGES[config.data.name]
    learner = learner_of(config, classes, channels, size, _constants(channels))
    modules = [len(module.units) for module in learner.modules]
    return sum(costs.measure(learner.net, learner.rule, len(modules), "flops").of(modules))


def _step(config: Config) -> float:
    """Seconds of a training step for one image, of random images."""
    size, channels, classes = IMAGES[config.data.name]
    learner = learner_of(config, classes, channels, size, _constants(channels))
    rng = np.random.default_rng(0)
    n = min(config.optim.batch_size, STEP)
    height, width = (size, size) if isinstance(size, int) else size
    x, y = rng.normal(size=(n, height, width, channels)).astype(np.float32), rng.integers(classes, size=n)
    learner.step(x, y, lr=config.optim.lr)
    began = time.perf_counter()
    learner.step(x, y, lr=config.optim.lr)
    return (time.perf_counter() - began) / n


def _images(config: Config) -> int:
    return config.data.limit_train or _training_images(config.data.name)


@cache
def _training_images(name: str) -> int:
    """The number of training images of a data set of IMAGES."""
    if name.startswith("digits"):
        return len(load(name).train_y)
    if name == "cifar10-lt":
        return sum(int(5000 / 1.3**c) for c in range(10))
    return FORMATS[name].train_images


def _constants(channels: int) -> dict[str, tuple[float, ...]]:
    return {"mean": (0.5,) * channels, "std": (0.5,) * channels}
