"""`.. api:: minilocal.nets`: a package with everything in its `__all__`, by autodoc.

Classes and functions stand in alphabetical order; values that are neither come last, each with what it holds.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from docutils import nodes
from plain_docstrings import indented, rst
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

import minilocal

RENAMED: dict[str, dict[str, str]] = {}  # {module: {class: the name that users call it by}}
NOT_OURS = {"Figure": "set"}  # methods that Matplotlib writes into its subclasses


def entries(package: ModuleType) -> Iterator[str]:
    """The directives of each public name."""
    names = [name for name in sorted(package.__all__, key=str.lower) if not is_module(package, name)]
    values = [name for name in names if not is_code(getattr(package, name))]
    for name in names:
        path, thing = f"{package.__name__}.{name}", getattr(package, name)
        if name in values:
            continue
        if (home := home_of(thing, name, package)) != package:
            yield f".. py:data:: {name}\n   :module: {package.__name__}\n\n   The same as ``{home.__name__}.{name}``.\n"
        elif inspect.isclass(thing):
            under_its_own_name(thing, name, package.__all__)
            yield f".. autoclass:: {path}\n   :members:\n"
            if name in NOT_OURS:
                yield f"   :exclude-members: {NOT_OURS[name]}\n"
        elif inspect.isfunction(thing):
            yield f".. autofunction:: {path}\n"
        else:
            yield from object_that_is_called(package.__name__, name, thing)
        yield "\n"
    if values:
        yield ".. rubric:: Values\n\n"
        for name in values:
            text = held(getattr(package, name)).replace("\\", "\\\\").replace("*", "\\*")
            yield f".. py:data:: {name}\n   :module: {package.__name__}\n\n   {text}\n\n"


def is_module(package: ModuleType, name: str) -> bool:
    """Whether a public name is a module: `verify.layers` needs JAX, and is not imported."""
    if name in vars(package):
        return inspect.ismodule(vars(package)[name])
    return find_spec(f"{package.__name__}.{name}") is not None


def home_of(thing: Any, name: str, package: ModuleType) -> ModuleType:
    """The package whose page has the entry, of those that share a name: `ml` itself, or the one that defines it."""
    inside = importlib.import_module(".".join(getattr(thing, "__module__", package.__name__).split(".")[:2]))
    for home in (minilocal, inside):
        if name in getattr(home, "__all__", ()) and getattr(home, name) is thing:
            return home
    return package


def is_code(thing: Any) -> bool:
    """Whether it is a class or a function, or an object of this package that is called like one."""
    return inspect.isclass(thing) or inspect.isfunction(thing) or type(thing).__module__.startswith("minilocal.")


def under_its_own_name(thing: type, name: str, public: list[str]) -> None:
    """autodoc calls a class that has another name an alias: `classifier` is ClassifierSpec, which nobody calls."""
    if thing.__name__ != name and thing.__name__ not in public:
        RENAMED.setdefault(thing.__module__, {})[thing.__name__] = name
        thing.__name__ = thing.__qualname__ = name


def module_of_value(app: Sphinx, module: str, name: str) -> str | None:
    """The module of a value is its package: `dict[str, Any]` says that it is of "builtins", which has no page."""
    value = getattr(importlib.import_module(module), name.partition(".")[0], None)
    return None if str(getattr(value, "__module__", "")).startswith("minilocal") else module


def source_of_renamed(app: Sphinx, module: str) -> tuple[str, dict[str, Any]] | None:
    """The source page of a module finds a renamed class by both names."""
    if module not in RENAMED:
        return None
    analyzer = ModuleAnalyzer.for_module(module)
    analyzer.find_tags()
    tags = dict(analyzer.tags)
    for path, tag in analyzer.tags.items():
        first, dot, rest = path.partition(".")
        if first in RENAMED[module]:
            tags[f"{RENAMED[module][first]}{dot}{rest}"] = tag
    return analyzer.code, tags


def object_that_is_called(module: str, name: str, thing: Any) -> Iterator[str]:
    """`ml.split`: an object with a signature and methods."""
    methods = [key for key, method in vars(type(thing)).items() if inspect.isfunction(method) and key[0] != "_"]
    for path, function in [(name, thing), *((f"{name}.{key}", getattr(thing, key)) for key in methods)]:
        yield f".. py:function:: {path}{inspect.signature(function)}\n   :module: {module}\n\n"
        yield "\n".join(indented("\n".join(rst((inspect.getdoc(function) or "").splitlines())), "   ")) + "\n\n"


def held(value: Any) -> str:
    """What a value holds, in a line: the keys of a table."""
    if isinstance(value, dict):
        return "The keys are " + ", ".join(f"``{key}``" for key in value) + "."
    if isinstance(value, tuple):
        return ", ".join(f"``{item}``" for item in value)
    return f"``{str(value).replace('minilocal.array.', '').replace('typing.', '').replace('collections.abc.', '')}``"


class Api(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        package = importlib.import_module(self.arguments[0])
        text = f".. automodule:: {package.__name__}\n   :no-members:\n\n" + "".join(entries(package))
        return self.parse_text_to_nodes(text)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("api", Api)
    app.connect("viewcode-find-source", source_of_renamed)
    app.connect("viewcode-follow-imported", module_of_value)
    return {"parallel_read_safe": True}
