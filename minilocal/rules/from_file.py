"""A user's own rule by name, FILE.py:NAME: a Rule in that file, or a function that returns one."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

from minilocal import source
from minilocal.errors import UserError, check_file, nearest
from minilocal.rules.compose import Rule

RESERVED = {"name", "sha256"}  # keys of [rule] that are not options
FORM = re.compile(r"(?P<path>.+\.py)(:(?P<name>\w*))?")


def is_own(name: object) -> bool:
    """Whether a rule's name has the form FILE.py:NAME."""
    return isinstance(name, str) and FORM.fullmatch(name) is not None


def parts(name: str) -> tuple[Path, str]:
    """(file, the rule's name in it).

    Raises: UserError where only the file is named.
    """
    match = FORM.fullmatch(name)
    assert match, name
    if not match["name"]:
        raise UserError(f"rule {name!r}: name the rule in it too, as {match['path']}:my_rule.")
    return Path(match["path"]).expanduser(), match["name"]


def constructor(name: str) -> Callable[..., Rule]:
    """The function that makes the rule, with the signature and docstring of the user's. A Rule takes no options.

    Raises: UserError for a file that cannot be read or run, and one without such a rule.
    """
    path, rule = parts(name)
    module = _module(path.absolute(), fingerprint(name))
    own = getattr(module, rule, None)
    if own is None:
        rules = [key for key, value in vars(module).items() if _is_rule(key, value)]
        raise UserError(f"{path} has no rule {rule!r}{nearest(rule, rules)} It has {', '.join(rules) or 'none'}.")
    if isinstance(own, Rule):
        return lambda: own
    if not callable(own):
        raise UserError(f"{path}:{rule} is a {type(own).__name__}: give a Rule, or a function that returns one.")
    if reserved := sorted(RESERVED & inspect.signature(own).parameters.keys()):
        raise UserError(f"{path}:{rule} has an option {reserved[0]!r}, a key of [rule] itself: give it another name.")
    return _checked(own, path, rule)


def fingerprint(name: str) -> str:
    """The SHA-256 of the file, in hexadecimal.

    Raises: UserError for a file that cannot be read.
    """
    path = parts(name)[0]
    check_file(path)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"rule {name!r}: {path.absolute()} cannot be read, {error.strerror}.") from None


def _checked(function: Callable[..., Any], path: Path, rule: str) -> Callable[..., Rule]:
    @wraps(function)
    def make(**options: Any) -> Rule:
        with _explained(path):
            result = function(**options)
        if not isinstance(result, Rule):
            raise UserError(f"{path}:{rule} returned a {type(result).__name__}, not a Rule: return what compose makes.")
        return result

    return make


@lru_cache
def _module(path: Path, fingerprint: str) -> Any:
    """The file as a module, run once for each content. Files beside it can be imported."""
    sys.path.insert(0, str(path.parent))
    try:
        with _explained(path):
            return source.run(path, f"minilocal_own_{fingerprint[:12]}")
    finally:
        sys.path.remove(str(path.parent))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors in the user's file as one line with the file's line; the error with its traceback is the cause."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.absolute()]
        line = frames[-1].lineno if frames else getattr(error, "lineno", None)
        what = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
        raise UserError(f"{path}:{line or 1}: {type(error).__name__}: {what}") from error


def _is_rule(name: str, value: Any) -> bool:
    """Whether a global of the user's file is a Rule, or a public function written there."""
    return isinstance(value, Rule) or (
        not name.startswith("_") and callable(value) and getattr(value, "__module__", "").startswith("minilocal_own_")
    )
