"""The parts that a module has besides its units: what stands behind its top, and copies of units below it."""

from __future__ import annotations

from functools import cache

from minilocal.boundaries.base import ErrorModel
from minilocal.engine.build import behind
from minilocal.layers import Layer
from minilocal.layers.base import Shape
from minilocal.layers.initial import Initializer
from minilocal.nets import Net
from minilocal.objectives import Objective
from minilocal.rules import Rule


class Parts:
    """The units of a network, and the other parts of its K modules under a rule, wherever they are cut."""

    def __init__(self, net: Net, rule: Rule, modules: int) -> None:
        self.net, self.rule, self.modules = net, rule, modules
        self.inputs: list[Shape] = [net.shape, *net.shapes]  # of each unit, and of the head
        self.behind = cache(self._behind)

    @property
    def units(self) -> list[tuple[Layer, Shape]]:
        """Each unit and the shape of its input, bottom to top."""
        return list(zip(self.net.units, self.inputs, strict=False))

    def is_last(self, k: int) -> bool:
        """Whether module k is the last one."""
        return k == self.modules - 1

    def _behind(self, k: int, last: int) -> list[Objective | ErrorModel]:
        """The objective and the synthesiser of module k, whose top is unit last - 1, without those that it lacks.

        Raises: UserError where the objective is not defined for this module.
        """
        initial = Initializer(0, self.net.initial.scheme)
        parts = behind(self.net, self.rule, k, self.modules, last, initial)
        return [part for part in parts if part is not None]

    def copies(self, k: int, first: int, below: int | None = None) -> range:
        """The units below unit `first` that module k passes its error through: those linked in the module below.

        `below` is the number of units of that module. Without it, it is taken to be the mean of all modules, rounded
        up. There are none where errors pass through whole modules, or where the module below has no loss of its own:
        then it takes them through its own units.
        """
        boundary, units = self.rule.boundary, len(self.net.units)
        if k <= self.rule.objective.lowest or boundary.passes_on or boundary.one_loss:
            return range(first, first)
        most = min(first - k + 1, -(-units // self.modules))  # each module below has a unit or more
        return range(first - boundary.linked_units(most if below is None else below), first)

    def errors_passed_on(self, k: int) -> int:
        """The errors that pass through module k, by input errors alone, on their way to modules further down."""
        boundary, last = self.rule.boundary, self.modules - 1
        ends = [
            boundary.lowest_learner(j, last)
            for j in range(k, last + 1)
            if boundary.learns_from(k, last) not in (None, j)
        ]
        return sum(end is not None and end <= k for end in ends)

    def backwards_again(self, k: int) -> bool:
        """Whether a second error of module k, which stays in it, takes a backward of its own."""
        return k > 0 and self.rule.objective.divides and self.rule.boundary.uses_input_error

    @property
    def forwards_again(self) -> bool:
        """Whether a module below the last repeats its forward when an error arrives (activation checkpointing)."""
        return self.rule.boundary.passes_on and self.rule.kept in ("inputs", "recompute")
