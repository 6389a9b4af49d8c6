"""Where a Learner's modules, units and errors stand in its figure, by the rule's own answers. Lengths are inches."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

from minilocal.draw.rule_diagram import error_paths
from minilocal.layers import Layer
from minilocal.layers.base import Shape
from minilocal.learner import Learner

WIDE, LEFT, LOSS = 4.8, 1.24, 4.46  # of the figure; where units begin; the middle of a loss
PITCH, HIGH, LINE, GUTTER = 0.73, 0.37, 0.74, 0.4  # from box to box, a box's height, from line to line, between bands
COLUMNS = 4  # boxes in a line, and units from which on equal ones are one box


@dataclass
class Box:
    """One unit, or `count` equal units in a row, of which `first` is the lowest, counted from 0."""

    first: int
    count: int
    shape: Shape
    left: float = 0.0
    low: float = 0.0
    width: float = 0.6

    @property
    def x(self) -> float:
        return self.left + self.width / 2

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def middle(self) -> float:
        return self.low + HIGH / 2

    @property
    def label(self) -> str:
        return str(self.first + 1) if self.count == 1 else f"{self.first + 1} to {self.first + self.count}"

    @property
    def words(self) -> str:
        return self.label if self.count == 1 else f"{self.label} ({self.count} equal ones)"


@dataclass
class Row:
    """A module: its boxes, its loss, and what crosses the boundary above it.

    own, above    {unit: the weight of the module's own error, and of the error from above}
    source        the module whose colour the error from above has
    arrives       that error in words; nothing where none crosses
    errors        how many come one by one: those that only pass through the module too
    target        it trains the synthesiser and enters no unit
    """

    number: int
    boxes: list[Box]
    loss: str
    own: dict[int, float] = field(default_factory=dict)
    above: dict[int, float] = field(default_factory=dict)
    source: int = 0
    arrives: str = ""
    errors: int = 0
    target: bool = False
    delayed: bool = False
    activations_delayed: bool = False
    low: float = 0.0
    height: float = 0.0

    def depth(self, above: bool) -> float:
        """How far below its unit the line of an error lies."""
        return 0.17 if above and self.own else 0.08


class Layout:
    """The rows of a figure, the lowest module first, and the height that they need."""

    def __init__(self, learner: Learner) -> None:
        self.rows = [self._row(learner, k) for k in range(len(learner.modules))]
        self._follow_errors(learner)
        low = 0.0
        for row in self.rows:
            lines = -(-len(row.boxes) // COLUMNS)
            row.low, row.height = low, lines * LINE + 0.02
            for n, box in enumerate(row.boxes):
                box.left, box.low = LEFT + n % COLUMNS * PITCH, low + 0.28 + n // COLUMNS * LINE
            low += row.height + GUTTER
        self.height = low - GUTTER

    def _row(self, learner: Learner, k: int) -> Row:
        module, boxes, boundary = learner.modules[k], list[Box](), learner.rule.boundary
        linked = boundary.linked_units(len(module.units)) if k + 1 < len(learner.modules) else 0
        folds = len(module.units) > COLUMNS
        shapes = [learner.net.shape, *learner.net.shapes]

        def alike(u: int) -> tuple[object, ...]:
            j = len(module.units) - 1 - u
            weights = boundary.weights(j) if j < linked else None
            return _kind(module.units[u]), shapes[module.first + u], shapes[module.first + u + 1], weights

        for _, group in groupby(range(len(module.units)), alike):
            units = [module.first + u for u in group]
            if folds and len(units) > 2:
                boxes.append(Box(units[0], len(units), shapes[units[-1] + 1]))
            else:
                boxes += [Box(u, 1, shapes[u + 1]) for u in units]
        loss = "\\hat{e}" if module.synthesiser is not None else "L" if module.objective is not None else ""
        return Row(k, boxes, loss)

    def _follow_errors(self, learner: Learner) -> None:
        """What passes units and boundaries, from the rule's own answers."""
        rule, module = learner.rule, [k for k, m in enumerate(learner.modules) for _ in m.units]
        activations, errors = rule.boundary.lags
        arriving: list[list[int]] = [[] for _ in self.rows]  # the losses whose errors enter a module from above
        teaching: list[set[int]] = [set() for _ in self.rows]  # those that its units learn from
        one_loss = rule.boundary.one_loss and not rule.when.is_global(learner.epoch)
        for path in error_paths(rule, [len(m.units) for m in learner.modules], learner.epoch):
            for unit, weight in zip(path.units, path.weights, strict=True):
                k = module[unit]
                if one_loss and not weight:  # it passes through, and is no error of the unit
                    continue
                teaching[k] |= {path.loss} - {k}
                if k == path.loss:
                    self.rows[k].own[unit] = weight
                else:
                    self.rows[k].above.setdefault(unit, weight)
            for k in {module[unit] for unit in path.units} - {path.loss}:
                arriving[k].append(path.loss)
        for k, (row, losses) in enumerate(zip(self.rows[:-1], arriving, strict=False)):
            row.activations_delayed = activations > 0
            if losses:
                row.source, row.delayed = min(teaching[k]), errors > 0
                row.errors = len(losses) if one_loss else 1
                which = "loss" if len(losses) == 1 else "losses"
                row.arrives = f"the error of {which} {_numbers(losses)}"
                if errors:
                    row.arrives += f" (delayed by {errors})"
            elif rule.boundary.uses_input_error and learner.modules[k].synthesiser is not None:
                row.source, row.target, row.arrives = k + 1, True, f"the target of ê{k + 1}"


def _kind(unit: Layer) -> tuple[object, ...]:
    """What equal units have in common: their class, and the shapes of their parameters."""
    return type(unit), *(a.shape for a in unit.parameters.values())


def _numbers(losses: list[int]) -> str:
    least, most = min(losses) + 1, max(losses) + 1
    return str(least) if least == most else f"{least} to {most}"
