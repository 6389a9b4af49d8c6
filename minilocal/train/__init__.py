"""Runs: from a configuration to a trained Learner, and a folder that records how it was trained.

train(config)                  a new run
train(resume="runs/...")       the same run, from its last checkpoint; with epochs=20, to another last epoch
load("runs/...")               its Learner, to predict with
export("runs/...", "net.npz")  its weights in one small file, which load and minilocal predict take too

`minilocal.fit` trains a Learner that you have built. It needs no configuration, so names are imported on use.
"""

from __future__ import annotations

import importlib as _importlib
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
    from minilocal.train.clock import duration
    from minilocal.train.evaluate import Predictions, error, predict
    from minilocal.train.exported import export
    from minilocal.train.from_config import build, dataset_of, optimizer, schedule
    from minilocal.train.row import Row, losses_text, row_text
    from minilocal.train.saved_run import Images, load
    from minilocal.train.start import Result, train
    from minilocal.train.stop import Interrupted
    from minilocal.train.weights import warm_start

__all__ = [
    "Images", "Interrupted", "Predictions", "Result", "Row", "build", "dataset_of", "duration", "error", "export",
    "load", "losses_text", "optimizer", "predict", "row_text", "schedule", "train", "warm_start",
]  # fmt: skip

_FILES = {
    "from_config": ("build", "dataset_of", "optimizer", "schedule"),
    "clock": ("duration",),
    "evaluate": ("Predictions", "error", "predict"),
    "exported": ("export",),
    "row": ("Row", "losses_text", "row_text"),
    "saved_run": ("Images", "load"),
    "start": ("Result", "train"),
    "stop": ("Interrupted",),
    "weights": ("warm_start",),
}


def __getattr__(name: str) -> _Any:
    """A name of `__all__`, from its file."""
    for file, names in _FILES.items():
        if name in names:
            return getattr(_importlib.import_module(f"minilocal.train.{file}"), name)
    raise AttributeError(f"module 'minilocal.train' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
