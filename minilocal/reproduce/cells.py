"""The cells of an experiment: those of a printed table, and those of a grid."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

from minilocal import published
from minilocal.config import Source
from minilocal.errors import UserError
from minilocal.published.keys import AUX, AUXILIARY, DATA, DATASETS, MODULES, NET, NETWORKS, RULE, keys_of
from minilocal.published.recipes import recipe
from minilocal.report import cells as printed
from minilocal.report.cells import Cell
from minilocal.reproduce.experiment import Experiment, Row
from minilocal.reproduce.naming import Name, Title, names
from minilocal.reproduce.recipe import keys_of_recipe


@dataclass(frozen=True)
class ExperimentCell:
    """One configuration of an experiment, at full scale.

    name        `cifar10-resnet32-backlink-l1-K16`
    row         its row in words, and `row_name` in its name
    column      its column in words; "" where it has none
    keys        what sets it apart: {"table.key": value}
    sources     of its configuration, weakest first: what the experiment chooses, what its paper states, its own keys
    stated      its paper's recipe, as printed; {} where it is not stated
    published   its number as printed; None where there is none
    also        other numbers that the same table prints for it, as those that it takes from another paper
    """

    name: str
    row: str
    column: str
    row_name: str
    keys: Mapping[str, Any] = field(hash=False)
    sources: Sequence[Source] = field(hash=False)
    stated: Mapping[str, str] = field(hash=False)
    published: Cell | None = None
    also: tuple[Cell, ...] = ()


@dataclass
class Point:
    """A cell before it has a name."""

    keys: dict[str, Any]
    prints: list[Cell] = field(default_factory=list)
    title: Title = field(default_factory=Title)


def cells(experiment: Experiment) -> list[ExperimentCell]:
    """The cells in the order of the printed table, then those of the grid.

    Raises: UserError for an experiment without a cell, and for two cells of one name.
    """
    points = [*_printed(experiment), *_grid(experiment)]
    if not points:
        raise UserError(f"experiment {experiment.called} has no cell: give it a published table, a grid or rows.")
    try:
        called = names([point.keys for point in points], experiment.columns, [point.title for point in points])
    except UserError as error:  # a rule that is not known
        raise UserError(f"experiment {experiment.called}: {error}") from None
    all_names = [name.name for name in called]
    if twice := sorted({name for name in all_names if all_names.count(name) > 1}):
        raise UserError(
            f"experiment {experiment.called}: two cells are called {twice[0]}: give their rows different names."
        )
    aux = next((point.keys[AUX] for point in points if AUX in point.keys), None)
    return [_cell(experiment, point, name, aux) for point, name in zip(points, called, strict=True)]


def not_offered(experiment: Experiment) -> list[str]:
    """What the printed table has and cannot be trained: a method without a rule, a network that is not offered."""
    if experiment.published is None:
        return []
    rows = [row for row in published.table(experiment.published) if row["metric"] in printed.ERRORS]
    lacking = [row for row in rows if keys_of(row) is None]
    return list(dict.fromkeys(f"{row['dataset']}, {row['network']}, {row['method']}" for row in lacking))


def fits(name: str, patterns: str) -> bool:
    """Whether a name fits one of the patterns, which are separated by commas: `*-resnet32-*,*-K16`."""
    return any(fnmatchcase(name, pattern.strip()) for pattern in patterns.split(","))


def _printed(experiment: Experiment) -> list[Point]:
    """A point for each configuration of the printed table, with everything that the table prints of it."""
    if experiment.published is None:
        return []
    points: dict[str, Point] = {}
    for cell in printed.of_table(experiment.published):
        if cell.keys is not None:
            key = json.dumps(cell.keys, sort_keys=True)
            points.setdefault(key, Point(dict(cell.keys))).prints.append(cell)
    return list(points.values())


def _grid(experiment: Experiment) -> list[Point]:
    """The product of the rows and the grid, in the experiment's network and on its data set."""
    axes, common = experiment.grid.flat, experiment.recipe.flat
    if not axes and not experiment.rows:
        return []
    for key, values in axes.items():
        if not isinstance(values, list) or not values:
            raise UserError(f"experiment {experiment.called}: [grid] {key} = {values!r}: give a list of values.")
    shared = {key: common[key] for key in (DATA, NET, RULE, experiment.columns) if key in common}
    points = []
    for row in experiment.rows or [Row()]:
        own_axes = {} if row.alone else axes
        for values in product(*own_axes.values()):
            keys = {**shared, **row.flat, **dict(zip(own_axes, values, strict=True))}
            if not isinstance(rule := keys.get(RULE, ""), str):
                raise UserError(f"experiment {experiment.called}: {RULE} = {rule!r}: give the name of a rule.")
            points.append(Point(keys, title=Title(row.name, frozenset(row.flat))))
    return points


def _cell(experiment: Experiment, point: Point, name: Name, aux: str | None) -> ExperimentCell:
    """A point with its name, its paper's recipe, and all sources of its configuration."""
    prints = sorted(point.prints, key=lambda cell: "(quoted)" in cell.row["method"])
    stated = _stated(experiment, point, aux)
    own = dict(point.keys)
    if own.get(RULE) == "bp":
        own.setdefault(MODULES, 1)
    elif experiment.split is not None and isinstance(own.get(MODULES), int):
        own[MODULES] = f"{experiment.split}:{own[MODULES]}"
    where = f"experiment {experiment.called}"
    sources: list[Source] = [
        (f"{where}, [recipe]", experiment.recipe.flat),
        (f"the recipe of {experiment.paper}", keys_of_recipe(stated)),
        (f"{where}, cell {name.name}", own),
    ]
    sources += [(f"{where}, [[where]]", w.flat) for w in experiment.where if fits(name.name, w.cells)]
    first = prints[0] if prints else None
    return ExperimentCell(
        name.name, name.row, name.column, name.row_name, point.keys, sources, stated, first, tuple(prints[1:])
    )


def _stated(experiment: Experiment, point: Point, aux: str | None) -> Mapping[str, str]:
    """The recipe that the paper states for a cell of it; {} where it states none.

    A cell without auxiliary networks, as BP's, has the recipe of `aux`, those of the other cells.
    """
    if point.prints:
        return recipe(point.prints[0].row)
    if experiment.paper is None:
        return {}
    keys = {AUX: aux, **experiment.recipe.flat, **point.keys}
    columns = {"dataset": (DATA, DATASETS), "network": (NET, NETWORKS), "aux": (AUX, AUXILIARY)}
    words = {
        column: next((word for word, name in of.items() if name == keys.get(key)), "")
        for column, (key, of) in columns.items()
    }
    return recipe({**words, "source": experiment.paper, "K": str(point.keys.get(MODULES, 1))})
