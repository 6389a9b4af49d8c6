"""Engines: one step of any rule. They ask a rule its four questions, and never its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from minilocal.array import Array
from minilocal.engine.asynchronous import Asynchronous
from minilocal.engine.cuda_graph import Recorder
from minilocal.engine.delayed import Late
from minilocal.engine.module import Module, Saved, Take
from minilocal.engine.synchronous import Together
from minilocal.layers import Run
from minilocal.layers.base import Shape
from minilocal.objectives import Batch
from minilocal.rules.compose import Rule
from minilocal.rules.when import Drawn


class Engine(Protocol):
    """What a Learner asks of an engine.

    `delayed` says that it holds batches in flight between steps; `waiting` how many await an error at each module.
    """

    delayed: bool

    @property
    def waiting(self) -> list[int]: ...

    def step(self, batch: Batch, run: Run, take: Take, commit: bool) -> Array: ...

    def finish(self, take: Take) -> None: ...

    def state(self) -> dict[str, np.ndarray]: ...

    def restore(self, saved: Saved, image: Shape) -> None: ...


def engine_for(modules: list[Module], rule: Rule, arrays: Mapping[str, Array]) -> Engine:
    """The engine that this rule's answers call for."""
    if rule.crosses.delayed:
        return Late(modules, rule, arrays)
    if isinstance(rule.when, Drawn):
        return Asynchronous(modules, rule, arrays)
    return Together(modules, rule, arrays)


__all__ = ["Asynchronous", "Engine", "Late", "Module", "Recorder", "Take", "Together", "engine_for"]
