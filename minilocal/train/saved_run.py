"""A trained Learner, read back from its run's folder with the kind of images that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilocal import record
from minilocal.config import Config, from_tables
from minilocal.data import DataSet
from minilocal.errors import UserError
from minilocal.learner import Learner
from minilocal.nets.net import Size
from minilocal.train.from_config import learner_of


@dataclass(frozen=True)
class Images:
    """What a network takes: a checkpoint holds it, so a trained run needs no data set to predict."""

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
        """Those in the metadata of the checkpoint in the folder `path`.

        Raises: UserError where they are missing or incomplete.
        """
        try:
            d = metadata["images"]
            size = tuple(d["size"]) if isinstance(d["size"], (list, tuple)) else d["size"]
            return cls(d["name"], d["channels"], size, tuple(d["classes"]), tuple(d["mean"]), tuple(d["std"]))
        except (KeyError, TypeError):
            raise UserError(f"{path}: its checkpoint does not say what images it is for: it is no run's.") from None

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


def load(path: str | Path, *, device: str | None = None, data_dir: str | None = None) -> tuple[Config, Learner, Images]:
    """A run's configuration, its Learner as of the last checkpoint, and the images that it takes.

    `device` and `data_dir` replace the run's own, for use on another machine.

    Raises: UserError when `path` holds no run, or one without a checkpoint that can be read.
    """
    tables = record.config(path)
    checkpoint = record.checkpoint(path)
    if checkpoint is None:
        raise UserError(f"{path} has no checkpoint yet: train it first, with minilocal train --resume {path}.")
    arrays, metadata = checkpoint
    config = from_tables(tables, f"{path}/config.json", {"run.device": device, "data.dir": data_dir})
    images = Images.from_json(metadata, path)
    constants = {"mean": images.mean, "std": images.std}
    learner = learner_of(config, len(images.classes), images.channels, images.size, constants)
    learner.restore(arrays)
    return config, learner, images
