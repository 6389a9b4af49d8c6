"""Predicted bytes of a step, from shapes.

What a module keeps is a + b · images: caches and outputs grow with the batch, weights do not. So two batches give every
other one. The peak of a step is no line, since kernels choose their workspace by the batch: it is estimated for each.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from minilocal import memory, rules
from minilocal.explorer.choices import BATCHES
from minilocal.learner import Learner
from minilocal.memory import GPU
from minilocal.nets import Net
from minilocal.rules import Rule
from minilocal.summary import kept_bytes

ANCHORS = BATCHES[0], BATCHES[-1]  # images


def kept(learner: Learner) -> dict[str, list[list[int]]]:
    """What each module keeps at its peak, and while other modules work; for each of ANCHORS the bytes of all modules.

    They are the columns `keeps` and `waits with` of `learner.summary(images)`, of a Learner on a GPU.
    """
    of_anchors = [kept_bytes(learner, images) for images in ANCHORS]
    assert all(of_anchors), "the package's layers read no numbers"
    return {"keeps": [k.peak for k in of_anchors if k], "waits": [k.waiting for k in of_anchors if k]}


def peaks(net: Net, rule: Rule, modules: Sequence[int], machine: GPU, epoch: int = 0) -> list[int]:
    """For each of BATCHES the peak of a step, with parameters, statistics and momentum, on one GPU."""
    with warnings.catch_warnings(action="ignore"):  # they are notes of the point
        return [memory.estimate(net, rule, modules, images, epoch=epoch, machine=machine).total for images in BATCHES]


def baselines(net: Net, modules: Sequence[int], machine: GPU) -> dict[str, Any]:
    """The peaks of BP, of BP with activation checkpointing, and with gradient accumulation, at the same K."""
    rows = {
        "BP": rules.bp(),
        "BP, checkpointed": rules.bp(keep="inputs"),
        "BP, accumulated": rules.bp(accumulate=len(modules)),
    }
    return {name: peaks(net, rule, modules, machine) for name, rule in rows.items()}
