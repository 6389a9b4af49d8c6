"""Engines: one step of any rule. They ask a rule its four questions, and never its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from minilocal.array import Array
from minilocal.auxiliary import Batch
from minilocal.engine.module import Module, Take
from minilocal.engine.together import Together
from minilocal.layers import Run
from minilocal.rules.compose import Rule


class Engine(Protocol):
    """What a Learner asks of an engine. `delayed` says that it holds batches in flight between steps."""

    delayed: bool

    def step(self, batch: Batch, run: Run, take: Take, commit: bool) -> Array: ...

    def finish(self, take: Take) -> None: ...

    def state(self) -> dict[str, np.ndarray]: ...

    def restore(self, saved: Mapping[str, np.ndarray]) -> None: ...


def engine_for(modules: list[Module], rule: Rule, arrays: Mapping[str, Array]) -> Engine:
    """The engine that this rule's answers call for."""
    return Together(modules, rule, arrays)


__all__ = ["Engine", "Module", "Take", "Together", "engine_for"]
