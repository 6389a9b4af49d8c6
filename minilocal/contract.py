"""The contract of layers, objectives and boundaries, checked for classes from outside the package.

When a Learner is built they run once, on two images of random numbers: results, shapes, types and names are checked.
The package's own classes are checked by its tests and not here, so a network of them costs nothing. Derivatives are not
checked here either; `minilocal.verify.check_layer` compares them with finite differences.
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


def check(modules: Sequence[Module], net: Net, rule: Rule, p: Mapping[str, Array]) -> None:
    """Check every layer, objective and boundary from outside the package, with arrays like those in p.

    Raises: UserError for what does not keep to the contract of minilocal.layers.Layer, minilocal.objectives.Objective
    or minilocal.boundaries.Boundary.
    """
    shapes = [net.shape, *net.shapes]
    for k, module in enumerate(modules, 1):
        for u, unit in enumerate(module.units, module.first):
            for layer, shape in foreign(unit, shapes[u]):
                check_layer(layer, shape, p)
        if module.objective is not None and (_foreign(rule.objective) or _foreign(module.objective)):
            _check_objective(module, k, net, p)
    for layer, shape in foreign(net.head, net.shapes[-1]):
        check_layer(layer, shape, p)
    if _foreign(rule.boundary):
        _check_boundary(rule.boundary, modules)


def _foreign(thing: object) -> bool:
    """Whether its class is defined outside the package."""
    return not type(thing).__module__.startswith("minilocal.")


def foreign(layer: Layer, shape: Shape) -> list[tuple[Layer, Shape]]:
    """(layer, shape of its input) of each layer from outside the package in this layer.

    The layers of a Sequential are listed one by one. Any other layer that contains a foreign one is listed as a whole.
    """
    if not isinstance(layer, Sequential):
        return [(layer, shape)] if _holds_foreign(layer) else []
    pairs = []
    for inner in layer.layers:
        pairs += foreign(inner, shape)
        shape = inner.out_shape(shape)
    return pairs


def _holds_foreign(layer: Layer) -> bool:
    return _foreign(layer) or any(map(_holds_foreign, layer.children()))


def check_layer(layer: Layer, shape: Shape, p: Mapping[str, Array], training: bool = True) -> None:
    """Check results, shapes, types and names of one forward and three backwards on random images.

    Raises: UserError naming what came back and what was expected.
    """
    who = f"{type(layer).__name__} {layer.name!r}".removesuffix(" ''")
    x = _random((IMAGES, *shape), next(iter(p.values())))
    y, cache = _two(
        f"{who}: forward(x, ctx, p)", "(y, cache)", partial(layer.forward, x, PassContext(training=training), p)
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


def check_objectives(modules: Sequence[Module], rule: Rule) -> None:
    """Check that each module's objective has the methods of one, `backward_divided` too where the rule's divides.

    Raises: UserError where it has not.
    """
    for k, module in enumerate(modules, 1):
        objective, who = module.objective, f"the objective of module {k}, a {type(module.objective).__name__}"
        if isinstance(objective, Layer):
            raise UserError(
                f"{who}: it is a layer and no loss; to classify by it: minilocal.objectives.ClassifierLoss(it)."
            )
        methods = (*OBJECTIVE, *["backward_divided"] * rule.objective.divides)
        lacks = [name for name in methods if not hasattr(objective, name)]
        if objective is not None and lacks:
            raise UserError(f"{who} has no {lacks[0]!r}: build() returns a minilocal.objectives.Objective, or None.")


def _check_objective(module: Module, k: int, net: Net, p: Mapping[str, Array]) -> None:
    objective: Any = module.objective
    who = f"the objective of module {k}, a {type(objective).__name__}"
    like = next(iter(p.values()))
    h, x = _random((IMAGES, *net.shapes[module.top]), like), _random((IMAGES, *net.shape), like)
    batch = Batch(x, namespace(like).asarray([net.classes - 1] * IMAGES))
    call = f"{who}: forward(h, batch, ctx, p)"
    loss, cache = _two(call, "(loss, cache)", partial(objective.forward, h, batch, PassContext(), p))
    if tuple(getattr(loss, "shape", ())) != ():
        raise UserError(f"{call} returned a loss of shape {tuple(loss.shape)}: give one number, the mean over images.")
    for need in NEEDS:
        call = f'{who}: backward(cache, p, "{need}")'
        error, grads = _two(call, "(error, gradients)", partial(objective.backward, cache, p, need))
        if need != "weights":
            _like(f"{call}, its error", error, tuple(h.shape), h.dtype, "as h")
        _gradients(call, grads, objective.parameters if need != "input" else {}, p)
    logits = objective.logits(h, PassContext(training=False), p) if hasattr(objective, "logits") else None
    if logits is not None:
        _like(f"{who}: logits(h, ctx, p)", logits, (IMAGES, net.classes), h.dtype, "one for each class")


def _check_boundary(boundary: Boundary, modules: Sequence[Module]) -> None:
    _check_sources(boundary, len(modules))
    for k, units in enumerate((len(m.units) for m in modules), 1):
        call = f"{type(boundary).__name__}.linked_units({units})"
        linked = whole(call, boundary.linked_units(units), 0, units, give=f"0 to {units}, the units of module {k}")
        for j in range(linked):
            _two(f"{type(boundary).__name__}.weights({j})", "(a, b)", partial(boundary.weights, j))
        if linked and not boundary.uses_input_error:
            raise UserError(
                f"{call} = {linked}, but uses_input_error is False, so no error is computed for them: let it be True."
            )
        call = f"{type(boundary).__name__}.sends({units})"
        _, b = _two(call, "(a, b)", partial(boundary.sends, units))
        if b != 0 and linked < units:
            raise UserError(
                f"{call} sends the error from above on, but it enters only {linked} of the {units} units of module {k} "
                "and never reaches the module's input: link all units, or return b = 0."
            )


def _check_sources(boundary: Boundary, modules: int) -> None:
    """Check the losses that modules learn from: of a module at or above each, and no two of them crossed."""
    call = f"{type(boundary).__name__}.learns_from"
    sources = [boundary.learns_from(k, modules - 1) for k in range(modules)]
    if all(source is None for source in sources):
        return
    above = [whole(f"{call}({k}, {modules - 1})", s, k, modules - 1) for k, s in enumerate(sources)]
    if above != sorted(above):
        numbers = ", ".join(str(k + 1) for k in range(modules)), ", ".join(str(s + 1) for s in above)
        raise UserError(
            f"{call}: modules {numbers[0]} learn from the losses of {numbers[1]}, so an error would pass a module "
            "after its update: let no module learn from a lower loss than the one below it."
        )


def _two(call: str, what: str, work: Callable[[], Any]) -> tuple[Any, Any]:
    """The pair that `work` returns.

    Raises: UserError where it raises, or returns something else; `call` and `what` name both in the message.
    """
    try:
        result = work()
    except UserError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        raise UserError(f"{call} failed: {type(error).__name__}: {lines[0] if lines else 'no message'}.") from error
    if not isinstance(result, tuple) or len(result) != 2:
        raise UserError(f"{call} returned a {type(result).__name__}: it returns {what}.")
    return result


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
    """Normal random numbers, the same each time, in the type and library of `like`."""
    return namespace(like).asarray(stream(1, "contract").standard_normal(shape).astype(str(like.dtype)))
