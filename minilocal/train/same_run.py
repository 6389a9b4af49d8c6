"""Checks that a checkpoint and the images belong to the run that is resumed."""

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

MACHINE = (  # keys that may differ: they name the machine, not the run
    "data.dir", "data.download", "run.device", "run.tf32", "run.cuda_graph", "run.threads", "run.kernels",
    "run.processes", "run.out",
)  # fmt: skip
MOVABLE = (  # those that a resumed run may be given anew
    "run.device", "run.tf32", "run.cuda_graph", "run.threads", "run.kernels",
)  # fmt: skip
MEASURED = ("run.convergence", "run.probes")  # keys that add entries to rows, and change no other number of a run
EPOCHS = "optim.epochs"


def on_device(device: str | None) -> dict[str, Any]:
    """The keys that take a run to this device, none for None: the CPU has no TF32."""
    if device is None:
        return {}
    return {"run.device": device, "run.tf32": False} if device == "cpu" else {"run.device": device}


def on_machine(config: Config, machine: Mapping[str, Any], source: str) -> Config:
    """`config` with the keys of another machine in place of its own; `source` names it in errors.

    Raises: UserError for a key that is not of MOVABLE, and where the configuration is not valid with it.
    """
    if wrong := [key for key in machine if key not in MOVABLE]:
        raise UserError(f"{wrong[0]} is part of {source}: a resumed run may be given {', '.join(MOVABLE)}.")
    return from_tables(tables_of(config), source, {**on_device(machine.get("run.device")), **machine})


def check_same(recorded: Mapping[str, Any], config: Config, path: Path, extends: bool) -> None:
    """Check that the configuration `recorded` in a checkpoint is this one, except for the machine.

    The number of epochs may differ where the learning rates do not depend on it (`extends`): a run with more epochs may
    have been stopped between its new configuration and its next checkpoint.

    Raises: UserError, naming the key.
    """
    then = from_tables(recorded, f"{path}/checkpoint.npz")  # an option that is younger than the file has its default
    before, after = flatten(tables_of(then), "checkpoint.npz"), flatten(tables_of(config), "config.json")
    free = (*MACHINE, EPOCHS) if extends else MACHINE
    for key in sorted(before.keys() | after.keys()):
        if key not in free and before.get(key) != after.get(key):
            raise UserError(
                f"{path / 'checkpoint.npz'} is another run's: it was made with {key} = {before.get(key)!r}, but "
                f"config.json beside it says {after.get(key)!r}."
            )


def check_epochs(epochs: int, config: Config, path: Path, extends: bool) -> None:
    """Check that the run at `path` may have `epochs` epochs instead of those of its `config`. Raises: UserError."""
    o = config.optim
    if epochs != o.epochs and not extends:
        raise UserError(
            f"{path} cannot be trained to {epochs} epochs: the rates of optim.schedule = {o.schedule!r} depend on the "
            f"number of epochs, so its first ones would have been others. Start a new run with --epochs {epochs}, or "
            f"one from these weights: --set net.weights={quote(str(path))}."
        )


def digest(dataset: DataSet) -> str:
    """A hash of every image and label: a run is resumed only with the same ones."""
    hasher = hashlib.blake2b(digest_size=16)
    for array in (dataset.train_x, dataset.train_y, dataset.test_x, dataset.test_y):
        hasher.update(f"{array.shape} {array.dtype}".encode())
        hasher.update(np.ascontiguousarray(array).data)
    return hasher.hexdigest()
