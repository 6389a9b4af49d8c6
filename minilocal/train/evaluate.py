"""What a Learner makes of images, and a trained Learner read back from its run's folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilocal import record
from minilocal.array import Array, namespace, to_device, to_host
from minilocal.config import Config, from_tables
from minilocal.data import DataSet, evaluation_batches
from minilocal.errors import UserError
from minilocal.learner import Learner
from minilocal.train.build import learner_of

BATCH = 250  # images; a predicted class does not depend on it


@dataclass(frozen=True)
class Images:
    """What a network expects of its images: a checkpoint says so itself, and needs no data set to be used."""

    name: str
    channels: int
    size: int
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, dataset: DataSet) -> Images:
        """The kind of images in a data set."""
        d = dataset
        return cls(d.name, d.channels, d.size, d.classes, d.mean, d.std)

    @classmethod
    def read(cls, told: dict[str, Any]) -> Images:
        """From a checkpoint's text."""
        d = told
        return cls(d["name"], d["channels"], d["size"], tuple(d["classes"]), tuple(d["mean"]), tuple(d["std"]))

    def dataset(self, x: np.ndarray, y: np.ndarray) -> DataSet:
        """Other images as a data set of this kind. uint8 (N, H, H, C), int64 (N,).

        Raises: UserError when they do not fit the network.
        """
        if x.shape[1:] != (self.size, self.size, self.channels):
            raise UserError(
                f"the images are {'×'.join(map(str, x.shape[1:]))}, but the network was trained on {self.name}: "
                f"{self.size}×{self.size}×{self.channels}."
            )
        return DataSet(self.name, x, y, x, y, self.classes, self.mean, self.std)

    def told(self) -> dict[str, Any]:
        """As a checkpoint's text holds it."""
        return asdict(self)


def predict(
    learner: Learner,
    x: Array,
    dataset: DataSet,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    between: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """The class that each image is taken for, int64 (N,).        x uint8 (N, H, H, C)

    From a device the classes come home together. `between` is called after each batch, so that an evaluation of
    minutes can be left.
    """
    x, classes = to_device(x, device), []
    unknown = namespace(x).zeros(len(x), np.int64)  # labels that nobody reads
    for _, images, _ in evaluation_batches(x, unknown, dataset, BATCH, dtype=dtype):
        classes.append(learner.predict(images).argmax(axis=1))
        between()
    return to_host(namespace(x).concatenate(classes)).astype(np.int64)


def error(predicted: np.ndarray, labels: np.ndarray) -> float:
    """The share of images taken for another class, in percent."""
    return 100 * float(np.mean(predicted != labels))


def load(path: str | Path, *, device: str | None = None, data_dir: str | None = None) -> tuple[Config, Learner, Images]:
    """A run's configuration, its Learner as of the last checkpoint, and the kind of images that it expects.

    `device` and `data_dir` take the place of the run's own, on another machine.

    Raises: UserError when `path` holds no run, or one without a checkpoint that can be read.
    """
    tables = record.config(path)
    found = record.checkpoint(path)
    if found is None:
        raise UserError(f"{path} has no checkpoint yet: train it first, with minilocal train --resume {path}.")
    arrays, told = found
    config = from_tables(tables, f"{path}/config.json", {"run.device": device, "data.dir": data_dir})
    images = Images.read(told["images"])
    constants = {"mean": images.mean, "std": images.std}
    learner = learner_of(config, len(images.classes), images.channels, images.size, constants)
    learner.restore(arrays)
    return config, learner, images
