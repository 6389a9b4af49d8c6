"""`.. configuration::`: every key of the five tables, from the structs that check them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import msgspec
from command_line import depend_on
from docutils import nodes
from plain_docstrings import prose
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from minilocal import nets, objectives, rules
from minilocal.cli.train import HELP
from minilocal.config import FLAGS, TABLES
from minilocal.config.expected import takes
from minilocal.config.to_toml import _value
from minilocal.rules.option_docs import args, headline

WORDS = {
    "rules": ", ".join(rules.NAMES),
    "auxiliary": ", ".join(objectives.NAMES),
    "nets": ", ".join(nets.NAMES),
    "more": nets.MORE,
}
OPTIONS = "options"  # of [rule]: the keys of the chosen rule


def chapter(name: str, table: type[msgspec.Struct]) -> Iterator[str]:
    """One table: its keys with values, default, flag and meaning."""
    yield f"[{name}]\n{'-' * (len(name) + 2)}\n\n{prose(headline(table).partition(': ')[2].capitalize())}\n\n"
    meanings = args(inspect.getdoc(table) or "")
    for field in msgspec.structs.fields(table):
        if field.name == OPTIONS:
            continue
        flags = [flag for flag, key in FLAGS.items() if key == f"{name}.{field.name}"]
        means = meanings.get(field.name) or HELP[flags[0]][1].format(**WORDS)
        yield f".. confval:: {name}.{field.name}\n\n"
        yield f"   {prose(means.removesuffix('.'))}.\n\n"
        how = [f":option:`{flag} <minilocal train {flag}>`" for flag in flags] or ["no flag"]
        values = prose(takes(f"{name}.{field.name}"))
        yield f"   {values} · default {default(field)} · {', '.join(how)}\n\n"


def default(field: msgspec.structs.FieldInfo) -> str:
    value: Any = field.default
    return "none" if value is None else f"``{_value(value)}``"


class Configuration(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        depend_on(self.env, "config")
        text = "".join(part for name, table in TABLES.items() for part in chapter(name, table))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("configuration", Configuration)
    return {"parallel_read_safe": True}
