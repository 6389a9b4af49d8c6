"""One epoch: its training steps, and its evaluation. `fit` and a run's loop share this; it reads no configuration."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from typing import Any

import numpy as np

from minilocal import convergence
from minilocal.array import Array, namespace, to_host
from minilocal.data import DataSet
from minilocal.data.batches import training_batches
from minilocal.device import on_its_device, to_device
from minilocal.learner import Learner
from minilocal.train.divergence import Diverged, not_finite, suspect, with_losses
from minilocal.train.evaluate import Predictions, error, predict
from minilocal.train.progress import Progress
from minilocal.train.row import Row

SYNC_EVERY = {"cpu": 1, "gpu": 32}  # steps between two copies of the losses to the host: on a GPU each is a wait


class Trainer:
    """A Learner, and the images of a data set on its device.

    `key` names the order of the training images and their crops; `steps` is the number of batches in an epoch.
    """

    def __init__(self, learner: Learner, dataset: DataSet, *, batch_size: int, key: int, augment: bool) -> None:
        d, device, self.on_device = dataset, learner.device, learner.on_device
        self.learner, self.dataset, self.batch_size, self.key, self.augment = learner, dataset, batch_size, key, augment
        with self.on_device:
            self.x, self.y = to_device(d.train_x, device), to_device(d.train_y, device)
            self.eval_sets = {
                part: (to_device(x, device), y)
                for part, x, y in (("validation", d.validation_x, d.validation_y), ("test", d.test_x, d.test_y))
                if x is not None and y is not None
            }
        self.steps = -(-len(d.train_y) // batch_size)
        self._pending: list[tuple[Array, int]] = []  # (losses of a step, its images), not yet copied to the host

    def train(self, progress: Progress, lr: float) -> Iterator[bool]:
        """Train the rest of the epoch that `progress` stands in, one step per item.

        An item is true where the losses up to this step have been added to `progress`. After the last one all have.

        Raises: Diverged.
        """
        self.learner.epoch = progress.epoch
        every = SYNC_EVERY["cpu" if namespace(self.x) is np else "gpu"]
        batches = training_batches(
            self.x,
            self.y,
            self.dataset,
            self.batch_size,
            key=self.key,
            epoch=progress.epoch,
            augment=self.augment,
            dtype=self.learner.dtype,
            start=progress.step,
        )
        for x, y in batches:
            self._pending.append((self.learner.step(x, y, lr=lr), len(y)))
            synced = len(self._pending) == every
            if synced:
                self.sync(progress)
            yield synced
        self.sync(progress)

    @on_its_device
    def sync(self, progress: Progress) -> None:
        """Add the losses of all steps so far to `progress`.

        A NaN counts as divergence only if the Learner's state holds numbers that are not finite: a module that
        asynchronous training did not select has no loss either. The state is looked at once, since it is copied to the
        host for that.

        Raises: Diverged.
        """
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        is_finite = cache(lambda: not not_finite(self.learner.own_state()))
        rows, may = [losses for losses, _ in pending], with_losses(self.learner)
        on_host = to_host(namespace(*rows).stack(rows))  # one copy for all of them
        for values, (_, images) in zip(on_host, pending, strict=True):
            losses = values.tolist()
            k = suspect(losses, may, progress.counts)
            if k is not None and (np.isinf(losses[k]) or not is_finite()):
                progress.step += 1
                raise Diverged(f"the loss of module {k + 1} of {len(losses)} became {losses[k]}")
            progress.add(values, images)

    def row(self, progress: Progress, lr: float, *, between: Callable[[], None] = lambda: None) -> Row:
        """Evaluate after the epoch that `progress` stands in; its row. `between` is called after each batch."""
        row = Row(epoch=progress.epoch + 1, lr=lr, losses=progress.losses())
        began = time.perf_counter()
        for part, (x, y) in self.eval_sets.items():
            if part == "test":
                row["local_errors"] = self._predict(x, local=True, between=between).errors(y)
                row["test_error"] = row["local_errors"][-1]
            else:
                row[f"{part}_error"] = error(self._predict(x, local=False, between=between).classes, y)
        row["seconds"], row["evaluation_seconds"] = progress.seconds, time.perf_counter() - began
        return row

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is NaN in the row
    def convergence(self, batches: int, *, between: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """σ and its like at the weights as they stand, over the first batches of the Learner's epoch; for a row.

        More batches than an epoch has are all of it. `between` is called after each batch.
        """
        began = time.perf_counter()

        def first_batches() -> Iterator[tuple[Array, Array]]:
            every = training_batches(
                self.x,
                self.y,
                self.dataset,
                self.batch_size,
                key=self.key,
                epoch=self.learner.epoch,
                augment=self.augment,
                dtype=self.learner.dtype,
            )
            return islice(every, batches)

        measured = convergence.over(self.learner, first_batches, between=between).to_json()
        return measured | {"seconds": time.perf_counter() - began}

    def _predict(self, x: Array, local: bool, between: Callable[[], None]) -> Predictions:
        return predict(self.learner, x, self.dataset, local=local, between=between)
