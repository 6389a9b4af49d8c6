"""What is in flight between two iterations of a rule with delays, and its form in a checkpoint.

    rule                           the delays and the split, as JSON: see `signature`
    begun                          batches that have entered
    batches                        a row (number, key, epoch, step, part) for each batch in flight
    batch.N.x   batch.N.y          its images and labels
    tickets                        a row (module, number) for each pending backward, the oldest first
    ticket.K.N.entry               the module's input (the first module's is the batch itself)
    ticket.K.N.weight.NAME         its stashed weights
    ticket.K.N.cache.I             its caches' arrays, only where the weights that made them are gone
    up, down                       a row (boundary, position in the queue, number) for each message
    up.K.N   down.K.N              the activation, the error
    held.NAME                      module K's gradients, which wait for the next iteration

Caches are not stored where they can be recomputed: with stashed weights the same forward makes the same caches. With
`backward_weights="current"` it cannot. There a forward with today's weights gives the caches' structure, and the
stored arrays replace its leaves.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from minilocal.array import Array, host_copy, namespace
from minilocal.boundaries import Boundary
from minilocal.engine.module import Caches, Module, Saved, saved_array, shapes
from minilocal.errors import UserError
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.objectives import Batch
from minilocal.rules.compose import Rule
from minilocal.tree import tree_leaves, tree_replace


@dataclass(frozen=True)
class InFlightBatch:
    """A batch that has entered: its number, images and labels, and the context of its forward."""

    number: int
    batch: Batch
    ctx: PassContext


class Message(NamedTuple):
    """What crosses a boundary, an activation upward or an error downward, and the batch that it belongs to."""

    sent: InFlightBatch
    array: Array


Queue = deque[Message | None]  # its length is the delay in iterations


@dataclass
class PendingBackward:
    """A batch that a module has forwarded and whose error has not arrived.

    `input` is the module's input. Without `caches` they are recomputed from it. `weights` are the module's parameters
    as that forward used them, where they are stashed.
    """

    sent: InFlightBatch
    input: Array
    caches: Caches | None = None
    weights: dict[str, Array] | None = None


@dataclass
class InFlight:
    """Everything that a delayed rule holds between two iterations, for K modules and their K-1 boundaries."""

    pending: list[deque[PendingBackward]]  # per module, the oldest first
    up: list[Queue]  # per boundary, into the upper module
    down: list[Queue]  # per boundary, into the lower module
    begun: int = 0  # batches that have entered
    held: dict[str, Array] = field(default_factory=dict)  # module K's gradients, where backward comes first

    @classmethod
    def empty(cls, modules: int, boundary: Boundary) -> InFlight:
        """Before the first batch: queues as long as the boundary's lags, with nothing in them."""

        def queues(lag: int) -> list[Queue]:
            return [deque([None] * lag) for _ in range(modules - 1)]  # FDG, Eq. (6): 2(K-k); DDG: t - (t-K+k)

        activations, errors = boundary.lags
        return cls([deque() for _ in range(modules)], queues(activations), queues(errors))

    @property
    def is_empty(self) -> bool:
        """Whether no gradient is left to come."""
        activations = (message for queue in self.up for message in queue)
        return not (any(self.pending) or self.held or any(activations))

    def by_module(self) -> list[list[Array]]:
        """The arrays of each module: its pending backwards, the messages to it, and module K's held gradients."""
        arrays = []
        for k, pending in enumerate(self.pending):
            kept: list[Any] = [(p.sent.batch, p.input, p.caches, p.weights) for p in pending]
            queues = self.up[max(0, k - 1) : k] + self.down[k : k + 1]
            kept += [message.array for queue in queues for message in queue if message is not None]
            arrays.append(tree_leaves([kept, self.held if k == len(self.pending) - 1 else ()]))
        return arrays

    def copy(self) -> InFlight:
        """The same in queues of its own. A backward takes caches out, and an update may overwrite what is held."""

        def own(pending: PendingBackward) -> PendingBackward:
            return replace(pending, caches=None if pending.caches is None else dict(pending.caches))

        queues = [deque(map(own, pending)) for pending in self.pending]
        held = {name: g.copy() for name, g in self.held.items()}
        return InFlight(queues, [deque(q) for q in self.up], [deque(q) for q in self.down], self.begun, held)

    # ------------------------------------------------------------------ a checkpoint

    def to_arrays(self, rule: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Everything as named host copies; `rule` is its `signature`."""
        batches: dict[int, InFlightBatch] = {}
        saved: dict[str, Array] = {f"held.{name}": g for name, g in self.held.items()}
        tickets: list[tuple[int, int]] = []
        messages: dict[str, list[tuple[int, int, int]]] = {"up": [], "down": []}
        for k, waiting in enumerate(self.pending):
            for one in waiting:
                number, at = one.sent.number, f"ticket.{k}.{one.sent.number}"
                batches[number] = one.sent
                tickets.append((k, number))
                if k > 0:
                    saved[f"{at}.entry"] = one.input
                if one.weights is not None:
                    saved |= {f"{at}.weight.{name}": w for name, w in one.weights.items()}
                elif one.caches is not None:
                    saved |= {f"{at}.cache.{i}": a for i, a in enumerate(tree_leaves(one.caches, one.input))}
        for lane, queues in (("up", self.up), ("down", self.down)):
            for k, queue in enumerate(queues):
                for position, message in enumerate(queue):
                    if message is not None:
                        number = message.sent.number
                        batches[number] = message.sent
                        messages[lane].append((k, position, number))
                        saved[f"{lane}.{k}.{number}"] = message.array
        for n, sent in batches.items():
            saved |= {f"batch.{n}.x": sent.batch.x, f"batch.{n}.y": sent.batch.y}

        contexts = [(n, b.ctx.key, b.ctx.epoch, b.ctx.step, b.ctx.part) for n, b in batches.items()]
        return {name: host_copy(a) for name, a in saved.items()} | {
            "rule": host_copy(json.dumps(rule)),
            "begun": host_copy(self.begun),
            "batches": host_copy(contexts, np.int64).reshape(-1, 5),
            "tickets": host_copy(tickets, np.int64).reshape(-1, 2),
            **{lane: host_copy(entries, np.int64).reshape(-1, 3) for lane, entries in messages.items()},
        }

    @classmethod
    def from_arrays(
        cls, saved: Saved, modules: list[Module], arrays: Mapping[str, Array], boundary: Boundary, image: Shape
    ) -> InFlight:
        """What `to_arrays` wrote, on the device of `arrays`, for a network of images of shape `image`.

        Raises: UserError where an array is missing or of another shape.
        """
        xp, edges = namespace(next(iter(arrays.values()))), shapes(modules, image)

        def array(name: str, *shape: int, kinds: str = "f") -> Array:
            return xp.array(saved_array(saved, name, shape, kinds))

        def like(name: str, parameter: str) -> Array:
            return array(name, *arrays[parameter].shape)

        batches = saved_batches(saved, image, xp)

        def batch_of(n: int) -> tuple[InFlightBatch, int]:
            if n not in batches:
                raise UserError(f"this checkpoint lacks the batch {n} that is in flight: it is damaged.")
            return batches[n], len(batches[n].batch.y)

        flying = cls.empty(len(modules), boundary)
        for k, n in rows(saved, "tickets", 2):
            (sent, images), at = batch_of(n), f"ticket.{k}.{n}"
            one = PendingBackward(sent, array(f"{at}.entry", images, *edges[k][0]) if k > 0 else sent.batch.x)
            if boundary.backward_weights == "stashed":
                one.weights = {w: like(f"{at}.weight.{w}", w) for w in modules[k].parameters()}
            if boundary.backward_weights != "recompute":
                p = arrays if one.weights is None else one.weights
                one.caches = modules[k].forward(one.input, sent.ctx, p, False)[1]
            if boundary.backward_weights == "current":
                new = tree_leaves(one.caches, one.input)
                stored = [array(f"{at}.cache.{i}", *a.shape, kinds=a.dtype.kind) for i, a in enumerate(new)]
                one.caches = tree_replace(one.caches, new, stored)
            flying.pending[k].append(one)
        for lane, queues in (("up", flying.up), ("down", flying.down)):
            for k, position, n in rows(saved, lane, 3):
                sent, images = batch_of(n)
                queues[k][position] = Message(sent, array(f"{lane}.{k}.{n}", images, *edges[k][1]))
        held = [name.removeprefix("held.") for name in saved if name.startswith("held.")]
        flying.held = {name: like(f"held.{name}", name) for name in held}
        flying.begun = int(saved_array(saved, "begun", (), "iu"))
        return flying


def check_held(saved: Saved, rule: Rule, modules: list[Module]) -> None:
    """Check that module K's gradients are there where the last iteration made some, all of them, and else none.

    It made some where its error, the youngest of those on their way down, is there.

    Raises: UserError.
    """
    held = {name.removeprefix("held.") for name in saved if name.startswith("held.")}
    last, errors, objective = len(modules) - 1, rule.boundary.lags[1], modules[-1].objective
    own = [*modules[-1].parameters(), *(() if objective is None else objective.parameters)]
    due = rule.when.first == "backward" and (
        bool(held) if last == 0 else any(row[:2] == [last - 1, errors - 1] for row in rows(saved, "down", 3))
    )
    if odd := sorted(held ^ set(own if due else ())):
        what = "holds" if odd[0] in held else "lacks"
        raise UserError(f"this checkpoint {what} 'flight:held.{odd[0]}': it is damaged.")


def saved_batches(saved: Saved, image: Shape, xp: Any) -> dict[int, InFlightBatch]:
    """{number: batch} of what is in flight, in the library `xp`.

    Raises: UserError where an array is missing or of another shape.
    """
    batches = {}
    for n, key, epoch, step, part in rows(saved, "batches", 5):
        images = saved_array(saved, f"batch.{n}.y", kinds="iu").size
        x, y = ((f"batch.{n}.x", (images, *image), "f"), (f"batch.{n}.y", (images,), "iu"))
        batch = Batch(*(xp.array(saved_array(saved, *one)) for one in (x, y)))
        batches[n] = InFlightBatch(n, batch, PassContext(True, key, epoch, step, part=part))
    return batches


def rows(saved: Saved, name: str, numbers: int) -> list[list[int]]:
    """The rows of an index, each of `numbers` integers.

    Raises: UserError where it is missing or of another form.
    """
    index = saved_array(saved, name, None, "iuf")
    if index.ndim != 2 or index.shape[1] != numbers or index.dtype.kind == "f":
        raise UserError(f"'flight:{name}' is {index.dtype} {index.shape}: this checkpoint is damaged.")
    return index.tolist()


# ------------------------------------------------------------------ the rule that a checkpoint is of


def signature(rule: Rule, modules: list[Module]) -> dict[str, Any]:
    """What decides the form of what is in flight: the delays, the kept weights, the order of work, and the split."""
    activations, errors = rule.boundary.lags  # iterations per boundary
    return {
        "activations": activations,
        "errors": errors,
        "beta": float(rule.boundary.beta),
        "backward_weights": rule.boundary.backward_weights,
        "first": rule.when.first,
        "modules": [len(m.units) for m in modules],
    }


# The same in earlier checkpoints, which have it as text under "made by", and still load.
AS_TEXT = re.compile(
    r"Late\(up=(?P<activations>\d+), down=(?P<errors>\d+), beta=(?P<beta>[\d.e+-]+), "
    r"backward_weights='(?P<backward_weights>\w+)'\), (?P<first>\w+) first, modules of (?P<modules>\[[\d, ]*\]) units"
)


def check_signature(saved: Saved, expected: Mapping[str, Any]) -> None:
    """Check that what is saved was in flight under this rule and split.

    Raises: UserError where it was not.
    """
    if "rule" in saved:
        recorded = _parsed(str(saved["rule"]))
    elif "made by" in saved:
        match = AS_TEXT.fullmatch(str(saved["made by"]))
        words = ("backward_weights", "first")
        recorded = match and {key: part if key in words else _parsed(part) for key, part in match.groupdict().items()}
    else:
        raise UserError("this checkpoint is of a rule without delays: take that rule.")
    if not isinstance(recorded, dict):
        raise UserError("this checkpoint does not say which rule it is of: it is damaged.")
    for key, value in expected.items():
        if recorded.get(key) != value:
            was = f"{key} = {recorded.get(key)!r}"
            raise UserError(f"this checkpoint is of a rule with {was}, not {value!r}: take that rule and that split.")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
