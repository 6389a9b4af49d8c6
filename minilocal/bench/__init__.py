"""Seconds: training steps and their operations, beside PyTorch and beside the roofline of this machine.

    results = run(Plan(what=("steps",), nets=("resnet8",), batches=(16,)))
    print(markdown(results))

Timings are made in processes of their own, which import parts of this package, so names are imported on use.
"""

from __future__ import annotations

import importlib as _importlib
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
    from minilocal.bench.harness import run
    from minilocal.bench.launches import step_launches
    from minilocal.bench.plan import Plan
    from minilocal.bench.report import failures, markdown

__all__ = ["Plan", "failures", "markdown", "run", "step_launches"]

_FILES = {"Plan": "plan", "failures": "report", "markdown": "report", "run": "harness", "step_launches": "launches"}


def __getattr__(name: str) -> _Any:
    """A name of `__all__`, from its file."""
    if name in _FILES:
        return getattr(_importlib.import_module(f"minilocal.bench.{_FILES[name]}"), name)
    raise AttributeError(f"module 'minilocal.bench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
