"""Learners in pairs, one on the host and one on a device, from one net and one seed: rules, networks and heads."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from minilocal import nets, objectives, optim, rules, streams
from minilocal.array import to_host
from minilocal.device import to_device
from minilocal.learner import Learner
from minilocal.nets import Net
from minilocal.rules import Rule
from minilocal.rules.when import Asynchronous
from minilocal.verify import delayed
from minilocal.verify import nets as by_net
from minilocal.verify import objectives as by_objective
from minilocal.verify import synchronous as by_rule
from minilocal.verify.compare import DOUBLE, errors
from minilocal.verify.device.ops import apart
from minilocal.verify.synchronous import randomise

FIVE_STEPS = 1e-7  # float64, weights after five steps
ONE_STEP = 1e-4  # float32, weights after one step
GRADIENTS = {"float64": DOUBLE, "float32": 1e-3}  # of whole networks: float32 drifts with depth
RECORDED = ("BP", "GLL", "BackLink")  # others may call what CUDA graphs cannot hold, and then say so
LR = 0.05
SGD = optim.SGD(momentum=0.9, weight_decay=1e-3)
Trial = Callable[[], dict[str, float]]
Named = Iterator[tuple[str, list[tuple[str, Trial]]]]
FULL: dict[str, Any] = {
    "resnet32, 32×32": lambda rng: nets.resnet(32, rng=rng),
    "resnet18, 32×32": lambda rng: nets.resnet18(rng=rng),
    "resnet20, A-both, 96×96": lambda rng: nets.resnet(20, size=96, shortcut="A-both", rng=rng),
    "vgg16, 32×32": lambda rng: nets.vgg16(rng=rng),
    "alexnet, 32×32": lambda rng: nets.alexnet(rng=rng),
    "wrn16-2, 32×32": lambda rng: nets.wrn(16, 2, rng=rng),
    "mlp, 32×32": lambda rng: nets.mlp(rng=rng),
}


def pair(net: Net, rule: Rule, modules: int, device: Any, dtype: str, optimizer: Any = SGD) -> list[Learner]:
    """A Learner on the host and one on the device, of one seed, their arrays shaken alike."""
    made = []
    for where in ("cpu", device):
        with warnings.catch_warnings(action="ignore"):  # of lengths past a module's floor
            made.append(Learner(net, rule, modules, rng=streams.rng(0), device=where, dtype=dtype, optimizer=optimizer))
    randomise(made[0], 0)
    made[1].load({**made[0].parameters(), **made[0].buffers()})
    return made


def batch(net: Net, number: int, dtype: str, N: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, the same, rounded to float32, in every type."""
    rng = streams.rng(100 + number)
    return rng.standard_normal((N, *net.shape)).astype("float32").astype(dtype), rng.integers(net.classes, size=N)


def steps(it: Learner, number: int, N: int = 6) -> list[np.ndarray]:
    """So many steps, where the Learner lives; the losses. A guided rule's last two are of a global epoch."""
    said = []
    for now in range(number):
        if it.rule.when.guided and now == max(0, number - 2):
            it.epoch = next(epoch for epoch in range(100) if it.rule.when.is_global(epoch))
        x, y = (to_device(a, it.device) for a in batch(it.net, now, it.dtype, N))
        said.append(np.nan_to_num(to_host(it.step(x, y, lr=LR)), nan=-1.0))  # a module without a loss says -1
    return said


def arrays(it: Learner) -> dict[str, np.ndarray]:
    """Everything that a Learner holds, on the host."""
    return {name: to_host(a) for name, a in {**it.parameters(), **it.buffers()}.items()}


def trained(
    net: Net, rule: Rule, modules: int, device: Any, dtype: str, number: int, optimizer: Any = SGD
) -> dict[str, float]:
    """Relative errors of the device's arrays, and of its losses, after so many steps."""
    here, there = pair(net, rule, modules, device, dtype, optimizer)
    ours, theirs = ({f"losses {i}": a for i, a in enumerate(steps(it, number))} for it in (there, here))
    return errors(arrays(there), arrays(here)) | errors(ours, theirs)


def differentiated(net: Net, rule: Rule, modules: int, device: Any, dtype: str) -> dict[str, float]:
    """Relative errors of the device's losses, gradients, and logits in evaluation."""
    found = []
    for it in reversed(pair(net, rule, modules, device, dtype)):
        x, y = (to_device(a, it.device) for a in batch(net, 0, dtype, 4))
        losses, grads = it.gradients(x, y)
        told = {name: to_host(g) for name, g in grads.items()}
        found.append(({"losses": np.nan_to_num(to_host(losses), nan=-1.0), "logits": to_host(it.predict(x))}, told))
    (told, grads), (reference, slopes) = found
    return errors(told, reference) | apart(grads, slopes, dtype)


# ---------------------------------------------------------------------- what is tried


