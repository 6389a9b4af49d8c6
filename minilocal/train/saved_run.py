"""A trained Learner and the kind of images that it takes, read from its run's folder or from its exported file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilocal import record
from minilocal.array import to_host
from minilocal.config import Config, from_tables
from minilocal.data import DataSet
from minilocal.errors import UserError, path_of, printable
from minilocal.learner import Learner
from minilocal.nets.net import Size
from minilocal.rules import from_file
from minilocal.train.from_config import learner_of
from minilocal.train.same_run import on_device


@dataclass(frozen=True)
class Images:
    """What a network takes: checkpoints and exported files hold it, so a trained run needs no data set to predict."""

    name: str
    channels: int
    size: Size
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, dataset: DataSet) -> Images:
        """The images of a data set."""
        d = dataset
        return cls(d.name, d.channels, d.size, d.classes, d.mean, d.std)

    @classmethod
    def from_json(cls, metadata: Mapping[str, Any], path: str | Path) -> Images:
        """Those in the metadata of the checkpoint or exported file at `path`.

        Raises: UserError where they are missing or incomplete.
        """
        try:
            d = metadata["images"]
            size = tuple(d["size"]) if isinstance(d["size"], (list, tuple)) else d["size"]
            classes = tuple(map(printable, d["classes"]))
            return cls(printable(d["name"]), d["channels"], size, classes, tuple(d["mean"]), tuple(d["std"]))
        except (KeyError, TypeError):
            raise UserError(f"{path} does not say what images its network takes: it is no run's.") from None

    def normalise(self, x: np.ndarray) -> np.ndarray:
        """(x/255 - mean) / deviation, as in training.        uint8 (N, H, W, C)  →  float32 (N, H, W, C)

        Raises: UserError for other images than the network was trained on.
        """
        return to_host(self.dataset(x, np.zeros(len(x), np.int64)).normalise(x))

    def dataset(self, x: np.ndarray, y: np.ndarray) -> DataSet:
        """Other images as a data set of this kind. uint8 (N, H, W, C), int64 (N,).

        Raises: UserError when they do not fit the network.
        """
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        if x.shape[1:] != (height, width, self.channels):
            raise UserError(
                f"the images are {'×'.join(map(str, x.shape[1:]))}, but the network was trained on {self.name}: "
                f"{height}×{width}×{self.channels}."
            )
        return DataSet(self.name, x, y, x, y, self.classes, self.mean, self.std)

    def to_json(self) -> dict[str, Any]:
        """The form that a checkpoint's metadata holds."""
        return asdict(self)


@dataclass(frozen=True, repr=False)
class SavedRun:
    """A trained network on disk: a run's folder as of its last checkpoint, or the file that `export` made of one.

    path          the folder, or the file
    is_exported   whether it is a file
    tables        its configuration
    arrays        a Learner's state; of a file, parameters and running statistics by name
    images        what its network takes
    data          of its data set, where recorded: `digest`, a hash of images and labels; `test_images`, their number
    epochs        the whole epochs that it was trained for
    steps         the steps after them
    row           the row of the last epoch; None where steps followed, and where there is none
    """

    path: Path
    is_exported: bool
    tables: dict[str, Any]
    arrays: dict[str, np.ndarray]
    images: Images
    data: Mapping[str, Any]
    epochs: int
    steps: int
    row: dict[str, Any] | None

    @property
    def test_images(self) -> int | None:
        """The number of its test images; None where it is not recorded."""
        return self.data.get("test_images")

    @property
    def test_error(self) -> float | None:
        """The test error in percent that was recorded for these weights."""
        number = (self.row or {}).get("test_error")
        return number if isinstance(number, float) else None

    def config(self, device: str | None = None, data_dir: str | None = None) -> Config:
        """The configuration, checked. `device` and `data_dir` replace the run's own.

        Raises: UserError where it is not valid.
        """
        source = str(self.path) if self.is_exported else f"{self.path}/config.json"
        return from_tables(self.tables, source, {"data.dir": data_dir, **on_device(device)})

    def build(self, device: str | None = None, data_dir: str | None = None) -> tuple[Config, Learner]:
        """The configuration and the trained Learner.

        Raises: UserError where the configuration is not valid, or the arrays are another network's.
        """
        config, images = self.config(device, data_dir), self.images
        constants = {"mean": images.mean, "std": images.std}
        learner = learner_of(config, len(images.classes), images.channels, images.size, constants)
        if not self.is_exported:
            try:
                learner.restore(self.arrays)
            except UserError as error:
                raise UserError(f"{self.path}: {error}") from None
            return config, learner
        names = [*learner.parameters(), *learner.buffers()]
        if missing := [name for name in names if name not in self.arrays]:
            raise UserError(f"{self.path} lacks {missing[0]!r} and {len(missing) - 1} more of {len(names)} arrays.")
        try:
            learner.load(self.arrays)
        except UserError as error:
            raise UserError(f"{self.path}: {error}") from None
        return config, learner


