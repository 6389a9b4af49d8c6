"""Pairs of Learners, one on the host and one on a device, from one net and one seed: rules, networks, classifiers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minilocal import nets, objectives, optim, rules, streams
from minilocal.array import to_host
from minilocal.device import to_device
from minilocal.learner import Learner
from minilocal.nets import Net
from minilocal.rules import Rule
from minilocal.verify import delayed
from minilocal.verify import nets as net_checks
from minilocal.verify import objectives as objective_checks
from minilocal.verify import rules as rule_checks
from minilocal.verify.compare import errors
from minilocal.verify.device.ops import device_errors
from minilocal.verify.device.single import in_units, tf32_factors
from minilocal.verify.small_nets import network, randomise

DTYPES = ("float64", "float32")
FIVE_STEPS = 1e-7  # float64, weights after five steps
# Recorded as CUDA graphs on every device; other rules may call what a graph cannot hold.
RECORDED = ("BP", "GLL", "BackLink")
LR = 0.05
SGD = optim.SGD(momentum=0.9, weight_decay=1e-3)
Arrays = dict[str, np.ndarray]
Check = Callable[[], dict[str, float]]
Checks = list[tuple[str, Check]]
FULL: dict[str, Any] = {
    "resnet32, 32×32": lambda rng: nets.resnet(32, rng=rng),
    "resnet18, 32×32": lambda rng: nets.resnet18(rng=rng),
    "resnet20, A-both, 96×96": lambda rng: nets.resnet(20, size=96, shortcut="A-both", rng=rng),
    "vgg16, 32×32": lambda rng: nets.vgg16(rng=rng),
    "alexnet, 32×32": lambda rng: nets.alexnet(rng=rng),
    "wrn16-2, 32×32": lambda rng: nets.wrn(16, 2, rng=rng),
    "mlp, 32×32": lambda rng: nets.mlp(rng=rng),
}


class Subject(NamedTuple):
    """A rule on a network cut into `modules` modules."""

    name: str
    net: Net
    rule: Rule
    modules: int

    @property
    def single_step(self) -> bool:
        """Whether one step updates every module from one batch."""
        return self.rule.when.engine == "synchronous" and not self.rule.boundary.delayed

    @property
    def two_updates(self) -> int:
        """The number of steps after which every module has been updated at least twice, 5 or more."""
        return max(5, self.rule.least_batches(self.modules) + 2)


def built(subject: Subject, device: Any, dtype: str, **options: Any) -> Learner:
    """A Learner of seed 0 with random arrays: the same float32 numbers on every device and in every type."""
    _, net, rule, modules = subject
    with warnings.catch_warnings(action="ignore"):  # of links longer than a module: intended here
        first = Learner(net, rule, modules, rng=streams.rng(0))
        learner = Learner(net, rule, modules, rng=streams.rng(0), device=device, dtype=dtype, **options)
    randomise(first)
    learner.load({**first.parameters(), **first.buffers()})
    return learner


def pair(subject: Subject, device: Any, optimizer: Any = SGD) -> tuple[Learner, Learner]:
    """(on the host, on the device): Learners in float64 with the same random arrays."""
    on_host, on_device = (built(subject, home, "float64", optimizer=optimizer) for home in ("cpu", device))
    return on_host, on_device


def batch(net: Net, number: int, dtype: str, N: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels; the images are rounded to float32 in every type."""
    rng = streams.rng(100 + number)
    return rng.standard_normal((N, *net.shape)).astype("float32").astype(dtype), rng.integers(net.classes, size=N)


def steps(learner: Learner, count: int, N: int = 6) -> dict[str, np.ndarray]:
    """{step: losses} of `count` steps, -1 for modules without a loss. A guided rule ends with two global epochs."""
    losses = {}
    for i in range(count):
        if learner.rule.when.guided and i == max(0, count - 2):
            learner.epoch = next(epoch for epoch in range(100) if learner.rule.when.is_global(epoch))
        x, y = (to_device(a, learner.device) for a in batch(learner.net, i, learner.dtype, N))
        losses[f"losses {i}"] = np.nan_to_num(to_host(learner.step(x, y, lr=LR)), nan=-1.0)
    return losses


