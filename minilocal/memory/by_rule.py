"""Bytes of a step under each rule, estimated and measured: the rows of `minilocal memory`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from minilocal import memory, rules, streams
from minilocal.device import device_namespace, on_device, to_device
from minilocal.errors import UserError
from minilocal.learner import Learner
from minilocal.memory.estimate import Machine, estimate
from minilocal.memory.meter import free_unused, held_bytes
from minilocal.memory.period import phases
from minilocal.memory.profile import MemoryProfile
from minilocal.nets import Net
from minilocal.rules import Rule

PARTS = ("activations", "auxiliary", "gradients", "workspace")
HELD = ("parameters", "statistics", "optimizer", "scratch")
SOME_NETWORKS = ("InfoPro", "AugLocal", "HPFF", "MAN", "ContSup, E", "BP, contexts E")  # not defined on all of them
BOTH = (1.0, 1.0, 1.0, 1.0)  # λ of the reconstruction and of the classifier: both, in every module
LARGEST = 0.8  # of the free memory that a measured step may take

Recipes = dict[str, tuple[Rule, dict[int, float]]]  # {row: (rule, {epoch: its share of all epochs})}
Table = dict[str, dict[str, Any]]  # {row: {column: number}}


def recipes(net: Net, cut: Sequence[int], lengths: Sequence[int], aux: str) -> Recipes:
    """The rows of modules of these unit counts: BP in three forms, GLL, BackLink of each length in three, InfoPro, PGL,
    Interlocking, AugLocal, HPFF, MAN, ContSup, and BP on the network that ContSup tests.

    Rows of `SOME_NETWORKS` are left out where they are not defined.

    Rows that would repeat another one are left out: lengths above the longest module that can be linked, and the total
    error where it equals the own error, since all modules with one below and one above are longer than l.
    """
    K = len(cut)
    linked = cut[: max(1, K - 1)]
    fit = [n for n in lengths if n <= max(linked)] or [max(linked)]
    chained = [n for n in fit if n >= min(linked[1:], default=n + 1)]  # some module passes the total error on
    always = {
        "BP": rules.bp(),
        "BP, checkpointed": rules.bp(keep="inputs"),
        "BP, accumulated": rules.bp(accumulate=K),
        "GLL": rules.gll(aux=aux),
        **{f"BackLink, l = {n}": rules.backlink(length=n, aux=aux) for n in fit},
        **{f"BackLink, l = {n}, inputs kept": rules.backlink(length=n, aux=aux, keep="inputs") for n in fit},
        **{f"BackLink, l = {n}, total error": rules.backlink(length=n, aux=aux, error="total") for n in chained},
        "InfoPro": rules.infopro(lambdas=BOTH, aux=aux),
    }
    if K > 1:
        always |= {
            "Interlocking, n = 1": rules.interlocking(reach=1, aux=aux),
            "AugLocal": rules.auglocal(),
            "HPFF": rules.hpff(lambdas=BOTH, aux=aux),
            "MAN": rules.man(lambdas=BOTH, aux=aux),
            "ContSup, E": rules.contsup(aux=aux),
            "BP, contexts E": rules.bp(context="image"),
        }
    always = {n: rule for n, rule in always.items() if n not in SOME_NETWORKS or _is_defined(net, rule, cut)}
    pgl = rules.pgl(aux=aux)
    return {name: (rule, {0: 1.0}) for name, rule in always.items()} | {
        "PGL, on average": (pgl, phases(pgl.when)),
        "PGL, at its peak": (pgl, {max(phases(pgl.when)): 1.0}),
    }


def table(
    net: Net,
    cut: Sequence[int],
    rows: Recipes,
    images: int,
    *,
    machine: Machine,
    device: str = "cpu",
    measured: int | None = None,
) -> Table:
    """The numbers of all rows, estimated for `images` images; estimated and measured for `measured` images.

    `cut` has the unit counts of the modules.
    """

    @cache
    def estimated(rule: Rule, epoch: int, number: int) -> MemoryProfile:
        return estimate(net, rule, cut, number, epoch=epoch, machine=machine)

    @cache
    def profiled(rule: Rule, epoch: int, number: int) -> Measured | None:
        fits = estimated(rule, epoch, number).total < LARGEST * free(device)
        return _measure(net, rule, cut, number, epoch, device) if fits else None

    results: Table = {}
    for name, (rule, epochs) in rows.items():
        row: dict[str, Any] = _mean({e: estimated(rule, e, images) for e in epochs}, epochs)
        row["live"] = list(estimated(rule, max(epochs), images).curve)
        if measured:
            profiles = {e: profiled(rule, e, measured) for e in epochs}
            if all(profiles.values()):
                row["measured"] = _mean({e: p.profile for e, p in profiles.items() if p}, epochs)
                row["measured"]["held"] = max(p.held for p in profiles.values() if p)
                row["predicted"] = _mean({e: estimated(rule, e, measured) for e in epochs}, epochs)
        results[name] = row
    for row in results.values():
        for key, words in (("step", ""), ("total", "total ")):
            row[f"{words}of BP"] = row[key] / results["BP"][key]
            row[f"{words}over GLL"] = row[key] / results["GLL"][key] - 1
    return results


def off(row: Mapping[str, Any]) -> float:
    """The relative error of the estimate of a measured step."""
    return float(row["predicted"]["step"] / row["measured"]["step"] - 1)


def free(device: str) -> float:
    """Free bytes of the GPU or the host; infinity where the host does not report them."""
    if device != "cpu":
        with on_device(device):
            nbytes: int = device_namespace(device).cuda.runtime.memGetInfo()[0]
        return nbytes
    names = [name for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES") if name in os.sysconf_names]
    return os.sysconf(names[0]) * os.sysconf("SC_PAGE_SIZE") if names else float("inf")


def _is_defined(net: Net, rule: Rule, cut: Sequence[int]) -> bool:
    """Whether a Learner of this rule can be built."""
    try:
        Learner(net, rule, cut, rng=streams.rng(0))
    except UserError:
        return False
    return True


def _mean(profiles: Mapping[int, Any], shares: Mapping[int, float]) -> dict[str, float]:
    """The fields of the profiles, averaged over the epochs by their shares."""
    keys = ("step", "total", *PARTS, *HELD)
    return {key: sum(shares[e] * getattr(p, key) for e, p in profiles.items()) for key in keys}


class Measured(NamedTuple):
    """The profile of a real step, and the bytes that the device's memory pool holds after it."""

    profile: MemoryProfile
    held: int


def _measure(net: Net, rule: Rule, cut: Sequence[int], images: int, epoch: int, device: str) -> Measured:
    """A real step, with nothing in the pool that an earlier one has left."""
    free_unused(device)
    learner, rng = Learner(net, rule, cut, rng=streams.rng(0), device=device, cuda_graph=False), streams.rng(1)
    learner.epoch = epoch
    x, y = rng.standard_normal((images, *net.shape), dtype="float32"), rng.integers(net.classes, size=images)
    measured = memory.profile(learner, to_device(x, device), to_device(y, device))
    return Measured(measured, held_bytes(device))
