"""Where a configuration comes from: layers, each over the one before, and every value checked with its layer's name.

The defaults of the tables; a preset; a TOML file; the short flags; `--set table.key=value`. A layer is where it comes
from, and {"table.key": value}.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from minilocal import optim, rules
from minilocal.config.advice import advised
from minilocal.config.checks import check
from minilocal.config.expected import type_error
from minilocal.config.paths import expanded, moved
from minilocal.config.schema import TABLES, Config, Data, tables_of
from minilocal.errors import UserError, nearest

Source = tuple[str, dict[str, Any]]


def flatten(tables: Mapping[str, Any], source: str) -> dict[str, Any]:
    """{"table": {"key": value}} as {"table.key": value}; UserError for what is in no table."""
    flat = {}
    for name, table in tables.items():
        if name not in TABLES:
            homes = [f"{t}.{name}" for t, struct in TABLES.items() if name in struct.__struct_fields__]
            hint = f"; it belongs in a table, as {' or '.join(homes)}." if homes else nearest(name, TABLES)
            raise UserError(f"{source}: table {name!r} is not known{hint} Tables: {', '.join(TABLES)}.")
        if not isinstance(table, Mapping):
            raise UserError(
                f"{source}: {name!r} is a table: write [{name}] and its keys below, not {name} = {table!r}."
            )
        flat.update({f"{name}.{key}": value for key, value in table.items()})
    return flat


def resolve(layers: Iterable[Source]) -> tuple[Config, list[str]]:
    """The configuration that these layers make, later ones over earlier ones, and remarks for the user.

    A layer that names another rule leaves behind the options of the old rule that the new one does not have, and one
    that names Adam the momentum of a preset or a file; each is remarked on. So is a schedule that the run is too short
    for. A rule that recommends an optimiser and a learning rate gets them where they were not asked for, with a remark.

    Raises: UserError naming the key, its value and its layer: an unknown key, a wrong type, a number out of range, an
    unknown rule, network, data set or schedule, or what does not fit together.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    remarks: list[str] = []
    for source, flat in layers:
        for key in flat:
            _check_key(key, source)
        if flat.get("rule.name", values.get("rule.name")) != values.get("rule.name"):
            remarks += _leave_behind(flat["rule.name"], source, values)
        if flat.get("optim.name") == "adam":
            remarks += _leave_momentum_behind(source, values, sources)
        values.update(flat)
        sources.update(dict.fromkeys(flat, source))
    tables: dict[str, dict[str, Any]] = {name: {} for name in TABLES}
    for key, value in values.items():
        table, _, name = key.partition(".")
        tables[table][name] = value
    rule = tables["rule"]
    tables["rule"] = {key: rule.pop(key) for key in ("name", "sha256") if key in rule} | {"options": rule}
    try:
        config = msgspec.convert(tables, Config)
    except msgspec.ValidationError as error:
        raise type_error(error, values, sources) from None

    def told(key: str) -> str:
        return f" ({sources[key]})" if key in sources else ""

    config = check(expanded(config, told), told)
    asked = {key: sources[key] for key, value in values.items() if value is not None and value is not False}
    config, advice = advised(config, asked)
    o = config.optim
    unreached = optim.schedule(o.schedule, o.lr, o.epochs).unreached(o.epochs)
    return config, [*remarks, *filter(None, (advice, unreached))]


def from_tables(tables: Mapping[str, Any], source: str, here: Mapping[str, Any] | None = None) -> Config:
    """The configuration in a run's config.json (or any five tables); `source` names it in errors.

    `here` replaces keys whose value is not None: what differs on this machine.
    """
    changes = {key: value for key, value in (here or {}).items() if value is not None}
    flat = flatten(tables, source)
    if "data.dir" in changes:
        changes["data.name"] = moved(str(flat.get("data.name", Data().name)), changes["data.dir"])
    return resolve([(source, flat), ("this machine", changes)])[0]


def check_agrees(config: Config, layers: Iterable[Source], run: str) -> None:
    """Holds that what was asked again is what the run was started with.

    Raises: UserError for the first key that differs, with both values.
    """
    layers = list(layers)
    then = flatten(tables_of(config), run)
    now = flatten(tables_of(resolve([(run, then), *layers])[0]), run)
    asked = {key: source for source, flat in layers for key in flat if key != "run.out"}
    for key, source in asked.items():
        if now[key] != then.get(key):
            raise UserError(
                f"{key} = {now[key]!r} ({source}) does not agree with {run}, which was started with "
                f"{then.get(key)!r}: leave it out, or start another run."
            )


def _check_key(key: str, source: str) -> None:
    table, _, name = key.partition(".")
    if table not in TABLES:
        raise UserError(f"{source}: table {table!r} is not known{nearest(table, TABLES)} In {key!r}.")
    fields = TABLES[table].__struct_fields__
    if name not in fields and table != "rule":
        raise UserError(f"{source}: key {key!r} is not known{nearest(name, fields)} [{table}] has {', '.join(fields)}.")


def _leave_behind(rule: Any, source: str, values: dict[str, Any]) -> list[str]:
    """Takes out of `values` what belongs to the rule before only; the remarks that say so."""
    try:
        known = rules.options(rule)
    except (UserError, TypeError):
        return []  # what is wrong with that name is said later, with its source
    values.pop("rule.sha256", None)
    dropped = [key for key in values if key.startswith("rule.") and key != "rule.name" and key[5:] not in known]
    return [f"{key} = {values.pop(key)!r} is left behind: {rule} ({source}) has no such option." for key in dropped]


def _leave_momentum_behind(source: str, values: dict[str, Any], sources: Mapping[str, str]) -> list[str]:
    """Takes SGD's own options of a preset or a file out of `values`; those of a flag stay, and are refused."""
    remarks = []
    for key in ("optim.momentum", "optim.nesterov"):
        if key in values and not sources[key].startswith("--"):
            if values[key]:
                remarks.append(f"{key} = {values[key]!r} is left behind: adam ({source}) has none.")
            del values[key]
    return remarks
