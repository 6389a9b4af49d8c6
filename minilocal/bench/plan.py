"""Plans of `minilocal bench`: which workloads are compared with each other.

limits     the machine's peak rates, before and after everything else
steps      a training step of each rule, and evaluation, by minilocal and by PyTorch
layers     the operations of a step by both, beside the peak rates
growth     a step of each rule as batch, depth, K and l grow
launches   what a step of each rule starts and moves on a GPU, counted on this machine without one
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from minilocal import costs, nets, rules, streams
from minilocal.bench.ops import op_benchmarks
from minilocal.bench.workload import Workload
from minilocal.boundaries.supply import NO_CONTEXT
from minilocal.errors import UserError, unknown
from minilocal.ops.kinds import checked_kind
from minilocal.rules.compose import KEEP
from minilocal.split import sizes

WHAT = ("limits", "steps", "layers", "growth", "launches")
RULES = ("bp", "gll", "backlink")


@dataclass(frozen=True)
class Plan:
    """The options of `minilocal bench`; every combination of their values is measured."""

    what: Sequence[str] = ("limits", "steps")
    nets: Sequence[str] = ("resnet32",)
    rules: Sequence[str] = RULES
    batches: Sequence[int] = (128,)
    threads: Sequence[int] = (1,)
    kernels: Sequence[str] = ("numpy",)  # of minilocal on the host, each an engine of its own
    modules: Sequence[int] = (4,)
    balance: str | None = None  # of GLL, by time, memory or flops; the same cut for every rule
    lengths: Sequence[int] = (1,)
    keeps: Sequence[str] = ("caches",)
    rounds: int = 7
    device: str = "cpu"
    quick: bool = False

    def check(self) -> None:
        """Check every option.

        Raises: UserError for unknown names, numbers below 1, more modules than a network has units, and kernels that
        are not installed or not of the device.
        """
        words = (("--what", self.what, WHAT), ("--rule", self.rules, RULES), ("--keep", self.keeps, KEEP))
        for flag, values, known in words:
            for value in values:
                if value not in known:
                    raise unknown(f"bench: {flag}", value, known)
        if self.balance is not None and self.balance not in costs.MEASURES:
            raise unknown("bench: --balance", self.balance, costs.MEASURES)
        if self.kinds != ("numpy",) and self.device != "cpu":
            raise UserError(
                f"bench: --kernels met --device {self.device}: they are the CPU's. Leave one of the two out."
            )
        numbers = {"--batch-size": self.batches, "--threads": self.threads, "--rounds": [self.rounds]}
        for flag, counts in numbers.items():
            if min(counts) < 1:
                raise UserError(f"bench: {flag} {min(counts)}: give 1 or more.")
        if min(self.lengths) < 0:
            raise UserError(f"bench: --length {min(self.lengths)}: give a number of units, 0 or more.")
        for name in self.nets:
            units = _units(name)
            for K in self.modules:
                try:
                    sizes(units, K)
                except UserError as error:
                    raise UserError(f"bench: {name}, {error}") from None

    @property
    def kinds(self) -> tuple[str, ...]:
        """`kernels` as they run here, each once: "auto" is what it becomes. Raises: UserError, as `use_kernels`."""
        return tuple(dict.fromkeys(checked_kind(kind, "bench: --kernels") for kind in self.kernels))


@dataclass(frozen=True)
class Comparison:
    """Workloads that are timed in turns; each timing lasts `least` seconds, or one run where that is 0."""

    section: str
    title: str
    workloads: list[Workload]
    least: float = 0.0


def comparisons(plan: Plan, with_torch: bool) -> list[Comparison]:
    """Every comparison of the plan, in order."""
    compared: list[Comparison] = []
    if "steps" in plan.what:
        compared += _steps(plan, with_torch)
    if "layers" in plan.what:
        compared += _layers(plan, with_torch)
    if "growth" in plan.what:
        compared += _growth(plan)
    return compared


def on_every_engine(workload: Workload, with_torch: bool, kinds: Sequence[str] = ("numpy",)) -> list[Workload]:
    """The same workload on every engine and setting that its device has, minilocal with kernels of these kinds.

    PyTorch's steps keep caches, and have no contexts. With TF32 ours is left out where no product of it would use TF32:
    it would be timed twice.
    """
    with_torch = with_torch and "keep" not in workload.options and workload.context == NO_CONTEXT
    ours = [replace(workload, kernels=kind) for kind in kinds]
    torch = [replace(workload, engine="torch", layout=layout) for layout in ("nchw", "channels_last")]
    if workload.device != "cpu" and not workload.op:
        if not workload.evaluation:
            ours.append(replace(workload, graph=True))
        if workload.uses_tf32:
            ours.append(replace(ours[-1], tf32=True))
        torch.append(replace(torch[-1], tf32=True))
    return ours + torch * with_torch


def _units(net: str) -> int:
    return len(nets.get(net, rng=streams.rng(0)).units)


def _by_rule(plan: Plan, base: Workload) -> list[Workload]:
    """The base workload with each rule of the plan, and BackLink with each length and `keep`.

    Beside a rule with contexts stands BP on the network that it tests.
    """
    links: list[dict[str, Any]] = [
        {"length": l} | ({"keep": keep} if keep != "caches" else {}) for l in plan.lengths for keep in plan.keeps
    ]
    return [
        replace(base, rule=rule, options=options)
        for rule in plan.rules
        for options in (links if rule == "backlink" else [{}])
    ] + [replace(base, rule="bp", options={"context": source}) for source in _contexts(plan)]


def _contexts(plan: Plan) -> list[str]:
    """The contexts of the plan's rules."""
    return [source for rule in plan.rules if (source := rules.options(rule).get("context", "none")) != "none"]