def arrays(learner: Learner) -> dict[str, np.ndarray]:
    """A Learner's parameters and running statistics, on the host."""
    return {name: to_host(a) for name, a in {**learner.parameters(), **learner.buffers()}.items()}


def trained(subject: Subject, device: Any, count: int, optimizer: Any = SGD) -> dict[str, float]:
    """Relative errors of the device's arrays, and of its losses, after `count` steps in float64."""
    on_host, on_device = pair(subject, device, optimizer)
    losses, expected = steps(on_device, count), steps(on_host, count)
    return errors(arrays(on_device), arrays(on_host)) | errors(losses, expected)


def one_step(subject: Subject, device: Any, dtype: str) -> dict[str, np.ndarray]:
    """The losses of a first step, the weights and running statistics after it, and the velocities: the gradients.

    Without weight decay: the velocity of a bias in front of a batch norm is 0, and not a thousandth of the bias.
    """
    learner = built(subject, device, dtype, optimizer=optim.SGD(momentum=0.9), cuda_graph=False)
    losses = steps(learner, 1)
    return losses | {name: a for name, a in learner.state().items() if a.dtype.kind == "f" and a.ndim}


def differentiated(subject: Subject, device: Any, dtype: str) -> dict[str, np.ndarray]:
    """The losses and gradients of a batch of four, and its logits in evaluation mode."""
    learner = built(subject, device, dtype)
    x, y = (to_device(a, learner.device) for a in batch(subject.net, 0, dtype, 4))
    losses, grads = learner.gradients(x, y)
    outputs = {"losses": np.nan_to_num(to_host(losses), nan=-1.0), "logits": to_host(learner.predict(x))}
    return outputs | {name: to_host(g) for name, g in grads.items()}


def by_dtype(run: Callable[[Subject, Any, str], Arrays], subject: Subject, device: Any, dtype: str) -> dict[str, float]:
    """Errors of `run` on the device: relative ones in float64, in units of the host's own in float32."""
    if dtype == "float32":
        return in_units(partial(run, subject), device)
    return device_errors(run(subject, device, dtype), run(subject, "cpu", dtype))


# ---------------------------------------------------------------------- the checks


def subjects(quick: bool) -> dict[str, list[Subject]]:
    """{row: subjects}: the cases that are verified with JAX, and rules with random streams or phases of their own."""
    by_row = {
        name: [Subject(str(case), network(case.net), case.rule, case.modules) for case in cases]
        for name, cases in {**rule_checks.CASES, **objective_checks.CASES, **delayed.CASES}.items()
    }
    net = network("convolutions")
    by_row["DGL, asynchronous"] = [Subject("buffers of 2", net, rules.dgl(buffer=2, aux="0c1f"), 3)]
    by_row["PGL, both phases"] = [Subject("a period of 3", net, rules.pgl(period=3, duration=1), 3)]
    if quick:
        return {name: cases[:1] for name, cases in by_row.items()}
    large, dropout = nets.resnet(32, rng=streams.rng(0)), nets.vgg16(rng=streams.rng(0))
    three = {"BP": rules.bp(), "GLL": rules.gll(), "BackLink": rules.backlink(aux="1c2f")}
    by_row["full size"] = [Subject(f"{name}, resnet32", large, rule, 16) for name, rule in three.items()]
    by_row["full size, dropout"] = [Subject("BackLink, vgg16", dropout, rules.backlink(), 4)]
    return by_row


def double(device: Any, quick: bool) -> Iterator[tuple[str, Checks]]:
    """Five steps in float64, more where errors are delayed; then other optimisers."""
    for name, cases in subjects(quick).items():
        yield name, [(s.name, partial(trained, s, device, s.two_updates)) for s in cases]
    subject = Subject("", network("convolutions"), rules.backlink(), 3)
    optimizers = {
        "Nesterov": optim.SGD(momentum=0.9, weight_decay=1e-3, nesterov=True),
        "no momentum": optim.SGD(momentum=0.0),
        "Adam": optim.Adam(),
    }
    yield "optimisers", [(name, partial(trained, subject, device, 5, o)) for name, o in optimizers.items()]


