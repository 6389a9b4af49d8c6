"""A grid: axes of values, and the cells of their product."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

from minilocal import rules
from minilocal.config import Source, resolve
from minilocal.errors import UserError
from minilocal.sweep.cells import Cell, fingerprint
from minilocal.train.same_run import MACHINE

MOST = 10_000  # cells of a grid, and seeds of an axis
SEED, RULE = "run.seed", "rule.name"
OF_EVERY_RULE = (RULE, "rule.sha256")


class Choice(NamedTuple):
    """One value of an axis: its label in tables, and the source of a configuration that it is."""

    label: Any
    source: Source


class Axis(NamedTuple):
    """A key, or a preset or file of keys, with its values in turn."""

    name: str
    choices: list[Choice]


def axes(values: Mapping[str, Sequence[Any]], source: str) -> list[Axis]:
    """The axes of {"table.key": [value, ...]}; `source` names their origin in errors."""
    return [Axis(key, [Choice(value, (source, {key: value})) for value in each]) for key, each in values.items()]


def without_machine(
    every: Iterable[Axis], instead: Mapping[str, str]
) -> tuple[list[Axis], dict[str, Any], dict[str, Any]]:
    """The axes of the grid; and the keys that are this machine's, of [data] and of [run].

    Raises: UserError as `check`, and for a key of `instead`, which says what to give in its place.
    """
    grid, data, run = list[Axis](), dict[str, Any](), dict[str, Any]()
    for axis in every:
        check(axis)
        if axis.name in instead:
            raise UserError(f"{axis.name} is no key of a sweep: give {instead[axis.name]} instead.")
        if axis.name in MACHINE:
            (data if axis.name.startswith("data.") else run)[axis.name] = axis.choices[0].label
        else:
            grid.append(axis)
    return grid, data, run


def expand(grid: Sequence[Axis]) -> tuple[list[Cell], list[str]]:
    """The cells of the grid, seed by seed, and remarks for the user.

    Later axes override earlier ones. An option that a cell's rule does not have is left out of that cell where another
    rule of the grid has it. Cells of one resolved configuration are one cell.

    Raises: UserError for more than `MOST` cells, an axis without values or with a value twice, a key of the machine
    with several values, and as `config.resolve`.
    """
    for axis in grid:
        check(axis)
    if (count := prod(len(axis.choices) for axis in grid)) > MOST:
        raise UserError(f"the grid has {count} cells: give at most {MOST}.")
    elsewhere = _options(grid)
    order = sorted(range(len(grid)), key=lambda i: grid[i].name != SEED)  # the first axis is the slowest
    cells: dict[str, Cell] = {}
    remarks: list[str] = []
    for chosen in product(*(grid[i].choices for i in order)):
        by_axis = dict(zip(order, chosen, strict=True))
        choices = [by_axis[i] for i in range(len(grid))]
        sources, foreign = _fitting([choice.source for choice in choices], elsewhere)
        config, more = resolve(sources)
        if config.run.processes > 1:
            raise UserError(f"run.processes = {config.run.processes}: a cell is one process. Give --jobs instead.")
        remarks += [*foreign.values(), *more]
        labels = {
            axis.name: choice.label
            for axis, choice in zip(grid, choices, strict=True)
            if len(axis.choices) > 1 and axis.name not in foreign
        }
        cells.setdefault(fingerprint(config), Cell.of(config, labels))
    return list(cells.values()), list(dict.fromkeys(remarks))


def check(axis: Axis) -> None:
    """Check the values of an axis. Raises: UserError as `expand`."""
    labels = [choice.label for choice in axis.choices]
    if not labels:
        raise UserError(f"{axis.name} has no value: the grid is empty.")
    if twice := [label for i, label in enumerate(labels) if label in labels[:i]]:
        raise UserError(
            f"{axis.name} has the value {twice[0]!r} twice. Values with commas of their own are separated by ';', "
            "and a single one ends in it, as '3,3,2;'."
        )
    if axis.name in MACHINE and len(labels) > 1:
        raise UserError(f"{axis.name} names the machine, not the question: give it one value.")


def _options(grid: Iterable[Axis]) -> set[str]:
    """The options of all rules in the grid, as "rule.key"."""
    names = [choice.source[1].get(RULE) for axis in grid for choice in axis.choices]
    return {f"rule.{option}" for name in names if name is not None for option in rules.options(name)}


def _fitting(sources: list[Source], elsewhere: set[str]) -> tuple[list[Source], dict[str, str]]:
    """The sources without the options that this cell's rule lacks and another rule has; a remark for each of them."""
    names = [keys[RULE] for _, keys in sources if RULE in keys]
    if not names:
        return sources, {}
    known = {f"rule.{option}" for option in rules.options(names[-1])}
    lacking = elsewhere - known - set(OF_EVERY_RULE)
    foreign = {
        key: f"{key} ({name}) is left out for {names[-1]}, which has no such option."
        for name, keys in sources
        for key in keys
        if key in lacking
    }
    return [(name, {k: v for k, v in keys.items() if k not in foreign}) for name, keys in sources], foreign
