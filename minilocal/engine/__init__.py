"""Engines: one training step of any rule, chosen by the rule's answers, never by its name."""

from __future__ import annotations

from collections.abc import Mapping

from minilocal.array import Array
from minilocal.engine.around import Engine
from minilocal.engine.asynchronous import AsynchronousEngine
from minilocal.engine.cuda_graph import RecordedSteps
from minilocal.engine.delayed import DelayedEngine
from minilocal.engine.interlocking import InterlockingEngine
from minilocal.engine.micro_batches import MicroBatches
from minilocal.engine.module import Module, OnGradients
from minilocal.engine.synchronous import SynchronousEngine
from minilocal.rules.compose import Rule


def engine_for(modules: list[Module], rule: Rule, arrays: Mapping[str, Array]) -> Engine:
    """The engine that this rule's answers call for."""
    if rule.boundary.delayed:
        return DelayedEngine(modules, rule, arrays)
    if rule.when.engine == "asynchronous":
        return AsynchronousEngine(modules, rule, arrays)
    engine = (InterlockingEngine if rule.boundary.one_loss else SynchronousEngine)(modules, rule, arrays)
    return MicroBatches(engine, rule.accumulate) if rule.accumulate > 1 else engine


__all__ = [
    "AsynchronousEngine", "DelayedEngine", "Engine", "InterlockingEngine", "MicroBatches", "Module", "OnGradients",
    "RecordedSteps", "SynchronousEngine", "engine_for",
]  # fmt: skip
