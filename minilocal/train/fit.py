"""`minilocal.fit`: a training loop in one call.

    rows = ml.fit(learner, dataset, epochs=5, on_epoch=print)

`minilocal.train.train` is the same loop with a configuration, a run folder, checkpoints and signals around it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minilocal import inputs, optim
from minilocal.data import DataSet
from minilocal.errors import UserError, boolean, call_it, whole
from minilocal.learner import Learner
from minilocal.streams import new_key, rng
from minilocal.train.divergence import Diverged, not_finite
from minilocal.train.process_group import ProcessGroup
from minilocal.train.progress import Progress
from minilocal.train.row import Row
from minilocal.train.trainer import Trainer

OnEpoch = Callable[[Row], object]


def fit(
    learner: Learner,
    dataset: DataSet,
    epochs: int = 5,
    batch_size: int = 64,
    lr: float = 0.1,
    schedule: str = "cosine",
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
    *,
    augment: bool = False,
    convergence: int = 0,
) -> list[Row]:
    """Train `learner` for `epochs` epochs of `dataset`; return a row per epoch: losses, test error, seconds.

    lr, schedule   the learning rate at the start, and its course over these epochs, as in `minilocal.optim.schedule`
    seed           names the order of the images and their crops, as --seed does for `minilocal train`: a Learner built
                   from `minilocal.rng(seed)`, its network first, gets the same weights from both
    on_epoch       called with each new row; `print` shows it. Where it returns True, training stops; what it raises
                   ends `fit` after a whole epoch
    augment        random crops and mirrors, as the data set allows
    convergence    the number of batches over which σ and the norm ratio are measured after each epoch, and before the
                   first one; 0 measures nothing, and no number changes any weight

    A Learner in several ranks (`minilocal.parallel`) is trained by all of them, which call `fit` alike. Each gets the
    rows; `on_epoch` is called on rank 0.

    Epochs are numbered from `learner.epoch` on, and afterwards it is the number of the next one: another call trains
    further, with a schedule of its own. A row is a dict, row["test_error"]; `minilocal.train.Row` lists its keys.

    Raises: UserError for a Learner and a data set that do not fit each other, for numbers out of range, for an unknown
    schedule, for an `augment` that is neither true nor false, for fewer batches than the rule needs, for `convergence`
    in several ranks, and where a loss, or after an epoch a number of the Learner's state, is no longer finite.
    """
    check_fit("fit", learner, dataset)
    epochs, batch_size = whole("epochs", epochs), whole("batch_size", batch_size)
    rates = _schedule(schedule, lr, epochs)
    if on_epoch is not None and not callable(on_epoch):
        raise UserError(f"on_epoch = {on_epoch!r}: give a function of a row, as print is.")
    key = order_key(whole("seed", seed, least=0))
    group: ProcessGroup = getattr(learner, "process_group", ProcessGroup)()
    augmented, measured = boolean("augment", augment), whole("convergence", convergence, least=0)
    if measured and group.size > 1:
        raise UserError(
            f"convergence = {measured} met a Learner of {group.size} ranks: it is measured in one process. Leave it "
            "out."
        )
    trainer = group.trainer(learner, dataset, batch_size=batch_size, key=key, augment=augmented)
    learner.rule.check_batches(trainer.steps * epochs, len(learner.modules))
    rows: list[Row] = []
    before = trainer.convergence(measured) if measured else None
    for e in range(epochs):
        rows.append(_epoch(trainer, rates.lr(e), group))
        if measured:
            rows[-1]["convergence"] = trainer.convergence(measured)
            rows[-1]["evaluation_seconds"] += rows[-1]["convergence"]["seconds"]
        if e == 0 and before is not None:
            rows[-1]["convergence_before"] = before
        learner.epoch += 1
        if on_epoch is not None and group.on_first(partial(_ends, on_epoch, rows[-1])):
            break
    return rows


def _ends(on_epoch: OnEpoch, row: Row) -> bool:
    """Whether a caller's function ends the training."""
    return on_epoch(row) is True


def order_key(seed: int) -> int:
    """The key of a run with this seed: the one that its Learner draws, after its network has drawn one."""
    generator = rng(seed)
    new_key(generator)  # the network's, which names its initial weights
    return new_key(generator)


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is found by the trainer, and said once
def _epoch(trainer: Trainer, lr: float, group: ProcessGroup) -> Row:
    """One epoch of training and its evaluation."""
    progress, began = Progress(epoch=trainer.learner.epoch), time.perf_counter()
    try:
        for _ in trainer.train(progress, lr):
            pass
    except Diverged as error:
        raise _diverged(str(error), trainer, progress, lr) from None
    progress.seconds = time.perf_counter() - began
    group.collectively(partial(_check_finite, trainer, progress, lr))
    row = trainer.row(group.whole(progress, trainer.learner), lr)
    return Row(row, train_loss=row["losses"][-1])


def _check_finite(trainer: Trainer, progress: Progress, lr: float) -> None:
    """Raises: UserError where the state is no longer finite. A norm may make finite losses of infinite numbers."""
    if name := not_finite(trainer.learner.own_state()):
        raise _diverged(f"{name} is no longer finite", trainer, progress, lr)


def _diverged(what: str, trainer: Trainer, progress: Progress, lr: float) -> UserError:
    where = f"in epoch {progress.epoch + 1}, step {progress.step} of {trainer.steps} (lr {lr:g})"
    return UserError(f"training diverged: {what} {where}. Build the Learner again, and fit it at a lower lr.")


def check_fit(call: str, learner: Any, dataset: Any) -> None:
    """Check that these are a Learner and a data set of images that it takes; `call` names the function in errors.

    Raises: UserError where they are not.
    """
    if not isinstance(learner, Learner):
        hint = call_it(learner) or ": give minilocal.Learner(net, rule, modules, rng=rng)"
        raise UserError(f"{call}(learner, ...) was given a {type(learner).__name__} for the Learner{hint}.")
    if not isinstance(dataset, DataSet):
        raise UserError(
            f"{call}(..., dataset) was given a {type(dataset).__name__} for the data set: give "
            "minilocal.data.load(name), or minilocal.data.from_arrays(...)."
        )
    net, image, classes = learner.net, dataset.train_x.shape[1:], len(dataset.classes)
    if (tuple(net.shape), net.classes) != (image, classes):
        height, width, channels = net.shape
        raise UserError(
            f"{net.name} takes images of {height}×{width}×{channels} in {net.classes} classes, and {dataset.name} has "
            f"{'×'.join(map(str, image))} in {classes}: build the network with classes={classes}, "
            f"channels={dataset.channels}, size={dataset.size}."
        )


def _schedule(text: Any, lr: Any, epochs: int) -> optim.Schedule:
    if not isinstance(text, str):
        raise UserError(f"schedule = {text!r}: give its name, as 'cosine', 'constant' or 'steps:15,30'.")
    return optim.schedule(text, inputs.rate(lr), epochs)
