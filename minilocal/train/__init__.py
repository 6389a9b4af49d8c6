"""Runs: from a configuration to a trained Learner and a folder that tells how it went.

train(config)                  a new run
train(resume="runs/...")       the same run, from its last checkpoint; with epochs=20, to another last epoch
load("runs/...")               its Learner, to predict with
"""

from minilocal.train.build import build, dataset_of, optimizer, schedule
from minilocal.train.clock import duration
from minilocal.train.evaluate import Answers, Images, answers, error, load, predict
from minilocal.train.progress import losses_text
from minilocal.train.start import Result, train
from minilocal.train.stop import Interrupted
from minilocal.train.warm_start import warm_start

__all__ = [
    "Answers", "Images", "Interrupted", "Result", "answers", "build", "dataset_of", "duration", "error", "load",
    "losses_text", "optimizer", "predict", "schedule", "train", "warm_start",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
