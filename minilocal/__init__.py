"""minilocal: supervised local training from scratch, in NumPy and CuPy.

In ten lines:

>>> import minilocal as ml
>>> rng = ml.rng(0)
>>> digits = ml.data.load("digits")
>>> net = ml.nets.resnet(8, classes=10, channels=1, size=digits.size, rng=rng)
>>> learner = ml.Learner(net, ml.rules.backlink(length=1), modules=4, rng=rng)
>>> x, y = digits.normalise(digits.train_x[:64]), digits.train_y[:64]
>>> losses = learner.step(x, y, lr=0.1)
>>> losses.shape, learner.predict(x).shape
((4,), (64, 10))

`learner.summary()` says what it is made of; `learner.save(path)` and `ml.load(path)` keep it.
"""

from __future__ import annotations

from minilocal import signals as _signals  # noqa: F401  (first, since the other imports take long)

# isort: split
import importlib as _importlib
from typing import TYPE_CHECKING
from typing import Any as _Any

from minilocal import boundaries, data, equations, interop, layers, losses, nets, objectives, ops, optim, rules
from minilocal.array import namespace, to_host
from minilocal.device import to_device
from minilocal.errors import UserError
from minilocal.kernels.choice import use_kernels
from minilocal.kernels.threads import use_threads
from minilocal.learner import Learner
from minilocal.rules import when
from minilocal.split import split
from minilocal.streams import rng

__version__ = "0.1.0"

if TYPE_CHECKING:
    from minilocal import (
        bench,
        config,
        convergence,
        costs,
        draw,
        locality,
        memory,
        parallel,
        record,
        report,
        sweep,
        teach,
        train,
        verify,
    )
    from minilocal.saved import load
    from minilocal.train.fit import fit
    from minilocal.train.probe import linear_probes

__all__ = [
    "Learner", "UserError", "bench", "boundaries", "config", "convergence", "costs", "data", "draw", "equations", "fit",
    "interop", "layers", "linear_probes", "load", "locality", "losses", "memory", "namespace", "nets", "objectives",
    "ops", "optim", "parallel", "record", "report", "rng", "rules", "split", "sweep", "teach", "to_device", "to_host",
    "train", "use_kernels", "use_threads", "verify", "when",
]  # fmt: skip

# imported on use, since some bring in libraries
_ON_USE = (
    "bench", "config", "convergence", "costs", "draw", "locality", "memory", "parallel", "record", "report", "sweep",
    "teach", "train", "verify",
)  # fmt: skip


def __getattr__(name: str) -> _Any:
    """`ml.draw` and its like, imported when they are first asked for."""
    if name in _ON_USE:
        return _importlib.import_module(f"minilocal.{name}")
    if name == "load":
        return _importlib.import_module("minilocal.saved").load
    if name == "fit":
        return _importlib.import_module("minilocal.train.fit").fit
    if name == "linear_probes":
        return _importlib.import_module("minilocal.train.probe").linear_probes
    raise AttributeError(f"module 'minilocal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__doc__", "__file__", "__name__", "__path__", "__version__"])