def load(path: str | Path, *, device: str | None = None, data_dir: str | None = None) -> tuple[Config, Learner, Images]:
    """A run's configuration, its Learner as of the last checkpoint, and the images that it takes.

    `path` is a run's folder, or the file that `export` made of it: its Learner has the trained weights, and the
    optimiser starts anew. `device` and `data_dir` replace the run's own, for use on another machine.

    Raises: UserError when `path` holds no run, or one without a checkpoint that can be read.
    """
    saved = read(path)
    return *saved.build(device, data_dir), saved.images


def read(path: str | Path) -> SavedRun:
    """What is saved at `path`: a run's folder or its exported file.

    Raises: UserError as `load`.
    """
    path = path_of("path", path)
    with record.os_errors_explained(path):
        is_file, is_there = path.is_file(), path.exists()
    if is_file:
        return _exported(path)
    if not is_there:
        raise UserError(
            f"{path} is no run folder and no file of minilocal export: there is nothing of that name. Give one that is "
            "there, as runs/NAME."
        )
    tables = record.config(path)
    checkpoint = record.checkpoint(path)
    if checkpoint is None:
        raise UserError(f"{path} has no checkpoint yet: train it first, with minilocal train --resume {path}.")
    arrays, metadata = checkpoint
    images = Images.from_json(metadata, path)
    try:
        epochs, steps = int(metadata["progress"]["epoch"]), int(metadata["progress"]["step"])
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: its checkpoint does not say how far the run has come: it is no run's.") from None
    row = None if steps else _row(path, epochs)
    return SavedRun(path, False, tables, arrays, images, metadata["images"], epochs, steps, row)


def _exported(path: Path) -> SavedRun:
    arrays, entry = record.read_exported(path)
    images, tables = Images.from_json(entry, path), _with_rule_file(entry["config"], path)
    return SavedRun(path, True, tables, arrays, images, entry["data"], entry["epochs"], entry["steps"], entry["row"])


def _row(path: Path, epoch: int) -> dict[str, Any] | None:
    """The row of an epoch; None, with a warning, where the rows are damaged."""
    try:
        return next((row for row in record.rows(path) if row["epoch"] == epoch), None)
    except UserError as error:
        warnings.warn(f"{error} Until then its errors are not known.", stacklevel=2)
        return None


def _with_rule_file(tables: dict[str, Any], path: Path) -> dict[str, Any]:
    """The configuration with the file of a user's own rule where it is: in its place, or beside the exported file.

    Raises: UserError where it is in neither.
    """
    rule = tables.get("rule")
    if not isinstance(rule, dict) or not from_file.is_own(rule.get("name")):
        return tables
    file, name = from_file.parts(rule["name"])
    if file.exists():
        return tables
    beside = path.absolute().with_name(file.name)
    if not beside.exists():
        raise UserError(f"{path}: its rule {name!r} is one of your own, and {file} is gone: put {file.name} beside it.")
    return {**tables, "rule": {**rule, "name": f"{beside}:{name}"}}
