"""The recipe of a network: its builder's name and arguments, from which a file can build it again."""

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


def with_recipe(build: Callable[P, Net]) -> Callable[P, Net]:
    """Decorate `build` so that its networks carry a recipe: its name, its arguments, their key."""

    @wraps(build)
    def build_with_recipe(*args: P.args, **options: P.kwargs) -> Net:
        net = build(*args, **options)
        bound = inspect.signature(build).bind(*args, **options)
        bound.apply_defaults()
        arguments = {
            name: list(v) if isinstance(v, tuple) else v for name, v in bound.arguments.items() if name != "rng"
        }
        recipe = {"net": build.__name__, **arguments, "init": net.initial.scheme, "key": net.initial.key}
        object.__setattr__(net, "recipe", recipe)
        return net

    BUILDERS[build.__name__] = build_with_recipe
    return build_with_recipe


def from_recipe(recipe: Mapping[str, Any]) -> Net:
    """The network of this recipe, with its initial arrays.

    Raises: UserError for a wrong recipe.
    """
    options = dict(recipe)
    try:
        build, initial = BUILDERS[options.pop("net")], Initializer(options.pop("key"), options.pop("init"))
        return build(**options, rng=initial)
    except (KeyError, TypeError) as error:
        raise UserError(f"no network is built from {dict(recipe)} ({error}).") from None


def matches_recipe(net: Net) -> bool:
    """Whether the net has a recipe, and its layers are still those that the recipe builds; their numbers may differ."""
    if net.recipe is None:
        return False
    built = from_recipe(net.recipe)
    return _alike([net.units, net.head], [built.units, built.head])


def _alike(a: Any, b: Any) -> bool:
    """Whether two layers, or their parts, have the same class and options, and arrays of the same shapes."""
    if type(a) is not type(b):
        return False
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_alike, a, b))
    if hasattr(a, "shape"):
        return bool(a.shape == b.shape)
    return bool(a == b) or (hasattr(a, "__dict__") and _alike(vars(a), vars(b)))
