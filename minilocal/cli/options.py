"""The options of a rule in the help of a command: `minilocal train --rule pgl --help`."""

from __future__ import annotations

import argparse
import inspect
import shutil
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

LEAST = 40  # columns for the text of an option, also on a narrower terminal


def of_the_rules(
    words: Sequence[str],
    flags: Mapping[str, str] | None = None,
    values: Callable[[str], Iterable[str]] = lambda text: [text],
) -> str:
    """The help text of each rule named on a command line; without one, how to ask for it.

    `flags` maps configuration keys to the flags of the command, {"rule.length": "--length"}. `values` returns the names
    in the text of one --rule.

    Raises: UserError for an unknown rule.
    """
    asked = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    asked.add_argument("--rule", action="append", default=[])
    try:
        names = asked.parse_known_args([word for word in words if word not in ("-h", "--help")])[0].rule
    except argparse.ArgumentError:  # --rule without a name
        names = []
    texts = [of_rule(name, flags or {}) for text in names for name in values(text)]
    return "\n".join(texts) or "--rule NAME --help shows the options of that rule too.\n"


def of_rule(name: str, flags: Mapping[str, str]) -> str:
    """The help text of one rule: each option with its default, its meaning and its flag."""
    from minilocal import rules
    from minilocal.rules.option_docs import headline, options_of

    make, rows = rules.constructor(name), []
    for option in options_of(make, name):
        key = f"rule.{option.name}"
        also = f" Also {flags[key]}." if key in flags else ""
        rows.append((f"{key}={_written(option.default)}", option.does + also))
    head = f"options of {rules.label(name)}, as --set rule.KEY=VALUE or under [rule] in a TOML file"
    lines = [f"{head}, with their defaults:" if rows else f"{rules.label(name)} has no options.", _table(rows)]
    if name == rules.COMPOSED:
        lines += [f"\n{question}:\n{_table(_rows(answers))}" for question, answers in rules.ANSWERS.items()]
    title = [f"{rules.label(name)}: {headline(make)}", ""] if headline(make) else []
    return "\n".join([*title, *lines, ""])


def _rows(answers: dict[str, Callable[..., Any]]) -> list[tuple[str, str]]:
    """The answers to a question, each with its options as they are written after its name."""
    rows = []
    for name, make in answers.items():
        options = [f"{key}={_written(p.default)}" for key, p in inspect.signature(make).parameters.items()]
        rows.append((name, ",".join(options)))
    return rows


def _written(value: Any) -> str:
    """A default as it is written on the command line; empty where the rule chooses it."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(rows: Sequence[tuple[str, str]]) -> str:
    width = max((len(name) for name, _ in rows), default=0)
    columns = max(LEAST, shutil.get_terminal_size().columns - width - 6)
    lines = []
    for name, does in rows:
        first, *rest = textwrap.wrap(does, columns, break_long_words=False, break_on_hyphens=False) or [""]
        lines += [f"  {name:<{width}}  {first}".rstrip(), *(f"  {'':<{width}}  {line}" for line in rest)]
    return "\n".join(lines)
