"""An experiment: a declarative TOML file, read and checked. docs/reproduce.md says how one is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from minilocal import published, rules
from minilocal.config import TABLES, flatten, toml
from minilocal.errors import UserError, check_file, nearest, reason, unknown
from minilocal.published.keys import MODULES

SCALES = ("tiny", "small", "full")
NEEDS_RUNS = {  # what is shown, and whether trained runs are needed for it
    "table": True, "bars": True, "curves": True, "over-modules": True, "sensitivity": True, "tradeoff": True,
    "assumption": True, "alignment": True, "probes": True, "splits": False, "classes": False, "memory": False,
    "run-time": False, "costs": False,
}  # fmt: skip
HOME = files("minilocal.reproduce") / "experiments"
NAMES = tuple(sorted(f.name.removesuffix(".toml") for f in HOME.iterdir() if f.name.endswith(".toml")))


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys of a run's configuration, by table."""

    rule: dict[str, Any] = {}
    net: dict[str, Any] = {}
    data: dict[str, Any] = {}
    optim: dict[str, Any] = {}
    run: dict[str, Any] = {}

    @property
    def flat(self) -> dict[str, Any]:
        """{"table.key": value}"""
        return flatten({name: getattr(self, name) for name in TABLES}, "an experiment")


class Row(Keys, frozen=True, forbid_unknown_fields=True):
    """Keys that the cells of a row share, and its name in tables. `alone`: it is one cell, without the grid's keys."""

    name: str = ""
    alone: bool = False


class Where(Keys, frozen=True, forbid_unknown_fields=True):
    """Keys of the cells whose names fit the patterns `cells`, which are separated by commas."""

    cells: str = "*"


class Scale(Keys, frozen=True, forbid_unknown_fields=True):
    """Keys that replace the recipe's at a scale, the cells that are taken there, and the number of trials."""

    cells: str | None = None
    trials: Annotated[int, Meta(ge=1)] | None = None


class Scales(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The three scales."""

    tiny: Scale = Scale()
    small: Scale = Scale()
    full: Scale = Scale()


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of an experiment's file.

    title      one line
    about      what the paper shows, and what it leaves open
    paper      a key of `published.SOURCES`, whose recipe the cells have where it is stated; None beyond the papers
    published  the printed table whose rows are cells
    views      names of NEEDS_RUNS: what is shown of the results
    columns    the key along which tables run
    baseline   the rule over which gains are stated
    split      "infopro": modules are cut as that paper cuts them
    recipe     keys of every cell, where the paper's recipe does not state them
    grid       lists of values; with `rows`, their product are cells
    rows       keys of a row each
    where      keys of some cells
    scale      what the three scales replace
    """

    title: str
    about: str = ""
    paper: str | None = None
    published: str | None = None
    views: list[str] = msgspec.field(default_factory=lambda: ["table"])
    columns: str = MODULES
    baseline: str = "gll"
    split: str | None = None
    recipe: Keys = Keys()
    grid: Keys = Keys()
    rows: list[Row] = []
    where: list[Where] = []
    scale: Scales = Scales()


class Experiment(File, frozen=True, kw_only=True):
    """An experiment with its name: the file's name without an ending, and the path of a user's own file."""

    name: str
    path: str | None = None

    @property
    def trains(self) -> bool:
        """Whether a view needs trained runs; otherwise configurations are enough, at full size at every scale."""
        return any(NEEDS_RUNS[name] for name in self.views)

    @property
    def called(self) -> str:
        """What `minilocal reproduce` calls it."""
        return self.path or self.name


def load(name: str) -> Experiment:
    """The experiment called `name`, or that in a user's own file, `path/to/own.toml`.

    Raises: UserError for an unknown name, a missing file, and a file that is not valid.
    """
    if name in NAMES:
        return parse((HOME / f"{name}.toml").read_text("utf-8"), name)
    if not name.endswith(".toml"):
        raise UserError(
            f"experiment {name!r} is not known{nearest(name, NAMES)} minilocal reproduce --list shows all; or give the "
            "path of a .toml file of your own."
        )
    path = Path(name).expanduser().absolute()
    check_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"experiment {path}: {error.strerror}. Give a file, or a name of --list.") from None
    except ValueError as error:
        raise UserError(f"experiment {path} is not TOML: {error}.") from None
    return parse(text, path.stem, str(path))


def parse(text: str, name: str, path: str | None = None) -> Experiment:
    """The experiment in the text of a file. Raises: UserError where it is not valid."""
    where = f"experiment {path or name}"
    try:
        file = msgspec.convert(toml.tables(text), File)
    except msgspec.ValidationError as error:
        raise UserError(f"{where}: {_explained(str(error))}") from None
    except ValueError as error:
        raise UserError(f"{where} is not TOML: {reason(error)}.") from None
    for view in file.views:
        if view not in NEEDS_RUNS:
            raise unknown(f"{where}: view", view, NEEDS_RUNS)
    if file.paper is not None and file.paper not in published.SOURCES:
        raise unknown(f"{where}: paper", file.paper, published.SOURCES)
    if file.published is not None and file.published not in published.NAMES:
        raise unknown(f"{where}: published table", file.published, published.NAMES)
    if file.published is None and "costs" in file.views:
        raise UserError(
            f'{where}: the view "costs" stands beside a published table: name it, published = "fdg_table2".'
        )
    try:
        rules.constructor(file.baseline)
    except UserError as error:
        raise UserError(f"{where}: baseline: {error}") from None
    return Experiment(**msgspec.structs.asdict(file), name=name, path=path)


def scales() -> Mapping[str, Scale]:
    """What each scale replaces in every experiment."""
    text = (files("minilocal.reproduce") / "scales.toml").read_text("utf-8")
    defaults = msgspec.toml.decode(text, type=Scales)
    return {name: getattr(defaults, name) for name in SCALES}


def _explained(message: str) -> str:
    """msgspec's message in one line, with the nearest name of an unknown key."""
    place = re.search(r" - at `\$\.?(.*)`", message)
    where = f"{place[1]}: " if place and place[1] else ""
    line = message.partition(" - at ")[0]
    if (word := re.search(r"unknown field `(.*)`", line)) is not None:
        kind = _struct_at(place[1] if place else "")
        known = kind.__struct_fields__
        return f"{where}key {word[1]!r} is not known{nearest(word[1], known)} Known: {', '.join(known)}."
    return f"{where}{line[0].lower()}{line[1:]}."


def _struct_at(path: str) -> type[msgspec.Struct]:
    """The struct at a path of a file, as "scale.tiny"."""
    if path == "scale":
        return Scales
    heads: dict[str, type[msgspec.Struct]] = {"scale": Scale, "rows": Row, "where": Where, "recipe": Keys, "grid": Keys}
    return heads.get(re.split(r"[.\[]", path)[0], File)
