"""The parts that a module has besides its units: contexts at its input, what stands behind its top, copies of units."""

from __future__ import annotations

from functools import cache

from minilocal.boundaries.base import ErrorModel
from minilocal.engine.build import behind, entrance
from minilocal.layers import Layer
from minilocal.layers.base import Shape
from minilocal.layers.initial import Initializer
from minilocal.layers.with_context import Context
from minilocal.nets import Net
from minilocal.objectives import Objective
from minilocal.rules import Rule


class Parts:
    """The units of a network, and the other parts of its K modules under a rule, wherever they are cut."""

    def __init__(self, net: Net, rule: Rule, modules: int) -> None:
        self.net, self.rule, self.modules = net, rule, modules
        self.inputs: list[Shape] = [net.shape, *net.shapes]  # of each unit, and of the head
        self.behind, self.contexts = cache(self._behind), cache(self._contexts)

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

    def _contexts(self, k: int, first: int, below: int | None = None) -> list[Context]:
        """The contexts of module k, which begins with unit `first` above a module of `below` units; see `copies`.

        Raises: UserError where a context is not defined there.
        """
        if k == 0:
            return []
        units = self._most_below(k, first) if below is None else below
        initial = Initializer(0, self.net.initial.scheme)
        return self.rule.context.contexts(entrance(self.net, k, first, first - units, initial))

    def copies(self, k: int, first: int, below: int | None = None) -> range:
        """The units below unit `first` that module k passes its error through: those linked in the module below.

        `below` is the number of units of that module. Without it, it is taken to be the mean of all modules, rounded
        up. There are none where errors pass through whole modules, or where the module below has no loss of its own:
        then it takes them through its own units.
        """
        boundary = self.rule.boundary
        if k <= self.rule.objective.lowest or boundary.passes_on or boundary.one_loss:
            return range(first, first)
        return range(first - boundary.linked_units(self._most_below(k, first) if below is None else below), first)

    def contexts_of_copies(self, k: int, first: int, below: int | None = None) -> list[Context]:
        """The contexts at the input of the module below, where the copies that module k has are the whole of it."""
        copies = self.copies(k, first, below)
        is_whole = bool(copies) and len(copies) == (self._most_below(k, first) if below is None else below)
        return self.contexts(k - 1, copies.start) if is_whole else []

    def _most_below(self, k: int, first: int) -> int:
        """The mean of all modules' units, rounded up; fewer where each module below then has one at least."""
        return min(first - k + 1, -(-len(self.net.units) // self.modules))

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
