"""Rates that are far too high: `ml.fit` ends with weights that are finite, or with a line that says they are not."""

from __future__ import annotations

import warnings

import numpy as np

import minilocal as ml
from minilocal.train.divergence import not_finite
from tests.faults.numerics.extremes import CLASSES, NETS

RATES = tuple(10.0**power for power in range(7))
OPTIMISERS: dict[str, ml.optim.Optimizer] = {"SGD": ml.optim.SGD(momentum=0.9), "Adam": ml.optim.Adam()}


def dataset() -> ml.data.DataSet:
    """32 images of noise, of 8×8."""
    x, y = ml.rng(3).integers(0, 256, (32, 8, 8, 3), dtype=np.uint8), np.arange(32) % CLASSES
    return ml.data.from_arrays(x, y, x[:8], y[:8])


def fitted(net: str, rule: str, optimiser: str, lr: float) -> str:
    """ "finite", "stopped" by a line, or what `fit` left not finite without a word."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        learner = ml.Learner(NETS[net](), ml.rules.get(rule), 2, rng=ml.rng(0), optimizer=OPTIMISERS[optimiser])
        try:
            ml.fit(learner, dataset(), epochs=2, batch_size=8, lr=lr, schedule="constant")
        except ml.UserError as error:
            assert str(error).startswith("training diverged: "), error
            return "stopped"
        return not_finite(learner.state()) or "finite"
