"""A configuration merged from its sources: the tables' defaults, a preset, a TOML file, short flags, `--set`.

A later source overrides an earlier one. A source is (its name for errors, {"table.key": value}).
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
from minilocal.config.schema import TABLES, Config, DataTable, tables_of
from minilocal.errors import UserError, check_utf8, nearest, shown

Source = tuple[str, dict[str, Any]]


def flatten(tables: Mapping[str, Any], source: str) -> dict[str, Any]:
    """{"table": {"key": value}} as {"table.key": value}.

    Raises: UserError for a key outside the tables; `source` names the tables' origin in it.
    """
    if not isinstance(tables, Mapping):
        raise UserError(f"{source}: a configuration is an object of tables, not {shown(tables)}.")
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


def resolve(sources: Iterable[Source]) -> tuple[Config, list[str]]:
    """The configuration that these sources make, later ones over earlier ones, and remarks for the user.

    A source that names another rule drops the options that the new rule does not have, and one that names Adam the
    momentum of a preset or a file; each is remarked on. So is a schedule that the run is too short for. A rule's
    recommended optimiser and learning rate are used where they are not set, with a remark.

    Raises: UserError naming the key, its value and its source: an unknown key, a wrong type, a number out of range, an
    unknown rule, network, data set or schedule, or values that do not fit together.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    remarks: list[str] = []
    for source, keys in sources:
        for key in keys:
            _check_key(key, source)
        if keys.get("rule.name", values.get("rule.name")) != values.get("rule.name"):
            remarks += _drop_foreign_options(keys["rule.name"], source, values)
        if keys.get("optim.name") == "adam":
            remarks += _drop_momentum(source, values, origins)
        values.update(keys)
        origins.update(dict.fromkeys(keys, source))
    tables: dict[str, dict[str, Any]] = {name: {} for name in TABLES}
    for key, value in values.items():
        table, _, name = key.partition(".")
        tables[table][name] = value
        if isinstance(value, str):
            check_utf8(f"{origins[key]}: {key} =", value)
    rule = tables["rule"]
    tables["rule"] = {key: rule.pop(key) for key in ("name", "sha256") if key in rule} | {"options": rule}
    try:
        config = msgspec.convert(tables, Config)
    except msgspec.ValidationError as error:
        raise type_error(error, values, origins) from None

    def origin(key: str) -> str:
        return f" ({origins[key]})" if key in origins else ""

    config = check(expanded(config, origin), origin)
    asked = {key: origins[key] for key, value in values.items() if value is not None and value is not False}
    config, advice = advised(config, asked)
    o = config.optim
    unreached = optim.schedule(o.schedule, o.lr, o.epochs).unreached(o.epochs)
    return config, [*remarks, *filter(None, (advice, unreached))]


def from_tables(tables: Mapping[str, Any], source: str, overrides: Mapping[str, Any] | None = None) -> Config:
    """The configuration in a run's config.json (or any five tables); `source` names it in errors.

    `overrides` replaces keys, where its value is not None: device and folders of this machine.

    Raises: UserError as `resolve`.
    """
    changes = {key: value for key, value in (overrides or {}).items() if value is not None}
    flat = flatten(tables, source)
    if "data.dir" in changes:
        changes["data.name"] = moved(str(flat.get("data.name", DataTable().name)), changes["data.dir"])
    return resolve([(source, flat), ("this machine", changes)])[0]


def check_agrees(config: Config, sources: Iterable[Source], run: str) -> None:
    """Check that the keys set in `sources` have the values that the run was started with.

    Raises: UserError for the first key that differs, with both values.
    """
    sources = list(sources)
    then = flatten(tables_of(config), run)
    now = flatten(tables_of(resolve([(run, then), *sources])[0]), run)
    asked = {key: source for source, keys in sources for key in keys if key != "run.out"}
    for key, source in asked.items():
        if now[key] != then.get(key):
            raise UserError(
                f"{key} = {now[key]!r} ({source}) does not agree with {run}, which was started with "
                f"{then.get(key)!r}: leave it out, or start another run."
            )


def _check_key(key: str, source: str) -> None:
    table, _, name = key.partition(".")
    if table not in TABLES:
        raise UserError(
            f"{source}: table {table!r} is not known{nearest(table, TABLES)} In {key!r}. Tables: {', '.join(TABLES)}."
        )
    fields = TABLES[table].__struct_fields__
    if name not in fields and table != "rule":
        raise UserError(f"{source}: key {key!r} is not known{nearest(name, fields)} [{table}] has {', '.join(fields)}.")


def _drop_foreign_options(rule: Any, source: str, values: dict[str, Any]) -> list[str]:
    """Remove options that only the previous rule had; return one remark for each."""
    try:
        known = rules.options(rule)
    except (UserError, TypeError):
        return []  # `check` refuses that name, with its source
    values.pop("rule.sha256", None)
    foreign = [key for key in values if key.startswith("rule.") and key != "rule.name" and key[5:] not in known]
    return [f"{key} = {values.pop(key)!r} is dropped: {rule} ({source}) has no such option." for key in foreign]


def _drop_momentum(source: str, values: dict[str, Any], origins: Mapping[str, str]) -> list[str]:
    """Remove SGD's own options of a preset or a file, one remark for each; those of a flag stay, and are refused."""
    remarks = []
    for key in ("optim.momentum", "optim.nesterov"):
        if key in values and not origins[key].startswith("--"):
            if values[key]:
                remarks.append(f"{key} = {values[key]!r} is dropped: adam ({source}) has none.")
            del values[key]
    return remarks
