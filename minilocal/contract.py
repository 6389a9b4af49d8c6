"""What the engine counts on in a layer, an objective and a crossing, held for those that come from outside the package.

Their shapes, types and names are tried once, when a Learner is built, on two images of random numbers. The package's
own are held by its tests and not tried again, so this costs a network of them nothing. Whether a derivative is right
cannot be seen so: `minilocal.verify.check_layer` finds out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from minilocal.array import Array, namespace
from minilocal.boundaries import Boundary
from minilocal.engine import Module
from minilocal.errors import UserError, whole
from minilocal.layers import Layer, PassContext, Sequential
from minilocal.layers.base import Need, Shape
from minilocal.nets import Net
from minilocal.objectives import Batch
from minilocal.rules import Rule
from minilocal.streams import stream

IMAGES = 2
OBJECTIVE = ("parameters", "buffers", "forward", "backward", "update_running_stats")
NEEDS: tuple[Need, ...] = ("both", "input", "weights")


def hold(modules: Sequence[Module], net: Net, rule: Rule, p: Mapping[str, Array]) -> None:
    """Tries all that is not the package's own, on arrays like those in p.

    Raises: UserError for what does not keep to the contract of minilocal.layers.Layer, minilocal.objectives.Objective
    or minilocal.boundaries.Boundary.
    """
    shapes = [net.shape, *net.shapes]
    for k, module in enumerate(modules, 1):
        for u, unit in enumerate(module.units, module.first):
            for layer, shape in foreign(unit, shapes[u]):
                try_layer(layer, shape, p)
        if module.objective is not None and (_foreign(rule.objective) or _foreign(module.objective)):
            _try_objective(module, k, net, p)
    for layer, shape in foreign(net.head, net.shapes[-1]):
        try_layer(layer, shape, p)
    if _foreign(rule.boundary):
        _try_crossing(rule.boundary, modules)


def _foreign(thing: object) -> bool:
    """Is its class defined outside the package?"""
    return not type(thing).__module__.startswith("minilocal.")


def foreign(layer: Layer, shape: Shape) -> list[tuple[Layer, Shape]]:
    """(layer, shape of its input) of what comes from outside the package in this layer.

    A row of layers is looked through one by one; any other layer of the package that holds one is tried as a whole.
    """
    if not isinstance(layer, Sequential):
        return [(layer, shape)] if _holds_foreign(layer) else []
    found = []
    for inner in layer.layers:
        found += foreign(inner, shape)
        shape = inner.out_shape(shape)
    return found


def _holds_foreign(layer: Layer) -> bool:
    return _foreign(layer) or any(map(_holds_foreign, layer.children()))


def try_layer(layer: Layer, shape: Shape, p: Mapping[str, Array], training: bool = True) -> None:
    """One forward and three backwards on random images: results, shapes, types and names.

    Raises: UserError naming what came back and what was expected.
    """
    who = f"{type(layer).__name__} {layer.name!r}".removesuffix(" ''")
    x = _random((IMAGES, *shape), next(iter(p.values())))
    y, cache = _two(
        f"{who}: forward(x, run, p)", "(y, cache)", partial(layer.forward, x, PassContext(training=training), p)
    )
    _like(f"{who}: forward of x {tuple(x.shape)}", y, (IMAGES, *layer.out_shape(shape)), x.dtype, "as out_shape says")
    dy = _random(tuple(y.shape), y)
    for need in NEEDS:
        call = f'{who}: backward(dy, cache, p, "{need}")'
        dx, grads = _two(call, "(dx, gradients)", partial(layer.backward, dy, cache, p, need))
        if need == "weights" and dx is not None:
            raise UserError(f"{call} returned an error for its input: return None in its place, it is not used.")
        if need != "weights":
            _like(f"{call}, dx", dx, tuple(x.shape), x.dtype, "as x")
        _gradients(call, grads, layer.parameters if need != "input" else {}, p)


def hold_objectives(modules: Sequence[Module]) -> None:
    """Holds that what a recipe has built is an objective, before anything is asked of it.

    Raises: UserError where it is something else.
    """
    for k, module in enumerate(modules, 1):
        objective, who = module.objective, f"the objective of module {k}, a {type(module.objective).__name__}"
        if isinstance(objective, Layer):
            raise UserError(
                f"{who}: it is a layer and no loss; to classify by it: minilocal.objectives.ClassifierLoss(it)."
            )
        lacks = [name for name in OBJECTIVE if not hasattr(objective, name)]
        if objective is not None and lacks:
            raise UserError(f"{who} has no {lacks[0]!r}: build() returns a minilocal.objectives.Objective, or None.")


def _try_objective(module: Module, k: int, net: Net, p: Mapping[str, Array]) -> None:
    objective: Any = module.objective
    who = f"the objective of module {k}, a {type(objective).__name__}"
    like = next(iter(p.values()))
    h, x = _random((IMAGES, *net.shapes[module.top]), like), _random((IMAGES, *net.shape), like)
    batch = Batch(x, namespace(like).asarray([net.classes - 1] * IMAGES))
    call = f"{who}: forward(h, batch, run, p)"
    loss, cache = _two(call, "(loss, cache)", partial(objective.forward, h, batch, PassContext(), p))
    if tuple(getattr(loss, "shape", ())) != ():
        raise UserError(f"{call} returned a loss of shape {tuple(loss.shape)}: give one number, the mean over images.")
    for need in NEEDS:
        call = f'{who}: backward(cache, p, "{need}")'
        error, grads = _two(call, "(error, gradients)", partial(objective.backward, cache, p, need))
        if need != "weights":
            _like(f"{call}, its error", error, tuple(h.shape), h.dtype, "as h")
        _gradients(call, grads, objective.parameters if need != "input" else {}, p)
    said = objective.logits(h, PassContext(training=False), p) if hasattr(objective, "logits") else None
    if said is not None:
        _like(f"{who}: logits(h, run, p)", said, (IMAGES, net.classes), h.dtype, "one for each class")


def _try_crossing(boundary: Boundary, modules: Sequence[Module]) -> None:
    for k, units in enumerate((len(m.units) for m in modules), 1):
        call = f"{type(boundary).__name__}.linked_units({units})"
        linked = whole(call, boundary.linked_units(units), 0, units, give=f"0 to {units}, the units of module {k}")
        for j in range(linked):
            _two(f"{type(boundary).__name__}.weights({j})", "(a, b)", partial(boundary.weights, j))


def _two(call: str, what: str, work: Callable[[], Any]) -> tuple[Any, Any]:
    """The two things that `work` returns."""
    try:
        found = work()
    except UserError:
        raise
    except Exception as error:
        told = str(error).strip().splitlines()
        raise UserError(f"{call} failed: {type(error).__name__}: {told[0] if told else 'no word'}.") from error
    if not isinstance(found, tuple) or len(found) != 2:
        raise UserError(f"{call} returned a {type(found).__name__}: it returns {what}.")
    return found


def _like(what: str, a: Any, shape: Shape, dtype: Any, why: str) -> None:
    if not hasattr(a, "dtype"):
        raise UserError(f"{what} is a {type(a).__name__}: give an array of {shape}, {why}.")
    if tuple(a.shape) != shape:
        raise UserError(f"{what} is {tuple(a.shape)}: it must be {shape}, {why}.")
    if a.dtype != dtype:
        raise UserError(f"{what} is {a.dtype} where the network is {dtype}: keep the type of what comes in.")


def _gradients(call: str, grads: Any, parameters: Mapping[str, Array], p: Mapping[str, Array]) -> None:
    if not isinstance(grads, dict):
        raise UserError(f"{call} returned gradients as a {type(grads).__name__}: give {{name: gradient}}.")
    if wrong := sorted(grads.keys() ^ parameters.keys()):
        says = "lacks" if wrong[0] in parameters else "should not name"
        raise UserError(f"{call} {says} a gradient of {wrong[0]!r}.")
    for name, g in grads.items():
        _like(f"{call}, gradient of {name!r}", g, tuple(p[name].shape), p[name].dtype, "as the parameter")


def _random(shape: Shape, like: Array) -> Array:
    """Normal numbers, the same each time, of the type of `like` and where it lives."""
    return namespace(like).asarray(stream(1, "contract").standard_normal(shape).astype(str(like.dtype)))
