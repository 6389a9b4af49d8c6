"""Runs: from a configuration to a trained Learner and a folder that tells how it went.

train(config)                  a new run
train(resume="runs/...")       the same run, from its last checkpoint
load("runs/...")               its Learner, to predict with
"""

from minilocal.train.build import build, dataset_of, optimizer, schedule
from minilocal.train.evaluate import Images, error, load, predict
from minilocal.train.interrupt import Interrupted
from minilocal.train.loop import Result, train

__all__ = [
    "Images",
    "Interrupted",
    "Result",
    "build",
    "dataset_of",
    "error",
    "load",
    "optimizer",
    "predict",
    "schedule",
    "train",
]
