"""Whether a checkpoint, and the images that are here now, are those of the run that goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from minilocal.config import Config, flatten, from_tables, tables_of
from minilocal.data import DataSet
from minilocal.errors import UserError

MACHINE = (  # not the run itself
    "data.dir", "data.download", "run.device", "run.tf32", "run.cuda_graph", "run.threads", "run.processes", "run.out",
)  # fmt: skip
EPOCHS = "optim.epochs"


def check_same(told: Mapping[str, Any], now: Config, path: Path, extends: bool) -> None:
    """Holds that a checkpoint was made by this configuration, but for where it runs.

    Where the rates do not depend on how many epochs there are (`extends`), neither does the checkpoint: a run that was
    to be trained on may have been stopped between its new configuration and its next checkpoint.
    """
    then = from_tables(told, f"{path}/checkpoint.npz")  # with what has become an option since
    before, after = flatten(tables_of(then), "checkpoint.npz"), flatten(tables_of(now), "config.json")
    free = (*MACHINE, EPOCHS) if extends else MACHINE
    for key in sorted(before.keys() | after.keys()):
        if key not in free and before.get(key) != after.get(key):
            raise UserError(
                f"{path / 'checkpoint.npz'} is another run's: it was made with {key} = {before.get(key)!r}, but "
                f"config.json beside it says {after.get(key)!r}."
            )


def check_epochs(epochs: int, config: Config, path: Path, extends: bool) -> None:
    """Holds that the run at `path` may have so many epochs in place of those of its `config`."""
    o = config.optim
    if epochs != o.epochs and not extends:
        raise UserError(
            f"{path} cannot be trained to {epochs} epochs: the rates of optim.schedule = {o.schedule!r} depend on the "
            f"number of epochs, so its first ones would have been others. Start a new run with --epochs {epochs}, or "
            f"one from these weights: --set net.weights={quote(str(path))}."
        )


def digest(dataset: DataSet) -> str:
    """A fingerprint of every image and label, so that a run does not go on with others."""
    found = hashlib.blake2b(digest_size=16)
    for array in (dataset.train_x, dataset.train_y, dataset.test_x, dataset.test_y):
        found.update(f"{array.shape} {array.dtype}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
