"""Run by the ranks of `test_same_bits.py`: every rule in these ranks and in one process, an epoch each, compared.

    same_bits.py [--device] [--fault=own|copy] [--modules=K | --by-turns] [--some=FIRST:EACH] [RULE ...]

--device is a stand-in for a GPU. After an epoch --fault changes a parameter of the last rank, its own or a copy. Every
number of modules from one a rank to 4 is tried with each rule; with --by-turns each rule has one number, in turn.
With --some=2:5 the rules are the third, the eighth and so on.

Rank 0 prints a line for each rule and number of modules: its name, and what differs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from mpi4py import MPI

import minilocal as ml
from minilocal.data import DataSet
from minilocal.kernels.threads import use_threads
from minilocal.layers import Dropout, Layer, Sequential
from minilocal.nets import Net
from minilocal.parallel import Learner
from minilocal.rules import Rule
from tests.fake.device import fake

COMM = MPI.COMM_WORLD
DEVICE = fake if "--device" in sys.argv else "cpu"  # a stand-in for a GPU
FAULT = next((word.partition("=")[2] for word in sys.argv if word.startswith("--fault=")), "")
FIRST = COMM.rank == 0
CONTEXTS = (("image", "caches"), ("below", "caches"), ("both", "inputs"))
RATE = 0.05 if DEVICE == "cpu" else 1e-4  # DNI with SGD diverges at a higher one


def rules() -> Iterator[tuple[str, Rule]]:
    """Every rule, and combinations of answers that cross a boundary in their own way."""
    r, compose, b, when = ml.rules, ml.rules.compose, ml.boundaries, ml.when
    classifier, none = ml.objectives.classifier("0c1f"), ml.objectives.none()
    man = partial(r.man, mean=(0.5,) * 3, std=(0.25,) * 3)
    yield from {
        "bp": r.bp(),
        "bp, inputs": r.bp(keep="inputs"),
        "bp, micro-batches": r.bp(accumulate=2),
        "gll": r.gll(),
        "dgl": r.dgl(),
        "dgl, asynchronous": compose("a", objective=classifier, boundary=b.closed(), when=when.asynchronous(buffer=2)),
        "predsim": r.predsim(),
        "infopro": r.infopro(mean=(0.5,) * 3, std=(0.25,) * 3),
        "pgl": r.pgl(period=2, duration=1),
        "dni": r.dni(),
        "dni, labels": r.dni(labels=True),
        "backlink, inputs": r.backlink(keep="inputs"),
        "backlink, micro-batches": compose("m", objective=classifier, boundary=b.link(), accumulate=2),
        "backlink, guided at first": compose("s", objective=classifier, boundary=b.link(2), when=when.periodic(1, 1)),
        "backlink, guided": compose("g", objective=classifier, boundary=b.link(), when=when.periodic(2, 1)),
        "backlink, infopro": compose("i", objective=ml.objectives.infopro(), boundary=b.link()),
        **{f"interlocking, {n}": r.interlocking(reach=n) for n in range(4)},
        "interlocking, inputs": r.interlocking(reach=2, keep="inputs"),
        "interlocking, guided": r.pgl(around="interlocking", period=2, duration=1),
        "interlocking, micro-batches": compose("n", objective=classifier, boundary=b.reach(2), accumulate=2),
        "hpff": r.hpff(own=0.3, aux="0c2f+dropout"),
        "hpff, inputs": r.hpff(own=0.3, aux="0c1f", keep="inputs"),
        "hpff, guided": r.pgl(around=r.hpff(own=0.3, aux="0c1f"), period=2, duration=1),
        "hpff, linked": compose("h", objective=ml.objectives.hpff(own=0.3), boundary=b.link(2)),
        "cascade, micro-batches": compose("c", objective=classifier, boundary=b.cascade(), accumulate=2),
        **{f"man, {bias}": man(bias=bias) for bias in ("unit", "channel", "none")},
        "man, every 2": man(every=2, start="random", momentum=0.5),
        "man, guided": r.pgl(around=man(), period=2, duration=1),
        "man, micro-batches": compose("n", objective=classifier, boundary=b.weights(0.5), accumulate=2),
        **{f"contsup, {source}": r.contsup(context=source) for source in ("none", "image", "below", "both")},
        **{f"bp, {source}": r.bp(context=source, keep=keep) for source, keep in CONTEXTS},
        "contsup, micro-batches": compose("c", objective=classifier, boundary=b.closed(), context="both", accumulate=2),
        "contsup, guided": r.pgl(around="contsup:context=both", period=2, duration=1),
        **{
            f"contsup, backlink {length}, {error}": compose(
                "l", objective=classifier, boundary=b.link(length, error=error), context="both"
            )
            for length, error in ((1, "own"), ("module", "own"), ("module", "total"))
        },
        "contsup, interlocking": compose("t", objective=classifier, boundary=b.reach(2), context="both", keep="inputs"),
        "contsup, dni": compose("y", objective=none, boundary=b.synthetic_gradient(), context="both"),
        "fdg, backward first": compose("f", objective=none, boundary=b.delayed(1), when=when.always("backward")),
        "ddg, backward first": compose("d", objective=none, boundary=b.delayed(0), when=when.always("backward")),
        "delayed by 2 and 2": compose("2", objective=none, boundary=b.delayed(2, 2)),
    }.items()
    for length in (1, 2, "module"):
        for weighting in ("literal", "unfolded"):
            for error in ("own", "own-scaled", "total"):
                rule = r.backlink(length=length, alpha=0.3, weighting=weighting, error=error, aux="0c2f+dropout")
                yield f"backlink {length}, {weighting}, {error}", rule
    for weights in ("stashed", "current", "recompute"):
        yield f"ddg, {weights}", r.ddg(backward_weights=weights)
        yield f"fdg, {weights}", r.fdg(beta=0.7, backward_weights=weights)


def network() -> Net:
    """ResNet-8 with dropout behind each unit."""
    net = ml.nets.resnet(8, size=8, classes=4, rng=ml.rng(0))
    units: list[Layer] = []
    for u, unit in enumerate(net.units):
        units.append(Sequential([unit, Dropout(0.2, name=f"drop.{u}")], unit.name))
    return Net("resnet8 with dropout", units, net.head, net.classes, net.shape, net.initial)


def images() -> DataSet:
    """Fifteen random images: an epoch ends with a batch of three."""
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 256, (15, 8, 8, 3), np.uint8), np.arange(15) % 4
    return ml.data.from_arrays(x, y, x[:4], y[:4])


def same(a: Any, b: Any) -> bool:
    """Whether two arrays hold the same numbers."""
    return np.array_equal(ml.to_host(a), ml.to_host(b))


def differing(one: Mapping[str, Any], ranks: Mapping[str, Any]) -> list[str]:
    """The names of arrays that are not the same bits; those that are on one side only, too."""
    common = one.keys() & ranks.keys()
    return sorted(one.keys() ^ ranks.keys()) + [name for name in common if not same(one[name], ranks[name])]


def compare(rule: Rule, modules: int) -> list[str]:
    """What differs between these ranks and one process, on rank 0."""
    differences: list[str] = []

    def check(what: str, agrees: bool) -> None:
        if FIRST and not agrees:
            differences.append(what)

    dataset = images()
    sgd = None if DEVICE == "cpu" else ml.optim.SGD()  # for DNI too: in one process Adam rounds η to float32 there
    options: dict[str, Any] = {"device": DEVICE, "optimizer": sgd}
    ranks = Learner(network(), rule, modules, rng=ml.rng(1), comm=COMM, **options)
    one = ml.Learner(network(), rule, modules, rng=ml.rng(1), **options) if FIRST else None

    def epoch(number: int, steps: int = 4) -> None:
        for learner in filter(None, (one, ranks)):
            learner.epoch = number
        for step, (x, y) in enumerate(dataset.batches(number, 4, augment=True, device=DEVICE)):
            if step < steps:
                losses = ranks.losses(ranks.step(x, y, lr=RATE))
                if one:
                    expected = one.step(x, y, lr=RATE)
                    check(f"losses of step {step}", np.array_equal(losses, ml.to_host(expected), equal_nan=True))

    def check_state(when: str) -> dict[str, np.ndarray]:
        state = ranks.state()
        if one and (names := differing(one.state(), state)):
            check(f"{len(names)} arrays {when}, {names[0]}", False)
        return state

    epoch(0)
    if FAULT and COMM.rank == COMM.size - 1:
        engine: Any = ranks.engine
        name = min(ranks.own_names) if FAULT == "own" else next(iter(engine.copied.values()))[0]
        engine.arrays[name][...] += 1
    state = check_state("after an epoch")
    x = ml.to_device(dataset.normalise(dataset.test_x), DEVICE)
    logits, of_modules = ranks.predict(x), ranks.local_logits(x)
    if one:
        pairs = zip([logits, *of_modules], [one.predict(x), *one.local_logits(x)], strict=True)
        check("logits", all(a is b if b is None else same(a, b) for a, b in pairs))
    if not ranks.engine.holds_batches:
        x, y = next(iter(dataset.batches(0, 4, device=DEVICE)))
        _, grads = ranks.gradients(x, y)
        if one:
            check("gradients", not differing(one.gradients(x, y)[1], grads))
    epoch(1, steps=2)
    check_state("in a second epoch")
    ranks.restore(state)
    if one:
        one.restore(state)
    epoch(1)
    for learner in filter(None, (one, ranks)):
        learner.finish()
    check_state("after a restored epoch")
    return differences


use_threads(1)
fake.kernels = False  # plain forms, which are faster on a host
numbers = [int(word.partition("=")[2]) for word in sys.argv if word.startswith("--modules=")]
numbers = numbers or list(range(COMM.size, 5 if DEVICE == "cpu" else COMM.size + 1))
some = next((word.partition("=")[2] for word in sys.argv if word.startswith("--some=")), "0:1")
first, each = map(int, some.split(":"))
only = [word for word in sys.argv[1:] if not word.startswith("--")]
tried = [(name, rule) for name, rule in rules() if not only or name in only][first::each]
for turn, (name, rule) in enumerate(tried):
    for modules in [numbers[turn % len(numbers)]] if "--by-turns" in sys.argv else numbers:
        different = compare(rule, modules)
        if FIRST:
            print(f"{name}, {modules} modules: {'; '.join(different) or 'the same bits'}", flush=True)
