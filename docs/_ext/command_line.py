"""`.. commands::`: every command with every option, from the parsers that read them."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from plain_docstrings import indented, prose
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

import minilocal
from minilocal import rules
from minilocal.cli import COMMANDS
from minilocal.cli.examples import EXAMPLES
from minilocal.cli.options import of_rule
from minilocal.cli.parser import Parser
from minilocal.config import FLAGS

OF_A_RULE = "--rule NAME --help shows the options of that rule too."


def chapter(name: str) -> Iterator[str]:
    """One command: what it does, its arguments and options, its legend, and examples."""
    parser: Parser = importlib.import_module(f"minilocal.cli.{name}").parser()
    yield f".. _minilocal-{name}:\n\n{name}\n{'-' * len(name)}\n\n"
    for paragraph in re.split(r"\n\s*\n", parser.description.strip()):
        yield from described(paragraph)
    yield f".. program:: minilocal {name}\n\n"
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    for action in actions:
        yield from option(action)
    if parser.epilog:
        yield block(parser.epilog)
    if parser.more and (more := parser.more(()).replace(OF_A_RULE, "").strip()):
        yield block(more)
    yield block("\n".join(EXAMPLES[name]), "sh")


def described(paragraph: str) -> Iterator[str]:
    """A paragraph of a description; where it has columns, as it is."""
    if re.search(r"^ {2,}\S", paragraph, re.MULTILINE):
        yield block(paragraph)
    else:
        yield f"{prose(' '.join(paragraph.split()))}\n\n"


def option(action: argparse.Action) -> Iterator[str]:
    """One option or argument, with its help."""
    if action.option_strings:
        values = arguments(action)
        yield f".. option:: {', '.join(flag + values for flag in action.option_strings)}\n\n"
    else:
        yield f".. option:: {action.metavar or action.dest}\n\n"
    yield f"   {prose((action.help or '').replace('%%', '%'))}\n\n"


def arguments(action: argparse.Action) -> str:
    """The values of an option, as its usage has them."""
    formatter = argparse.HelpFormatter("")
    words = formatter._format_args(action, str(action.metavar)) if action.nargs != 0 else ""
    return f" {words}" if words else ""


def block(text: str, language: str = "text") -> str:
    return f".. code-block:: {language}\n\n" + "\n".join(indented(text.strip("\n"), "   ")) + "\n\n"


def depend_on(env: BuildEnvironment, package: str) -> None:
    """Read the page again when a file of this package has changed."""
    for path in Path(minilocal.__file__).parent.glob(f"{package}/**/*.py"):
        env.note_dependency(str(path))


class Commands(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        depend_on(self.env, "cli")
        text = "".join(part for name in COMMANDS for part in chapter(name))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


class RuleOptions(SphinxDirective):
    """`.. rule-options::`: what `minilocal train --rule NAME --help` adds, of every rule."""

    def run(self) -> list[nodes.Node]:
        depend_on(self.env, "rules")
        flags = {key: flag for flag, key in FLAGS.items()}
        parts = []
        for name in (*rules.NAMES, rules.COMPOSED):
            parts.append(f"{name}\n{'-' * len(name)}\n\n{block(of_rule(name, flags))}")
        return self.parse_text_to_nodes("".join(parts), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("commands", Commands)
    app.add_directive("rule-options", RuleOptions)
    return {"parallel_read_safe": True}
