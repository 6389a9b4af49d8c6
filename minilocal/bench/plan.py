"""What `minilocal bench` measures: which contestants take turns with which.

limits   what the machine can do at most, before and after everything else
steps    a training step of each rule, by the engine and by PyTorch
layers   the pieces of a step, by both, and how near the limits they come
growth   a step of each rule as batch, depth, K and l grow
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from minilocal import nets, streams
from minilocal.bench.ops import op_benchmarks
from minilocal.bench.workload import Workload
from minilocal.errors import UserError, unknown
from minilocal.rules.compose import KEEP
from minilocal.split import sizes

WHAT = ("limits", "steps", "layers", "growth")
RULES = ("bp", "gll", "backlink")


@dataclass(frozen=True)
class Plan:
    """Everything that `minilocal bench` may be asked for; every combination is measured."""

    what: Sequence[str] = ("limits", "steps")
    nets: Sequence[str] = ("resnet32",)
    rules: Sequence[str] = RULES
    batches: Sequence[int] = (128,)
    threads: Sequence[int] = (1,)
    modules: Sequence[int] = (4,)
    lengths: Sequence[int] = (1,)
    keeps: Sequence[str] = ("caches",)
    rounds: int = 7
    device: str = "cpu"
    quick: bool = False

    def check(self) -> None:
        """Raises: UserError for names that are not known, numbers below 1 and modules that a network cannot have."""
        words = (("--what", self.what, WHAT), ("--rule", self.rules, RULES), ("--keep", self.keeps, KEEP))
        for kind, given, known in words:
            for word in given:
                if word not in known:
                    raise unknown(f"bench: {kind}", word, known)
        numbers = {"--batch-size": self.batches, "--threads": self.threads, "--rounds": [self.rounds]}
        for flag, values in numbers.items():
            if min(values) < 1:
                raise UserError(f"bench: {flag} {min(values)}: give 1 or more.")
        if min(self.lengths) < 0:
            raise UserError(f"bench: --length {min(self.lengths)}: give a number of units, 0 or more.")
        for name in self.nets:
            units = len(nets.get(name, rng=streams.rng(0)).units)
            for K in self.modules:
                try:
                    sizes(units, K)
                except UserError as error:
                    raise UserError(f"bench: {name}, {error}") from None


@dataclass(frozen=True)
class Comparison:
    """Contestants that take turns; `least` seconds of work are timed at once."""

    section: str
    title: str
    entries: list[Workload]
    least: float = 0.0


def comparisons(plan: Plan, peer: bool) -> list[Comparison]:
    """All of them, in order; PyTorch takes part if `peer`."""
    found: list[Comparison] = []
    if "steps" in plan.what:
        found += _steps(plan, peer)
    if "layers" in plan.what:
        found += _layers(plan, peer)
    if "growth" in plan.what:
        found += _growth(plan)
    return found


def sides(entry: Workload, peer: bool) -> list[Workload]:
    """The same thing by everyone who can do it on this device. PyTorch's steps keep caches."""
    peer = peer and "keep" not in entry.options
    ours, theirs = [entry], [replace(entry, engine="torch", layout=layout) for layout in ("nchw", "channels_last")]
    if entry.device != "cpu" and not entry.op:
        ours.append(replace(entry, graph=True))
        ours.append(replace(ours[-1], tf32=True))
        theirs.append(replace(theirs[-1], tf32=True))
    return ours + theirs * peer


def _by_rule(plan: Plan, base: Workload) -> list[Workload]:
    """The base with each of the plan's rules, BackLink in each of its lengths and ways to keep."""
    links: list[dict[str, Any]] = [
        {"length": l} | ({"keep": keep} if keep != "caches" else {}) for l in plan.lengths for keep in plan.keeps
    ]
    return [
        replace(base, rule=rule, options=options)
        for rule in plan.rules
        for options in (links if rule == "backlink" else [{}])
    ]


def _bases(plan: Plan) -> Iterator[Workload]:
    for threads in plan.threads:
        for name in plan.nets:
            for batch in plan.batches:
                for K in plan.modules:
                    yield Workload(net=name, modules=K, batch=batch, threads=threads, device=plan.device)


def _steps(plan: Plan, peer: bool) -> list[Comparison]:
    least = 0.0 if plan.device == "cpu" else 0.1
    return [
        Comparison("steps", title(base), [one for entry in _by_rule(plan, base) for one in sides(entry, peer)], least)
        for base in _bases(plan)
    ]


def title(entry: Workload) -> str:
    """What all contestants of a contest have in common."""
    threads = "" if entry.device != "cpu" else f", {entry.threads} thread{'s' * (entry.threads > 1)}"
    return f"{entry.net}, batch {entry.batch}, K = {entry.modules}{threads}"


def _layers(plan: Plan, peer: bool) -> list[Comparison]:
    found, least = [], 0.02 if plan.device == "cpu" else 0.005
    for threads in plan.threads:
        for batch in plan.batches:
            for name, piece in list(op_benchmarks(batch).items())[:: 4 if plan.quick else 1]:
                entry = Workload(op=name, batch=batch, threads=threads, device=plan.device)
                entries = sides(entry, peer and piece.theirs is not None)
                entries = [e for e in entries if piece.maps or e.layout == "nchw"]
                found.append(Comparison("layers", f"{name}, batch {batch}", entries, least))
    return found


def _growth(plan: Plan) -> list[Comparison]:
    """One number grows, everything else is the plan's first; all points and rules of a sweep take turns."""
    one = replace(
        plan, nets=plan.nets[:1], batches=plan.batches[:1], modules=plan.modules[:1], lengths=plan.lengths[:1]
    )
    found: list[Comparison] = []
    for threads in plan.threads:
        base = next(_bases(replace(one, threads=[threads])))
        units = len(nets.get(base.net, rng=streams.rng(0)).units)
        ks = [K for K in (1, 2, 4, 8, 16) if units >= K]
        sweeps = {
            "batch": [replace(base, batch=n) for n in ((4, 8) if plan.quick else (16, 32, 64, 128, 256))],
            "depth": [replace(base, net=f"resnet{n}") for n in ((8, 14) if plan.quick else (8, 20, 32, 56, 110))],
            "K": [replace(base, modules=K) for K in (ks[:2] if plan.quick else ks)],
        }
        for what, bases in sweeps.items():
            bases = [b for b in bases if b.modules <= len(nets.get(b.net, rng=streams.rng(0)).units)]
            entries = [entry for b in bases for entry in _by_rule(one, b)]
            found.append(Comparison("growth", f"{what} grows: {title(base)}", entries))
        links = [replace(base, rule="backlink", options={"length": l}) for l in range(3 if plan.quick else 5)]
        found.append(Comparison("growth", f"l grows: {title(base)}", [replace(base, rule="bp"), *links]))
    return found
