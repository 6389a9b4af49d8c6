"""A rule of the user's own, named by where it stands: FILE.py:NAME, a Rule or a function that returns one."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

from minilocal.errors import UserError, nearest
from minilocal.rules.compose import Rule

TAKEN = {"name", "sha256"}  # keys of [rule] beside a rule's options
FORM = re.compile(r"(?P<path>.+\.py)(:(?P<name>\w*))?")


def is_own(name: object) -> bool:
    """Whether a rule's name is that of a file."""
    return isinstance(name, str) and FORM.fullmatch(name) is not None


def parts(name: str) -> tuple[Path, str]:
    """(file, the rule's name in it).

    Raises: UserError where a file is named alone.
    """
    found = FORM.fullmatch(name)
    assert found, name
    if not found["name"]:
        raise UserError(f"rule {name!r}: name the rule in it too, as {found['path']}:my_rule.")
    return Path(found["path"]).expanduser(), found["name"]


def constructor(name: str) -> Callable[..., Rule]:
    """What makes the rule, with the signature and docstring of the user's function. A Rule takes no options.

    Raises: UserError for a file that cannot be read or run, and one that holds no such rule.
    """
    path, rule = parts(name)
    found = getattr(_module(path.absolute(), fingerprint(name)), rule, None)
    if found is None:
        held = [key for key, thing in vars(_module(path.absolute(), fingerprint(name))).items() if _is_rule(key, thing)]
        raise UserError(f"{path} has no rule {rule!r}{nearest(rule, held)} It has {', '.join(held) or 'none'}.")
    if isinstance(found, Rule):
        return lambda: found
    if not callable(found):
        raise UserError(f"{path}:{rule} is a {type(found).__name__}: give a Rule, or a function that returns one.")
    if taken := sorted(TAKEN & inspect.signature(found).parameters.keys()):
        raise UserError(f"{path}:{rule} has an option {taken[0]!r}, which is [rule]'s own key: call it otherwise.")
    return _checked(found, path, rule)


def fingerprint(name: str) -> str:
    """The SHA-256 of the file, in hexadecimal.

    Raises: UserError for a file that cannot be read.
    """
    path = parts(name)[0]
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"rule {name!r}: {path.absolute()} cannot be read, {error.strerror}.") from None


def _checked(function: Callable[..., Any], path: Path, rule: str) -> Callable[..., Rule]:
    @wraps(function)
    def make(**options: Any) -> Rule:
        with _explained(path):
            made = function(**options)
        if not isinstance(made, Rule):
            raise UserError(f"{path}:{rule} returned a {type(made).__name__}, not a Rule: return what compose makes.")
        return made

    return make


@lru_cache
def _module(path: Path, fingerprint: str) -> Any:
    """The file, run once for each content that it has had. What lies beside it can be imported."""
    spec = importlib.util.spec_from_file_location(f"minilocal_own_{fingerprint[:12]}", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look themselves up there
    sys.path.insert(0, str(path.parent))
    try:
        with _explained(path):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    finally:
        sys.path.remove(str(path.parent))
    return module


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors in the user's file as one line that says where in it; in Python their traceback is their cause."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.absolute()]
        line = frames[-1].lineno if frames else getattr(error, "lineno", None)
        what = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
        raise UserError(f"{path}:{line or 1}: {type(error).__name__}: {what}") from error


def _is_rule(key: str, thing: Any) -> bool:
    """Whether something in the user's file is meant to be found: a Rule, or a function that was written there."""
    return isinstance(thing, Rule) or (
        not key.startswith("_") and callable(thing) and getattr(thing, "__module__", "").startswith("minilocal_own_")
    )
