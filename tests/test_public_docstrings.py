"""What the public docstrings must say: the errors raised, every option of an answer, the shapes of arrays."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import minilocal as ml
from minilocal import errors
from minilocal.layers import Layer

CHECKS = (errors.whole, errors.real, errors.fraction, errors.boolean)
ERRORS = ("UserError(", "unknown(", "OutOfMemory(")
NEVER = {  # they call a function that raises, with arguments that it takes
    "ml.data.DataSet.grey_levels",
    "ml.parallel.Learner.whole",
}


def public(path: str, thing: Any, seen: set[int]) -> Iterator[tuple[str, Any, type | None]]:
    """(path, function or class, the class of a method) of everything under the `__all__` of a package."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, ModuleType):
        for name in getattr(thing, "__all__", []):
            yield from public(f"{path}.{name}", getattr(thing, name), seen)
    elif getattr(thing, "__module__", "").startswith("minilocal") and callable(thing):
        yield path, thing, None
        for name, member in vars(thing).items() if inspect.isclass(thing) else ():
            method = function(member)
            if not name.startswith("_") and inspect.isfunction(method):
                yield f"{path}.{name}", method, thing


def function(member: Any) -> Any:
    """The function behind a property, a class method, a decorator or an operation."""
    member = getattr(member, "__func__", member)
    return inspect.unwrap(getattr(member, "fget", member))


def called(node: ast.expr, inside: Any, owner: type | None) -> Any:
    """What a call calls: a name of the file, one of a module, or a method of the same object; else None."""
    if isinstance(node, ast.Name):
        return inside.__globals__.get(node.id)
    if not isinstance(node, ast.Attribute):
        return None
    if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls") and owner is not None:
        return inspect.getattr_static(owner, node.attr, None)
    module = called(node.value, inside, owner)
    return getattr(module, node.attr, None) if isinstance(module, ModuleType) else None


def can_raise(thing: Any, owner: type | None, steps: int = 1) -> bool:
    """Whether its source raises a UserError, or something that it calls does, `steps` calls further at most."""
    thing = function(thing)
    if inspect.isclass(thing):
        builders = (vars(thing)[name] for name in ("__new__", "__init__", "__post_init__") if name in vars(thing))
        return thing.__module__.startswith("minilocal") and any(can_raise(part, thing, steps) for part in builders)
    if not inspect.isfunction(thing) or not thing.__module__.startswith(("minilocal", __name__)):
        return False
    try:
        nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(thing)))))
    except (OSError, SyntaxError):  # a method that dataclass has written; a lambda
        return False
    if any(isinstance(n, ast.Raise) and n.exc and ast.unparse(n.exc).startswith(ERRORS) for n in nodes):
        return True
    calls = [called(n.func, thing, owner) for n in nodes if isinstance(n, ast.Call)]
    return any(call in CHECKS or (steps and can_raise(call, owner, steps - 1)) for call in calls if callable(call))


def says_so(thing: Any, owner: type | None) -> bool:
    """Whether its docstring says what it raises; a method's may be inherited, or be its class's."""
    own = thing.__doc__ if owner is None else inspect.getdoc(getattr(owner, thing.__name__))
    return bool(re.search("Raises: |raises? UserError", own or "") or (owner and "raise" in (owner.__doc__ or "")))


PUBLIC = list(public("ml", ml, set()))


def test_whatever_raises_an_error_of_the_user_says_so():
    silent = [path for path, thing, owner in PUBLIC if can_raise(thing, owner) and not says_so(thing, owner)]
    assert len(PUBLIC) > 350 and set(silent) <= NEVER, silent


PROTOCOLS = (ml.objectives.Objective, ml.optim.Optimizer)  # they say what the methods of their classes do


def documented(thing: Any, owner: type | None) -> bool:
    """Whether it has a docstring: its own, that of the method that it overrides, or that of a protocol's."""
    if owner is None:
        return bool(thing.__doc__)
    kinds = [kind for kind in (owner, *PROTOCOLS) if hasattr(kind, thing.__name__)]
    return any(inspect.getdoc(getattr(kind, thing.__name__)) for kind in kinds)


def test_whatever_is_public_is_documented():
    assert [path for path, thing, owner in PUBLIC if not documented(thing, owner)] == []


def check(number: int) -> None:
    errors.whole("number", number)


def silent(number: int) -> None:
    """Call `check`."""
    check(number)


def test_an_error_that_nobody_mentions_is_found():
    assert can_raise(silent, None) and not says_so(silent, None) and not can_raise(silent, None, steps=0)
    assert can_raise(Layer.forward, Layer) is False and can_raise(ml.Learner.predict, ml.Learner, steps=2)


ANSWERS = [
    getattr(package, name)
    for package in (ml.objectives, ml.boundaries, ml.when)
    for name in package.__all__
    if name.islower()
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.__name__)
def test_every_option_of_an_answer_is_in_its_help(answer):
    text = inspect.getdoc(answer) or ""
    missing = [name for name in inspect.signature(answer).parameters if f"`{name}`" not in text]
    assert len(ANSWERS) == 18 and not missing


SHAPES = r"\([^)]*\)[^()]*  →  |any shape|Shapes as in `"  # x (N, C)  →  (N, O)


def with_arrays(module: ModuleType) -> list[Callable[..., Any]]:
    """The functions of a module that take or return arrays."""
    functions = [getattr(module, name) for name in module.__all__ if inspect.isfunction(getattr(module, name))]
    return [f for f in functions if any("Array" in str(kind) for kind in inspect.unwrap(f).__annotations__.values())]


@pytest.mark.parametrize("module", [ml.ops, ml.losses, ml.equations], ids=lambda module: module.__name__)
def test_a_function_of_arrays_says_their_shapes(module):
    functions = with_arrays(module)
    assert functions and not [f.__name__ for f in functions if not re.search(SHAPES, f.__doc__ or "")]
