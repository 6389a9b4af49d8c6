"""An argparse parser whose errors are one line, with the nearest known name."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from minilocal.cli.examples import EXAMPLES
from minilocal.errors import UserError, check_utf8, nearest


class Parser(argparse.ArgumentParser):
    """The parser of one command. `parse` raises UserError where argparse would print its usage and exit.

    The help ends with the command's examples. `more` returns the text before them, from the words of the command line.
    """

    def __init__(
        self, command: str, does: str | None, *, more: Callable[[Sequence[str]], str] | None = None, **options: Any
    ) -> None:
        self.command, self.more = command, more
        self.words: tuple[str, ...] = ()
        self.outputs: list[tuple[str, dict[str, Any]]] = []  # (name of an option, its check's arguments)
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(prog=f"minilocal {command}", description=does, allow_abbrev=False, **options)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """As in argparse; `~` in a DIR, RUN or FILE is the home folder, since shells do not expand --out=~."""
        if re.match(r"(DIR|RUN|FILE)\b", str(options.get("metavar"))):
            options.setdefault("type", os.path.expanduser)
        return super().add_argument(*names, **options)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The options in `words`.

        Raises: UserError for an unknown flag, a missing value or a word too many.
        """
        self.words = tuple(words)
        for word in words:
            check_utf8(f"{self.command}:", word)
            if digits := re.search(r"\d{1000}", word):
                raise UserError(f"{self.command}: {digits[0][:10]}... has 1000 digits or more: give fewer.")
            if re.fullmatch(r"--[\w-]+=--", word):  # of which argparse makes an empty list
                raise UserError(f"{self.command}: {word.removesuffix('=--')} has no value. See {self.prog} --help.")
        options, left = self.parse_known_args(words)
        if left:
            word = left[0].partition("=")[0]
            flags = [flag for action in self._actions for flag in action.option_strings]
            if word.startswith("-"):
                raise UserError(
                    f"{self.command}: flag {word} is not known{nearest(word, flags)} See {self.prog} --help."
                )
            raise UserError(f"{self.command}: {word!r} is one word too many. See {self.prog} --help.")
        for action in self._actions:
            value, is_path = getattr(options, action.dest, None), re.match(r"(DIR|RUN|FILE)\b", str(action.metavar))
            if is_path and isinstance(value, str) and not value.strip() and action.dest != "resume":
                flag = action.option_strings[0] if action.option_strings else str(action.metavar)
                raise UserError(f"{self.command}: {flag} is empty: give it a name, or leave it out.")
        for name, check in self.outputs:
            if (path := getattr(options, name)) is not None:
                self._check_output(path, check)
        return options

    def add_output(
        self, flag: str, *, kind: str = "file", makes_folder: bool = False, names: Sequence[str] = (), **options: Any
    ) -> None:
        """Add an option that says where results go: `parse` checks that they can be written there, before the work.

        `kind`, `makes_folder` and `names` are as in `record.output.check_output`.
        """
        action = self.add_argument(flag, **options)
        self.outputs.append((action.dest, {"kind": kind, "flag": flag, "makes_folder": makes_folder, "names": names}))

    def _check_output(self, path: str, options: dict[str, Any]) -> None:
        from minilocal.record.output import check_output

        try:
            check_output(path, **options)
        except UserError as error:
            raise UserError(f"{self.command}: {error}") from None

    def format_help(self) -> str:
        lines = [super().format_help()]
        if self.more is not None:
            lines.append(self.more(self.words))
        if examples := EXAMPLES.get(self.command, ()):
            lines.append("\n".join(["for example:", *(f"  {line}" for line in examples), ""]))
        return "\n".join(lines)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.command}: {message}. See {self.prog} --help.")
