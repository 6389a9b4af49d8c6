"""minilocal: supervised local training from scratch, in NumPy and CuPy.

In ten lines:

    import minilocal as ml

    rng = ml.rng(0)
    net = ml.nets.resnet(20, classes=10, rng=rng)
    learner = ml.Learner(net, ml.rules.backlink(length=1), modules=4, rng=rng)
    losses = learner.step(x, y, lr=0.1)
"""

import importlib
from typing import Any

from minilocal import auxiliary as wants
from minilocal import crossing as crosses
from minilocal import data, equations, interop, layers, losses, nets, optim, rules
from minilocal.array import generator as rng
from minilocal.array import namespace, to_device, to_host
from minilocal.errors import UserError
from minilocal.kernels.threads import use_threads
from minilocal.learner import Learner
from minilocal.rules import when
from minilocal.split import split

__version__ = "0.1.0"

__all__ = [
    "Learner", "UserError", "crosses", "data", "equations", "interop", "layers", "losses", "namespace", "nets", "optim",
    "rng", "rules", "split", "to_device", "to_host", "use_threads", "wants", "when",
]  # fmt: skip

_ON_USE = ("config", "draw", "measure", "record", "train", "verify")  # these bring other libraries with them


def __getattr__(name: str) -> Any:
    """`ml.draw` and its like, imported when they are first asked for."""
    if name in _ON_USE:
        return importlib.import_module(f"minilocal.{name}")
    raise AttributeError(f"module 'minilocal' has no attribute {name!r}")
