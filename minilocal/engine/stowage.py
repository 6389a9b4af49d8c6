"""What is in flight, as named arrays for a checkpoint, and back.

    rule                           the delays and the split, as JSON: see `_rule`
    begun                          batches that have entered
    batches                        a row (number, key, epoch, step, part) for each batch under way
    batch.N.x   batch.N.y          its images and labels
    tickets                        a row (module, number) for each ticket, the oldest first
    ticket.K.N.entry               the module's input (the first module's is the batch itself)
    ticket.K.N.weight.NAME         its stashed weights
    ticket.K.N.cache.I             its caches' arrays, only where the weights that made them are gone
    up, down                       a row (boundary, place in the queue, number) for each parcel
    up.K.N   down.K.N              the activation, the error
    held.NAME                      module K's gradients that wait for the next iteration

Caches are not stored where they can be made again: with stashed weights the same forward makes the same caches. With
`backward_weights="current"` it cannot, so a forward with the weights of the day gives the caches' form, and the
stored arrays are put into it.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minilocal.array import Array, host_copy, namespace
from minilocal.engine.in_flight import InFlightBatch, Message, PendingBackward
from minilocal.engine.module import Saved, saved_array, shapes
from minilocal.errors import UserError
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.objectives import Batch
from minilocal.tree import tree_leaves, tree_replace

if TYPE_CHECKING:
    from minilocal.engine.delayed import DelayedEngine, Queue


def stow(engine: DelayedEngine) -> dict[str, np.ndarray]:
    """Everything that `engine` holds between two iterations, as host copies."""
    flights: dict[int, InFlightBatch] = {}
    saved: dict[str, Array] = {f"held.{name}": g for name, g in engine.held.items()}
    tickets, lanes = [], {"up": engine.upward, "down": engine.downward}
    rows: dict[str, list[tuple[int, int, int]]] = {lane: [] for lane in lanes}

    for k, waiting in enumerate(engine.tickets):
        for ticket in waiting:
            number, at = ticket.flight.number, f"ticket.{k}.{ticket.flight.number}"
            flights[number] = ticket.flight
            tickets.append((k, number))
            if k > 0:
                saved[f"{at}.entry"] = ticket.entry
            if ticket.weights is not None:
                saved |= {f"{at}.weight.{name}": w for name, w in ticket.weights.items()}
            elif ticket.caches is not None:
                saved |= {f"{at}.cache.{i}": a for i, a in enumerate(tree_leaves(ticket.caches, ticket.entry))}
    for lane, queues in lanes.items():
        for k, queue in enumerate(queues):
            for place, parcel in enumerate(queue):
                if parcel is not None:
                    number = parcel.flight.number
                    flights[number] = parcel.flight
                    rows[lane].append((k, place, number))
                    saved[f"{lane}.{k}.{number}"] = parcel.array
    for n, flight in flights.items():
        saved |= {f"batch.{n}.x": flight.batch.x, f"batch.{n}.y": flight.batch.y}

    runs = [(n, f.ctx.key, f.ctx.epoch, f.ctx.step, f.ctx.part) for n, f in flights.items()]
    return {name: host_copy(a) for name, a in saved.items()} | {
        "rule": host_copy(json.dumps(_rule(engine))),
        "begun": host_copy(engine.begun),
        "batches": host_copy(runs, np.int64).reshape(-1, 5),
        "tickets": host_copy(tickets, np.int64).reshape(-1, 2),
        **{lane: host_copy(found, np.int64).reshape(-1, 3) for lane, found in rows.items()},
    }


def unstow(engine: DelayedEngine, saved: Saved, image: Shape) -> None:
    """Puts what `stow` said into `engine`, whose network takes images of this shape.

    Raises: UserError where another rule or split said it, or an array is missing or of another shape; then nothing has
    changed.
    """
    _check_rule(saved, _rule(engine))
    xp, around = namespace(next(iter(engine.arrays.values()))), shapes(engine.modules, image)

    def array(name: str, *shape: int) -> Array:
        return xp.array(saved_array(saved, name, shape))

    def like(name: str, parameter: str) -> Array:
        return array(name, *engine.arrays[parameter].shape)

    flights = {}
    for n, key, epoch, step, part in _rows(saved, "batches", 5):
        images = saved_array(saved, f"batch.{n}.y").size
        batch = Batch(array(f"batch.{n}.x", images, *image), array(f"batch.{n}.y", images))
        flights[n] = InFlightBatch(n, batch, PassContext(True, key, epoch, step, part=part))

    def of(n: int) -> tuple[InFlightBatch, int]:
        """A flight, and its images."""
        if n not in flights:
            raise UserError(f"this checkpoint lacks the batch {n} that is in flight: it is damaged.")
        return flights[n], len(flights[n].batch.y)

    tickets: list[deque[PendingBackward]] = [deque() for _ in engine.modules]
    for k, n in _rows(saved, "tickets", 2):
        (flight, images), at = of(n), f"ticket.{k}.{n}"
        ticket = PendingBackward(flight, array(f"{at}.entry", images, *around[k][0]) if k > 0 else flight.batch.x)
        if engine.boundary.backward_weights == "stashed":
            ticket.weights = {w: like(f"{at}.weight.{w}", w) for w in engine.modules[k].parameters()}
        _refill(engine, k, ticket, lambda i, a, at=at: array(f"{at}.cache.{i}", *a.shape))  # type: ignore[misc]
        tickets[k].append(ticket)

    def queues(lane: str, lag: int) -> list[Queue]:
        made: list[Queue] = [deque([None] * lag) for _ in engine.modules[1:]]
        for k, place, n in _rows(saved, lane, 3):
            flight, images = of(n)
            made[k][place] = Message(flight, array(f"{lane}.{k}.{n}", images, *around[k][1]))
        return made

    upward, downward = queues("up", engine.boundary.activations), queues("down", engine.boundary.errors)
    held = [name.removeprefix("held.") for name in saved if name.startswith("held.")]
    if strange := [name for name in held if name not in engine.arrays]:
        raise UserError(f"this checkpoint holds a gradient of {strange[0]!r}, which is not here: it is damaged.")
    engine.held = {name: like(f"held.{name}", name) for name in held}
    engine.upward, engine.downward = upward, downward
    engine.tickets, engine.begun = tickets, int(saved_array(saved, "begun", ()))


def _rows(saved: Saved, name: str, numbers: int) -> list[list[int]]:
    """The rows of an index, each of so many whole numbers."""
    found = saved_array(saved, name)
    if found.ndim != 2 or found.shape[1] != numbers or found.dtype.kind not in "iu":
        raise UserError(f"'flight:{name}' is {found.dtype} {found.shape}: this checkpoint is damaged.")
    rows: list[list[int]] = found.tolist()
    return rows


def _refill(engine: DelayedEngine, k: int, ticket: PendingBackward, cached: Callable[[int, Array], Array]) -> None:
    """The ticket's caches, as they were; `cached(i, like)` is the i-th of their arrays where they were stored."""
    keep, module = engine.boundary.backward_weights, engine.modules[k]
    if keep == "recompute":
        return
    p = engine.arrays if ticket.weights is None else ticket.weights
    ticket.caches = module.forward_all(ticket.entry, ticket.flight.ctx, p, False)[1]
    if keep == "current":
        form = tree_leaves(ticket.caches, ticket.entry)
        ticket.caches = tree_replace(ticket.caches, form, [cached(i, a) for i, a in enumerate(form)])


