"""Modules that train at the same time, as MPI ranks.

launch(function_or_file, *args, processes=2)   call a function in several ranks, from a notebook or a script
Learner(net, rule, ..., comm=)                 a Learner in several ranks
train(config)                                  `minilocal.train.train` in several ranks
owned(costs, processes)                        the modules of each rank
"""

from __future__ import annotations

import importlib as _importlib
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
    from minilocal.parallel.launcher.launch import launch
    from minilocal.parallel.learner import Learner
    from minilocal.parallel.ranks import owned
    from minilocal.parallel.run import train

__all__ = ["Learner", "launch", "owned", "train"]

_FILES = {
    "launcher.launch": ("launch",),
    "learner": ("Learner",),
    "ranks": ("owned",),
    "run": ("train",),
}


def __getattr__(name: str) -> _Any:
    """A name of `__all__`, from its file."""
    for file, names in _FILES.items():
        if name in names:
            return getattr(_importlib.import_module(f"minilocal.parallel.{file}"), name)
    raise AttributeError(f"module 'minilocal.parallel' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
