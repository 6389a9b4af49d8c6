"""What a Learner makes of images, and a trained Learner read back from its run's folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilocal import record
from minilocal.array import Array, namespace, to_host
from minilocal.config import Config, from_tables
from minilocal.data import DataSet, evaluation_batches
from minilocal.device import to_device
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
    def read(cls, told: Mapping[str, Any], path: str | Path) -> Images:
        """From the text of the checkpoint in `path`.

        Raises: UserError where it does not say.
        """
        try:
            d = told["images"]
            return cls(d["name"], d["channels"], d["size"], tuple(d["classes"]), tuple(d["mean"]), tuple(d["std"]))
        except (KeyError, TypeError):
            raise UserError(f"{path}: its checkpoint does not say what images it is for: it is no run's.") from None

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


@dataclass(frozen=True)
class Answers:
    """What a network makes of images.

    logits   (N, classes), the network's own
    local    of each module, the classes that its own classifier takes them for, int64 (N,); None where it has none
    """

    logits: np.ndarray
    local: list[np.ndarray | None]

    def errors(self, labels: np.ndarray) -> list[float | None]:
        """Each module's error in percent, None where it has no classifier. The last one's is the network's."""
        return [None if taken_for is None else error(taken_for, labels) for taken_for in self.local]


def answers(
    learner: Learner,
    x: Array,
    dataset: DataSet,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    between: Callable[[], None] = lambda: None,
) -> Answers:
    """What the network, and every module's own classifier on the way there, makes of x, uint8 (N, H, H, C).

    From a device the answers come home together. `between` is called after each batch, so that an evaluation of
    minutes can be left.
    """
    logits, local = [], []
    for images in _batches(x, dataset, device, dtype):
        said = learner.local_logits(images)
        logits.append(said[-1])
        local.append([None if z is None else z.argmax(axis=1) for z in said])
        between()
    by_module = [None if parts[0] is None else _home(parts) for parts in zip(*local, strict=True)]
    return Answers(_home(logits), [None if part is None else part.astype(np.int64) for part in by_module])


def predict(
    learner: Learner,
    x: Array,
    dataset: DataSet,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    between: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """The class that each image is taken for, int64 (N,), by the network alone. x and the others as for `answers`."""
    classes = []
    for images in _batches(x, dataset, device, dtype):
        classes.append(learner.predict(images).argmax(axis=1))
        between()
    return _home(classes).astype(np.int64)


def _batches(x: Array, dataset: DataSet, device: str, dtype: str) -> Iterator[Array]:
    """x on the device, normalised, a batch at a time."""
    x = to_device(x, device)
    unknown = namespace(x).zeros(len(x), np.int64)  # labels that are not read
    return (images for _, images, _ in evaluation_batches(x, unknown, dataset, BATCH, dtype=dtype))


def _home(parts: Sequence[Any]) -> np.ndarray:
    return to_host(namespace(*parts).concatenate(parts))


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
    images = Images.read(told, path)
    constants = {"mean": images.mean, "std": images.std}
    learner = learner_of(config, len(images.classes), images.channels, images.size, constants)
    learner.restore(arrays)
    return config, learner, images