def _rule(engine: DelayedEngine) -> dict[str, Any]:
    """What decides the form of what is in flight: the delays, the weights that are kept, the order, and the split."""
    c = engine.boundary
    return {
        "activations": c.activations,  # iterations that an activation is late per boundary
        "errors": c.errors,
        "beta": float(c.beta),
        "backward_weights": c.backward_weights,
        "first": engine.rule.when.first,
        "modules": [len(m.units) for m in engine.modules],
    }


# How the same was written under "made by" in earlier checkpoints, which still load.
AS_TEXT = re.compile(
    r"Late\(up=(?P<activations>\d+), down=(?P<errors>\d+), beta=(?P<beta>[\d.e+-]+), "
    r"backward_weights='(?P<backward_weights>\w+)'\), (?P<first>\w+) first, modules of (?P<modules>\[[\d, ]*\]) units"
)


def _check_rule(saved: Saved, here: dict[str, Any]) -> None:
    """Holds that what is saved was in flight under this rule and split."""
    if "rule" in saved:
        there = _parsed(str(saved["rule"]))
    elif "made by" in saved:
        there = _of_text(str(saved["made by"]))
    else:
        raise UserError("this checkpoint is of a rule without delays: take that rule.")
    if not isinstance(there, dict):
        raise UserError("this checkpoint does not say which rule it is of: it is damaged.")
    for key, value in here.items():
        if there.get(key) != value:
            was = f"{key} = {there.get(key)!r}"
            raise UserError(f"this checkpoint is of a rule with {was}, not {value!r}: take that rule and that split.")


def _of_text(text: str) -> dict[str, Any] | None:
    """The fields in what earlier checkpoints say instead."""
    found = AS_TEXT.fullmatch(text)
    words = ("backward_weights", "first")
    return found and {key: part if key in words else _parsed(part) for key, part in found.groupdict().items()}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
