"""A few epochs of training, timed, as a worker runs them on a machine that has NumPy, CuPy and nothing else."""

from __future__ import annotations

import math
import time
from typing import Any

from minilocal import data, nets, rules, streams
from minilocal.learner import Learner
from minilocal.optim import SGD
from minilocal.train.fit import fit
from minilocal.train.row import Row


def train(
    device: Any = "cuda",
    folder: str | None = None,
    net: str = "resnet32",
    rule: str = "backlink",
    modules: int = 4,
    epochs: int = 3,
    budget: float = 60.0,
    batch: int = 128,
    lr: float = 0.1,
    limit: int | None = None,
) -> dict[str, Any]:
    """The rows of `minilocal.fit`, how their steps ran, and what was trained, as JSON can write them.

    CIFAR-10 from `folder`, or the package's digits where no folder is given, `limit` images of each part. Training
    stops after the epoch in which `budget` seconds are over.

    Raises: UserError where the device or the data cannot be had, and where training diverges.
    """
    name = "digits" if folder is None else "cifar10"
    dataset = data.load(name, dir=folder, download=False, limit_train=limit, limit_test=limit)
    rng = streams.rng(0)
    network = nets.get(net, classes=len(dataset.classes), channels=dataset.channels, size=dataset.size, rng=rng)
    optimizer = SGD(momentum=0.9, weight_decay=1e-4)
    learner = Learner(network, rules.get(rule), modules, rng=rng, device=device, optimizer=optimizer)
    start = time.perf_counter()

    def budget_is_over(row: Row) -> bool:
        return time.perf_counter() - start > budget

    rows = fit(learner, dataset, epochs, batch, lr, "constant", on_epoch=budget_is_over, augment=True)
    trained = {"data": name, "net": net, "rule": rule, "K": modules, "batch": batch, "lr": lr}
    return {**trained, "steps": learner.cuda_graph_status, "rows": [_without_nan(row) for row in rows]}


def _without_nan(row: Row) -> dict[str, Any]:
    """The row, with None for a module that has no loss: JSON has no NaN."""
    return {**row, "losses": [None if math.isnan(loss) else loss for loss in row["losses"]]}