def single(device: Any, quick: bool) -> Iterator[tuple[str, Checks]]:
    """One step in float32."""
    for name, cases in subjects(quick).items():
        if cases[0].single_step:
            yield name, [(s.name, partial(by_dtype, one_step, s, device, "float32")) for s in cases[:3]]


def tf32(device: Any, quick: bool) -> Iterator[tuple[str, Checks]]:
    """One step of networks whose convolutions have more than 64 channels out, and so go through TF32."""
    net = network("wide channels")
    cases = [Subject(f"{rule.name}, 80 channels", net, rule, 2) for rule in (rules.bp(), rules.gll(), rules.backlink())]
    by_row = {case.name: case for case in (cases[:1] if quick else cases)}
    if not quick:
        by_row["BackLink, vgg16"] = Subject("", nets.vgg16(rng=streams.rng(0)), rules.backlink(), 4)
    for name, case in by_row.items():
        yield name, [("6 images", partial(in_units, partial(one_step, case), device, tf32_factors))]


def classifiers(device: Any, quick: bool) -> Iterator[tuple[str, str, Checks]]:
    """GLL through every auxiliary network, behind maps and behind vectors."""
    for aux in objectives.NAMES[: 2 if quick else None]:
        for dtype in DTYPES:
            checks: Checks = []
            for name, net in (("convolutions", "convolutions"), ("mlp", "mlp, four units")):
                if (name, aux) != ("mlp", "cnn"):
                    subject = Subject(name, network(net), rules.gll(aux=aux), 3)
                    checks.append((name, partial(by_dtype, differentiated, subject, device, dtype)))
            yield aux, dtype, checks


def networks(device: Any, quick: bool) -> Iterator[tuple[str, str, Checks]]:
    """BP through the networks that are verified with JAX, and through those of full size."""
    makers = {name: net_checks.CASES[name] for name in ("mlp", "resnet8, shortcut B")}
    for name, make in (makers if quick else net_checks.CASES | FULL).items():
        for dtype in DTYPES:
            yield name, dtype, [("batch of 4", partial(_network, make, device, dtype))]


def _network(make: Any, device: Any, dtype: str) -> dict[str, float]:
    errors: dict[str, float] = by_dtype(differentiated, Subject("", make(streams.rng(0)), rules.bp(), 1), device, dtype)
    return errors


def recorded(subject: Subject, device: Any) -> dict[str, float]:
    """Relative errors of six steps recorded as CUDA graphs against eager ones; the last batch is smaller."""
    after = []
    for graph in (True, False):
        with warnings.catch_warnings(action="ignore"):
            learner = Learner(*subject[1:], rng=streams.rng(0), device=device, optimizer=SGD, cuda_graph=graph)
        losses = [*steps(learner, 5).values(), *steps(learner, 1, N=3).values()]
        if graph and subject.rule.name in RECORDED and "eagerly:" in learner.cuda_graph_status:
            raise RuntimeError(learner.cuda_graph_status)
        after.append(arrays(learner) | {f"losses {i}": a for i, a in enumerate(losses)})
    return errors(*after)


def cuda_graph_status(subject: Subject, device: Any) -> str:
    """Whether the steps of this rule are recorded as CUDA graphs, or why not."""
    learner = built(subject, device, "float32", optimizer=SGD)
    steps(learner, 3)
    return learner.cuda_graph_status


def restored(device: Any, quick: bool) -> Iterator[tuple[str, Checks]]:
    """Three steps on one side, saved, restored on the other, three more on both."""
    for rule in (rules.backlink(), rules.ddg(), rules.dgl(buffer=2))[: 1 if quick else None]:
        subject = Subject(rule.name, network("convolutions"), rule, 3)
        yield (
            rule.name,
            [(f"from the {start}", partial(_restored, subject, device, start)) for start in ("host", "device")],
        )


def _restored(subject: Subject, device: Any, start: str) -> dict[str, float]:
    on_host, on_device = pair(subject, device)
    first, second = (on_host, on_device) if start == "host" else (on_device, on_host)
    steps(first, 3)
    second.restore(first.state())
    steps(first, 3)
    steps(second, 3)
    return errors(arrays(second), arrays(first))