def subjects(quick: bool) -> dict[str, list[tuple[str, Net, Rule, int]]]:
    """{row: (case, net, rule, modules)}: what the other checks hold to autograd, and what has chance of its own."""
    found: dict[str, list[tuple[str, Net, Rule, int]]] = {}
    with warnings.catch_warnings(action="ignore"):
        for name, cases in by_rule.CASES.items():
            found[name] = [
                (str(c), by_rule.network(c.net, c.seed), rules.get(c.rule, **dict(c.options)), c.modules) for c in cases
            ]
        for name, aims in by_objective.CASES.items():
            found[name] = [(str(c), by_objective.network(c.net), c.make(), c.modules) for c in aims]
        for name, (_, delays) in delayed.CASES.items():
            found[name] = [
                (str(c), by_objective.network(c.net), rules.get(c.rule, **dict(c.options)), c.modules) for c in delays
            ]
    net = by_objective.network("convolutions")
    drawn = rules.dgl(buffer=2, aux="0c1f")
    found["DGL, asynchronous"] = [("buffers of 2", net, drawn, 3)]
    found["PGL, both phases"] = [("a period of 3", net, rules.pgl(period=3, duration=1), 3)]
    if quick:
        return {name: cases[:1] for name, cases in found.items()}
    large, dropout = nets.resnet(32, rng=streams.rng(0)), nets.vgg16(rng=streams.rng(0))
    named = {"BP": rules.bp(), "GLL": rules.gll(), "BackLink": rules.backlink(aux="1c2f")}
    found["full size"] = [(f"{name}, resnet32", large, rule, 16) for name, rule in named.items()]
    return found | {"full size, dropout": [("BackLink, vgg16", dropout, rules.backlink(), 4)]}


def _number(rule: Rule, modules: int, least: int) -> int:
    """Steps until every module has learnt at least twice."""
    return max(
        least,
        rule.least_batches(modules) + 2 if rule.boundary.delayed or isinstance(rule.when, Asynchronous) else least,
    )


def double(device: Any, quick: bool) -> Named:
    """Five steps in float64, more where errors come late; then other optimisers."""
    for name, cases in subjects(quick).items():
        yield (
            name,
            [
                (case, partial(trained, net, rule, K, device, "float64", _number(rule, K, 5)))
                for case, net, rule, K in cases
            ],
        )
    net, rule = by_objective.network("convolutions"), rules.backlink()
    recipes = {
        "Nesterov": optim.SGD(momentum=0.9, weight_decay=1e-3, nesterov=True),
        "no momentum": optim.SGD(momentum=0.0),
        "Adam": optim.Adam(),
    }
    trials = [(name, partial(trained, net, rule, 3, device, "float64", 5, how)) for name, how in recipes.items()]
    yield "optimisers", list(trials)


def single(device: Any, quick: bool) -> Named:
    """One step in float32."""
    for name, cases in subjects(quick).items():
        if not cases[0][2].boundary.delayed and not isinstance(cases[0][2].when, Asynchronous):
            yield name, [(case, partial(trained, net, r, K, device, "float32", 1)) for case, net, r, K in cases[:3]]


def heads(device: Any, quick: bool) -> Iterator[tuple[str, str, list[tuple[str, Trial]]]]:
    """GLL through every auxiliary network, behind maps and behind vectors."""
    for aux in objectives.NAMES[: 2 if quick else None]:
        for dtype in GRADIENTS:
            found = [
                (net, partial(differentiated, by_objective.network(net), rules.gll(aux=aux), 3, device, dtype))
                for net in ("convolutions", "mlp")
                if (net, aux) != ("mlp", "cnn")
            ]
            yield aux, dtype, list(found)


def networks(device: Any, quick: bool) -> Iterator[tuple[str, str, list[tuple[str, Trial]]]]:
    """BP through the networks that are held to autograd, and through those of full size."""
    makers = {name: by_net.CASES[name] for name in ("mlp", "resnet8, shortcut B")} if quick else by_net.CASES | FULL
    for name, make in makers.items():
        for dtype in GRADIENTS:
            yield name, dtype, [("batch of 4", partial(_network, make, device, dtype))]


def _network(make: Any, device: Any, dtype: str) -> dict[str, float]:
    return differentiated(make(streams.rng(0)), rules.bp(), 1, device, dtype)


def graphs(device: Any, quick: bool) -> Named:
    """Six steps recorded and eager, the last batch smaller, for every rule that can be recorded."""
    for name, cases in subjects(quick).items():
        chosen = [c for c in cases if not c[2].boundary.delayed and not isinstance(c[2].when, Asynchronous)][:3]
        if chosen:
            yield name, [(case, partial(_recorded, net, rule, K, device)) for case, net, rule, K in chosen]


def _recorded(net: Net, rule: Rule, modules: int, device: Any) -> dict[str, float]:
    found = []
    for graph in (True, False):
        with warnings.catch_warnings(action="ignore"):
            it = Learner(net, rule, modules, rng=streams.rng(0), device=device, optimizer=SGD, cuda_graph=graph)
        said = [*steps(it, 5), *steps(it, 1, N=3)]
        if graph and rule.name in RECORDED and "eagerly:" in it.cuda_graph_status:
            raise RuntimeError(it.cuda_graph_status)
        found.append(arrays(it) | {f"losses {i}": a for i, a in enumerate(said)})
    return errors(*found)


def recordings(device: Any) -> dict[str, str]:
    """{rule: whether its steps are recorded as CUDA graphs, or why not}, on a small network."""
    found = {}
    for name, cases in subjects(quick=True).items():
        _, net, rule, K = cases[0]
        it = pair(net, rule, K, device, "float32")[1]
        steps(it, 3)
        found[name] = it.cuda_graph_status
    return found


def carried(device: Any, quick: bool) -> Named:
    """Three steps on one side, saved, restored on the other, three more on both."""
    net = by_objective.network("convolutions")
    for rule in (rules.backlink(), rules.ddg(), rules.dgl(buffer=2))[: 1 if quick else None]:
        yield (
            rule.name,
            [(f"from the {start}", partial(_carried, net, rule, device, start)) for start in ("host", "device")],
        )


def _carried(net: Net, rule: Rule, device: Any, start: str) -> dict[str, float]:
    here, there = pair(net, rule, 3, device, "float64")
    first, second = (here, there) if start == "host" else (there, here)
    steps(first, 3)
    second.restore(first.state())
    for it in (first, second):
        steps(it, 3)
    return errors(arrays(second), arrays(first))
