"""The weights of the next module's first unit, averaged behind a module where they cross (MAN)."""

from __future__ import annotations

from collections.abc import Mapping

from minilocal.array import Array
from minilocal.boundaries.averaged_unit import AveragedUnit
from minilocal.engine.module import Module
from minilocal.layers import PassContext
from minilocal.objectives import Behind
from minilocal.rules.compose import Rule


def averaged_unit(module: Module) -> AveragedUnit | None:
    """The average through which this module's objective sees its output; None where it sees the output itself."""
    layer = module.objective.layer if isinstance(module.objective, Behind) else None
    return layer if isinstance(layer, AveragedUnit) else None


class Averaging:
    """The base of an engine whose boundaries may let weights cross."""

    modules: list[Module]
    rule: Rule
    arrays: Mapping[str, Array]
    own: range

    def average_weights(self, ctx: PassContext, modules: range | None = None) -> None:
        """Move the averages behind these modules (its own by default), where weights cross in this step.

        It is called once a step, before any update changes the weights that are averaged.
        """
        averages = self.rule.boundary.averages
        if averages is not None and averages.cross(ctx.step):
            for k in self.own if modules is None else modules:
                if (unit := averaged_unit(self.modules[k])) is not None:
                    unit.average(self.arrays, averages.every)

    def _average_behind(self, k: int, ctx: PassContext, update_stats: bool) -> None:
        """`average_weights` of module k, in a step that changes the Learner and is no micro-batch."""
        if update_stats and self.rule.accumulate == 1:
            self.average_weights(ctx, range(k, k + 1))
