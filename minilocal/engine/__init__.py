"""Engines: one step of any rule. They ask a rule its four questions, and never its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from minilocal.array import Array
from minilocal.engine.asynchronous import AsynchronousEngine
from minilocal.engine.cuda_graph import CudaGraphRecorder
from minilocal.engine.delayed import DelayedEngine
from minilocal.engine.module import Module, OnGradients, Saved
from minilocal.engine.synchronous import SynchronousEngine
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.objectives import Batch
from minilocal.rules.compose import Rule
from minilocal.rules.when import Asynchronous


class Engine(Protocol):
    """What a Learner asks of an engine.

    `delayed` says that it holds batches in flight between steps; `waiting` how many await an error at each module.
    """

    holds_batches: bool

    @property
    def in_flight(self) -> list[int]: ...

    def step(self, batch: Batch, ctx: PassContext, on_gradients: OnGradients, update_stats: bool) -> Array: ...

    def finish(self, on_gradients: OnGradients) -> None: ...

    def state(self) -> dict[str, np.ndarray]: ...

    def restore(self, saved: Saved, image: Shape) -> None: ...


def engine_for(modules: list[Module], rule: Rule, arrays: Mapping[str, Array]) -> Engine:
    """The engine that this rule's answers call for."""
    if rule.boundary.delayed:
        return DelayedEngine(modules, rule, arrays)
    if isinstance(rule.when, Asynchronous):
        return AsynchronousEngine(modules, rule, arrays)
    return SynchronousEngine(modules, rule, arrays)


__all__ = [
    "AsynchronousEngine",
    "CudaGraphRecorder",
    "DelayedEngine",
    "Engine",
    "Module",
    "OnGradients",
    "SynchronousEngine",
    "engine_for",
]
