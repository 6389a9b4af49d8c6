"""What a network was built with, kept in it as words and numbers, so that a file can say how to build it again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec

from minilocal.errors import UserError
from minilocal.layers.initial import Initializer
from minilocal.nets.net import Net

P = ParamSpec("P")
BUILDERS: dict[str, Callable[..., Net]] = {}


def remembered(build: Callable[P, Net]) -> Callable[P, Net]:
    """`build`, whose networks know what they were built with: its name, its arguments, their key."""

    @wraps(build)
    def made(*args: P.args, **options: P.kwargs) -> Net:
        net = build(*args, **options)
        given = inspect.signature(build).bind(*args, **options)
        given.apply_defaults()
        told = {name: list(v) if isinstance(v, tuple) else v for name, v in given.arguments.items() if name != "rng"}
        recipe = {"net": build.__name__, **told, "init": net.initial.scheme, "key": net.initial.key}
        object.__setattr__(net, "recipe", recipe)
        return net

    BUILDERS[build.__name__] = made
    return made


def again(recipe: Mapping[str, Any]) -> Net:
    """The network that this recipe is of, with the arrays that it had when it was built.

    Raises: UserError for a recipe that is none.
    """
    options = dict(recipe)
    try:
        build, initial = BUILDERS[options.pop("net")], Initializer(options.pop("key"), options.pop("init"))
        return build(**options, rng=initial)
    except (KeyError, TypeError) as error:
        raise UserError(f"no network is built from {dict(recipe)} ({error}).") from None


def is_as_built(net: Net) -> bool:
    """Whether the net has a recipe, and its layers are still those that the recipe builds; their numbers may differ."""
    if net.recipe is None:
        return False
    built = again(net.recipe)
    return _alike([net.units, net.head], [built.units, built.head])


def _alike(a: Any, b: Any) -> bool:
    """Are two layers, or what they hold, of one kind, with the same options, and arrays of the same shapes?"""
    if type(a) is not type(b):
        return False
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_alike, a, b))
    if hasattr(a, "shape"):
        return bool(a.shape == b.shape)
    return bool(a == b) or (hasattr(a, "__dict__") and _alike(vars(a), vars(b)))
