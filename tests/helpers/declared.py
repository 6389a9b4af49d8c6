"""What modules declare, as lines of text: defaults, arguments that are given by name, what is frozen, and constants.

python -m tests.helpers.declared > tests/declared.txt
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

PARTS = ("boundaries", "engine", "equations", "layers", "losses", "objectives", "ops", "optim", "rules")
PLAIN = (bool, int, float, str, tuple, frozenset, type(None))


def modules() -> Iterator[Any]:
    """The modules of the parts, in the order of their names."""
    for part in PARTS:
        module = import_module(f"minilocal.{part}")
        yield module
        for text in sorted(walk_packages(getattr(module, "__path__", []), f"{module.__name__}."), key=lambda m: m.name):
            yield import_module(text.name)


def plain(value: Any) -> bool:
    """Whether the text of a value is the same in each process: numbers, text, tuples and tables of them."""
    if isinstance(value, dict):
        return all(map(plain, (*value.keys(), *value.values())))
    return isinstance(value, PLAIN) and (not isinstance(value, tuple) or all(map(plain, value)))


def signature(function: Any) -> str | None:
    """The arguments that have defaults or kinds of their own, with all others; annotations are left to mypy."""
    declaration = inspect.signature(function)
    arguments = [
        p.replace(annotation=p.empty, default=p.default if p.default is p.empty or plain(p.default) else ...)
        for p in declaration.parameters.values()
    ]
    if all(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in arguments):
        return None
    return str(declaration.replace(parameters=arguments, return_annotation=declaration.empty))


def line(name: str, value: Any) -> str | None:
    """A function that declares something, or a plain value."""
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    if inspect.isfunction(value):
        return f"{name}{text}" if (text := signature(value)) else None
    return f"{name} = {value!r}" if plain(value) else None


def of_class(cls: type) -> Iterator[str]:
    """A class: what it is frozen to, its fields, and its public members."""
    fields = {}
    if dataclasses.is_dataclass(cls):
        options: Any = cls.__dataclass_params__  # type: ignore[attr-defined]
        yield f"  dataclass frozen={options.frozen} eq={options.eq} order={options.order}"
        fields = {f.name: f for f in dataclasses.fields(cls)}
    for name, field in fields.items():
        flags = [flag for flag in ("init", "repr", "compare") if not getattr(field, flag)]
        default = f" = {field.default!r}" if plain(field.default) else ""
        yield f"  {name}{default}{' keyword' if field.kw_only else ''}{''.join(f' no {flag}' for flag in flags)}"
    for name, value in sorted(vars(cls).items()):
        generated = fields or getattr(cls, "_is_protocol", False)  # its __init__ is not written by hand
        public = not name.startswith("_") or (name == "__init__" and not generated)
        if public and name not in fields and (text := line(name, value)):
            yield f"  {text}"


def of_module(module: Any) -> Iterator[str]:
    """What a module defines itself, but for private names."""
    package = hasattr(module, "__path__")  # its constants are those of its modules
    for name, value in sorted(vars(module).items()):
        own = getattr(value, "__module__", module.__name__) == module.__name__
        if name.startswith("_") or name == "TYPE_CHECKING" or not own:
            continue
        if inspect.isclass(value):
            if lines := list(of_class(value)):
                yield f"class {name}"
                yield from lines
        elif (inspect.isfunction(value) or (name.isupper() and not package)) and (text := line(name, value)):
            yield text


def declared() -> str:
    """All lines, each module under its name."""
    return "".join(
        f"# {module.__name__}\n" + "".join(f"{line}\n" for line in lines) + "\n"
        for module in modules()
        if (lines := list(of_module(module)))
    )


if __name__ == "__main__":
    print(declared(), end="")