def _evaluations(plan: Plan, base: Workload) -> list[Workload]:
    """The evaluation of the network, and of each that contexts enlarge."""
    enlarged = [replace(base, options={"context": source}, evaluation=True) for source in _contexts(plan)]
    return [replace(base, evaluation=True), *enlarged]


def _bases(plan: Plan) -> Iterator[Workload]:
    """A step without its rule, for each number of threads, network, batch and K."""
    for threads in plan.threads:
        for name in plan.nets:
            for batch in plan.batches:
                for K in plan.modules:
                    base = Workload(net=name, modules=K, batch=batch, threads=threads, device=plan.device)
                    yield _balanced(plan, base)


def steps_of(plan: Plan) -> list[Workload]:
    """The training steps of the plan by minilocal, whatever the number of threads."""
    return [step for base in _bases(replace(plan, threads=plan.threads[:1])) for step in _by_rule(plan, base)]


def _balanced(plan: Plan, workload: Workload) -> Workload:
    """The workload with its modules cut as the plan says."""
    if plan.balance is None:
        return workload
    return replace(workload, cut=_cut(workload.net, workload.modules, plan.balance, workload.batch, workload.device))


@cache
def _cut(net: str, modules: int, by: str, images: int, device: Any) -> tuple[int, ...]:
    """The unit counts of modules that are balanced under GLL; seconds are measured once for a whole plan."""
    measured = costs.measure(nets.get(net, rng=streams.rng(0)), rules.gll(), modules, by, images=images, device=device)
    return tuple(measured.cut())


def title(workload: Workload) -> str:
    """What all workloads of a comparison of steps have in common."""
    threads = "" if workload.device != "cpu" else f", {workload.threads} thread{'s' * (workload.threads > 1)}"
    cut = f" of {', '.join(map(str, workload.cut))} units" if workload.cut else ""
    return f"{workload.net}, batch {workload.batch}, K = {workload.modules}{cut}{threads}"


def _steps(plan: Plan, with_torch: bool) -> list[Comparison]:
    least = 0.0 if plan.device == "cpu" else 0.1
    compared = []
    for base in _bases(plan):
        measured = [*_by_rule(plan, base), *_evaluations(plan, base)]
        workloads = [engine for workload in measured for engine in on_every_engine(workload, with_torch, plan.kinds)]
        compared.append(Comparison("steps", title(base), workloads, least))
    return compared


def _layers(plan: Plan, with_torch: bool) -> list[Comparison]:
    compared, least = [], 0.02 if plan.device == "cpu" else 0.005
    for threads in plan.threads:
        for batch in plan.batches:
            for name, op in list(op_benchmarks(batch).items())[:: 4 if plan.quick else 1]:
                base = Workload(op=name, batch=batch, threads=threads, device=plan.device)
                workloads = on_every_engine(base, with_torch and op.torch is not None, plan.kinds)
                workloads = [workload for workload in workloads if op.images or workload.layout == "nchw"]
                compared.append(Comparison("layers", f"{name}, batch {batch}", workloads, least))
    return compared


def _growth(plan: Plan) -> list[Comparison]:
    """Sweeps over one number, with the plan's first value of every other; a sweep is one comparison."""
    one = replace(
        plan, nets=plan.nets[:1], batches=plan.batches[:1], modules=plan.modules[:1], lengths=plan.lengths[:1]
    )
    compared: list[Comparison] = []
    for threads in plan.threads:
        base = next(_bases(replace(one, threads=[threads])))
        units = _units(base.net)
        Ks = [K for K in (1, 2, 4, 8, 16) if units >= K]
        sweeps = {
            "batch": [replace(base, batch=n) for n in ((4, 8) if plan.quick else (16, 32, 64, 128, 256))],
            "depth": [replace(base, net=f"resnet{n}") for n in ((8, 14) if plan.quick else (8, 20, 32, 56, 110))],
            "K": [replace(base, modules=K) for K in (Ks[:2] if plan.quick else Ks)],
        }
        for swept, points in sweeps.items():
            points = [point for point in points if point.modules <= _units(point.net)]
            workloads = [workload for point in points for workload in _by_rule(one, _balanced(plan, point))]
            compared.append(_grows(swept, base, workloads, plan.kinds))
        links = [replace(base, rule="backlink", options={"length": l}) for l in range(3 if plan.quick else 5)]
        compared.append(_grows("l", base, [replace(base, rule="bp"), *links], plan.kinds))
    return compared


def _grows(swept: str, base: Workload, steps: list[Workload], kinds: Sequence[str]) -> Comparison:
    workloads = [replace(step, kernels=kind) for step in steps for kind in kinds]
    return Comparison("growth", f"{swept} grows: {title(base)}", workloads)
