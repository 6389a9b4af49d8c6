"""A program is what the engine of a rank does: the engine runs between fake neighbours, and its work is recorded.

Each piece of work of each part has a whole number of its own as its seconds, a power of 2 far from all others. So the
sum of a stretch between two messages says which pieces of work it is made of, and how often.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest

import minilocal as ml
from minilocal import boundaries, objectives, rules
from minilocal.array import Array
from minilocal.engine import Engine, MicroBatches
from minilocal.engine.hooks import Hook, hooked
from minilocal.layers import PassContext
from minilocal.layers.with_context import encoded_bytes
from minilocal.locality.influence import toy_net
from minilocal.objectives import Batch
from minilocal.parallel.asynchronous import AsynchronousRank
from minilocal.parallel.delayed import DelayedRank
from minilocal.parallel.interlocking import InterlockingRank
from minilocal.parallel.segment import Segment
from minilocal.parallel.simulate import ModuleCosts, PartCosts, Placement
from minilocal.parallel.simulate.asynchronous import AsynchronousDevice
from minilocal.parallel.simulate.program import Receive, Send, SendReceive, Work
from minilocal.parallel.simulate.schedule import program_of
from minilocal.parallel.synchronous import SynchronousRank

IMAGES = 4  # of a batch
BELOW, ABOVE = -1, 1
NAMES = {Send: "send", Receive: "receive", SendReceive: "exchange"}
RULES = {
    "BP": rules.bp(),
    "BP, checkpointed": rules.bp(keep="inputs"),
    "GLL": rules.gll(),
    "BackLink, l = 1": rules.backlink(length=1),
    "BackLink, l = 2": rules.backlink(length=2),
    "BackLink, inputs kept": rules.backlink(length=1, keep="inputs"),
    "BackLink, own-scaled": rules.backlink(length="module", error="own-scaled"),
    "BackLink, total error": rules.backlink(length=2, error="total"),
    "BackLink, total error, whole modules": rules.backlink(length="module", error="total"),
    "DNI": rules.dni(),
    "DDG": rules.ddg(),
    "DDG, recomputed": rules.ddg(backward_weights="recompute"),
    "FDG": rules.fdg(),
    "PGL, local": rules.pgl(),
    "PGL, global": rules.pgl(duration=10),
    "PGL around BackLink, global": rules.pgl(around="backlink:length=1", duration=10),
    "delays of 2 and 1": rules.compose(boundary=boundaries.delayed(activations=2, errors=1)),
    "late errors, updates first": rules.compose(boundary=boundaries.delayed(errors=2), when=ml.when.always("backward")),
    "PredSim with links": rules.compose(objective=objectives.predsim(), boundary=boundaries.link(1)),
    **{f"Interlocking, n = {n}": rules.interlocking(reach=n) for n in range(4)},
    "Interlocking, inputs kept": rules.interlocking(reach=2, keep="inputs"),
    "PGL around Interlocking, local": rules.pgl(around="interlocking"),
    "PGL around Interlocking, global": rules.pgl(around="interlocking", duration=10),
    "HPFF": rules.hpff(aux="0c1f"),
    "HPFF, inputs kept": rules.hpff(aux="0c1f", keep="inputs"),
    "PGL around HPFF, global": rules.pgl(around=rules.hpff(aux="0c1f"), duration=10),
    **{
        f"Weights down, every {n}": rules.compose(
            objective=objectives.classifier(), boundary=boundaries.weights(every=n, bias=bias)
        )
        for n, bias in ((1, "unit"), (2, "none"), (3, "channel"))
    },
    "Weights down, a global epoch": rules.compose(
        objective=objectives.classifier(), boundary=boundaries.weights(), when=ml.when.periodic(1, 1)
    ),
    "Weights down, accumulated": rules.compose(
        objective=objectives.classifier(), boundary=boundaries.weights(), accumulate=2
    ),
    **{f"ContSup, {mode}": rules.contsup(context=mode) for mode in ("E", "R1", "R1E")},
    **{f"BP, contexts {mode}": rules.bp(context=mode) for mode in ("E", "R1E")},
    "PGL around ContSup, global": rules.pgl(around="contsup:context=R1E", duration=10),
    **{
        f"{name} with contexts": rules.compose(objective=objectives.classifier(), boundary=boundary, context="R1E")
        for name, boundary in (
            ("BackLink, l = 1", boundaries.link(1)),
            ("BackLink, whole modules", boundaries.link("module")),
            ("Interlocking, n = 1", boundaries.reach(1)),
        )
    },
    "BP, accumulated": rules.bp(accumulate=2),
    "BackLink, accumulated": rules.compose(
        objective=objectives.classifier(), boundary=boundaries.link(1), accumulate=2
    ),
}


def compared(rule: ml.rules.Rule) -> int:
    """The step that is compared: by then all queues are full."""
    return 16 if rule.boundary.delayed else 2


class Recorder:
    """The work between messages, as sums by kind, and the messages."""

    def __init__(self) -> None:
        self.stretches: list[Any] = []
        self.sums: dict[str, int] = defaultdict(int)

    def add(self, kind: str, seconds: float) -> None:
        self.sums[kind] += int(seconds)

    def message(self, *what: object) -> None:
        self.stretches += [{kind: n for kind, n in self.sums.items() if n}, what]
        self.sums.clear()

    def end(self) -> list[Any]:
        self.message("end")
        stretches, self.stretches = self.stretches, []
        return stretches


class FakeNeighbour:
    """A neighbour that takes what it is sent, and sends zeros. Numbers that go ahead of arrays are not recorded."""

    def __init__(self, recorder: Recorder, side: int) -> None:
        self.recorder, self.side = recorder, side

    def send(self, array):
        arrays = [np.asarray(array)] if hasattr(array, "nbytes") else list(array)
        self.recorder.message("send", self.side, sum(a.nbytes for a in arrays))

    def receive(self, shape, dtype):
        array = np.zeros(shape, dtype)
        self.recorder.message("receive", self.side, array.nbytes)
        return array

    def exchange(self, array):
        self.recorder.message("exchange", self.side, array.nbytes)
        return array.copy()

    def send_number(self, number):
        pass


class RecordingHook(Hook):
    """Records the forwards and backwards of a module."""

    def __init__(self, recorder: Recorder, costs: ModuleCosts) -> None:
        self.recorder, self.costs = recorder, costs

    def part(self, part: int | str) -> PartCosts:
        return self.costs.units[part] if isinstance(part, int) else getattr(self.costs, part)

    def after_forward(self, part, out, cache):
        self.recorder.add("forward" if isinstance(part, int) else "objective", self.part(part).forward)
        return out

    def after_backward(self, part, error, grads):
        costs = self.part(part)
        kind = "objective" if part == "objective" else "backward"
        is_passed_on = isinstance(part, int) and error is not None and not grads and costs.update
        seconds = costs.backward_input if is_passed_on else costs.backward_weights if error is None else costs.backward
        self.recorder.add(kind, seconds)
        return error


def powers(learner: ml.Learner) -> tuple[tuple[ModuleCosts, ...], dict[str, int]]:
    """Costs whose sums tell what they are made of, and {parameter: the update of its part}, at one of them only."""
    number, update_of, modules = 0, dict[str, int](), []

    def part(owner: Any, nbytes: int) -> PartCosts:
        nonlocal number
        seconds = [2 ** (16 * (5 * number + i)) for i in range(5)]
        number += 1
        names = list(owner.parameters)
        update_of.update(dict.fromkeys(names, 0))
        if names:
            update_of[names[0]] = seconds[3]
        size = sum(a.nbytes for a in owner.parameters.values())
        forward, backward, weights, update, input = seconds
        return PartCosts(forward, backward, weights, update if names else 0, nbytes, 0, size, input)

    shape, nbytes = learner.net.shape, 4 * IMAGES * int(np.prod(learner.net.shape))
    for module in learner.modules:
        units, below = [], nbytes
        for unit in module.units:
            shape = unit.out_shape(shape)
            nbytes = 4 * IMAGES * int(np.prod(shape))
            units.append(part(unit, nbytes))
        objective, synthesiser = (
            None if owner is None else part(owner, 0) for owner in (module.objective, module.synthesiser)
        )
        modules.append(ModuleCosts(tuple(units), objective, synthesiser, below, encoded_bytes(module.units[0], below)))
    return tuple(modules), update_of


def of_the_program(place: Placement, device: int) -> list[Any]:
    """What the program of a device does in the step."""
    return recorded(program_of(place, device).step(compared(place.rule)), device)


def recorded(ops: Iterable[object], device: int) -> list[Any]:
    """Operations as a recorder has them."""
    recorder = Recorder()
    for op in ops:
        if isinstance(op, Work):
            recorder.add(op.kind, op.seconds)
        elif isinstance(op, (Send, Receive, SendReceive)):
            recorder.message(NAMES[type(op)], op.device - device, op.nbytes)
    return recorder.end()


class FakeWorld:
    """A communicator that nobody asks."""


def of_the_engine(learner: ml.Learner, place: Placement, device: int, update_of: dict[str, int]) -> list[Any]:
    """What the engine of a rank does in the step."""
    recorder, own = Recorder(), place.owned[device]
    below: Any = FakeNeighbour(recorder, BELOW) if device > 0 else None
    above: Any = FakeNeighbour(recorder, ABOVE) if device < len(place.owned) - 1 else None
    world: Any = FakeWorld()
    engine: Engine
    at = learner.modules, learner.rule, {**learner.parameters(), **learner.buffers()}, Segment(own, below, above)
    if learner.rule.boundary.delayed:
        engine = DelayedRank(*at, world, learner.net.shape)
        schedule_numbers(learner.rule, place, own, below, above)
    elif learner.rule.boundary.one_loss:
        engine = InterlockingRank(*at)
    else:
        engine = SynchronousRank(*at)
    images = IMAGES * learner.rule.accumulate
    if learner.rule.accumulate > 1:
        assert isinstance(engine, SynchronousRank)
        engine = MicroBatches(engine, learner.rule.accumulate)

    def on_gradients(grads: Mapping[str, Array]) -> None:
        for name in grads:
            recorder.add("update", update_of[name])

    rng = np.random.default_rng(0)
    hooks = [RecordingHook(recorder, costs) for costs in place.modules]
    with hooked(learner.modules, hooks):
        for step in range(compared(learner.rule) + 1):
            recorder.end()
            batch = Batch(rng.standard_normal((images, *learner.net.shape), "float32"), np.arange(images) % 4)
            engine.step(batch, PassContext(True, 0, 0, step), on_gradients, True)
    return recorder.end()


def schedule_numbers(rule: rules.Rule, place: Placement, own: range, below: Any, above: Any) -> None:
    """Let each fake neighbour name the batches that it would send, -1 for none, in the order of its messages."""
    activations, errors = rule.boundary.lags

    def numbered(neighbour: Any, numbers: Iterator[int]) -> None:
        if neighbour is not None:
            neighbour.receive_number = lambda: max(-1, next(numbers))

    deferred = 1 if activations else 0  # crosses in the iteration after the one that made it
    last = compared(rule) + 1
    numbered(below, (t - deferred - (own.start - 1) * activations for t in range(deferred, last)))
    delay = place.last * activations + (place.last - own.stop) * errors
    numbered(above, (t - 1 - delay for t in range(1, last)))


@pytest.fixture(scope="module")
def net():
    return ml.nets.mlp((4,) * 6, classes=4, size=2, rng=ml.rng(0))


@pytest.mark.parametrize("sizes", [[2, 3, 2], [2, 2, 2, 1], [1, 2, 1, 2, 1]])
@pytest.mark.parametrize("name", RULES)
def test_a_program_is_what_the_engine_of_a_rank_does(net, name, sizes):
    if RULES[name].objective.divides or RULES[name].context != rules.Rule.context:
        net = toy_net(sum(sizes))  # decoders and contexts take maps
    with pytest.warns(UserWarning) if RULES[name].warnings(sizes, net.shapes) else nullcontext():
        learner = ml.Learner(net, RULES[name], sizes, rng=ml.rng(0))
    costs, update_of = powers(learner)
    K = len(sizes)
    for own in ([range(k, k + 1) for k in range(K)], [range(0, 1), range(1, K)], [range(0, K - 1), range(K - 1, K)]):
        place = Placement(RULES[name], costs, own, is_global=RULES[name].when.is_global(0))
        for device in range(len(own)):
            expected = of_the_engine(learner, place, device, update_of)
            assert of_the_program(place, device) == expected, (own, device)


@pytest.mark.parametrize(("edges", "device"), [([1, 2], 0), ([1, 2], 1), ([1, 2], 2), ([2], 0), ([2], 1), ([1], 1)])
def test_so_it_is_where_modules_are_drawn_at_random(net, edges, device):
    own = [range(first, last) for first, last in pairwise([0, *edges, 3])]
    rule = rules.dgl(buffer=2)
    with pytest.warns(UserWarning, match="is one linear layer"):
        learner = ml.Learner(net, rule, [2, 3, 2], rng=ml.rng(0))
    costs, update_of = powers(learner)
    labels = 8 * IMAGES
    recorder, program = Recorder(), program_of(Placement(rule, costs, own), device)
    below, above = (cast(Any, FakeNeighbour(recorder, side)) for side in (BELOW, ABOVE))
    below.receive_number = lambda: IMAGES
    arrays = {**learner.parameters(), **learner.buffers()}
    at = (below if device > 0 else None), (above if device < len(own) - 1 else None)
    engine = AsynchronousRank(learner.modules, rule, arrays, Segment(own[device], *at))

    def on_gradients(grads: Mapping[str, Array]) -> None:
        recorder.add("update", sum(update_of[name] for name in grads))

    with hooked(learner.modules, [RecordingHook(recorder, module) for module in costs]):
        for step in range(12):
            ctx = PassContext(True, 0, 0, step)
            batch = Batch(np.ones((IMAGES, *net.shape), "float32"), np.arange(IMAGES) % 4)
            engine.step(batch, ctx, on_gradients, True)
            assert isinstance(program, AsynchronousDevice)
            program.rng = ctx.rng("draw")
            assert recorded(program.step(step), device) == joined(recorder.end(), labels)


def joined(stretches: list[Any], labels: int) -> list[Any]:
    """Each output, its images and its labels, three messages, as one without the labels, which come last."""
    messages: list[Any] = []
    follows = False  # whether the message belongs to the one before it
    for sums, message in zip(stretches[::2], stretches[1::2], strict=True):
        is_labels = message[2:] == (labels,)
        if follows:
            assert not sums and message[:2] == messages[-1][:2]
            messages[-1] = (*message[:2], messages[-1][2] + (0 if is_labels else message[2]))
        else:
            messages += [sums, message]
        follows = len(message) == 3 and not is_labels
    return messages
