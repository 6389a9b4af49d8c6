"""Bytes of a step, rule by rule: the rows of `minilocal memory`, predicted from shapes and measured where they fit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from minilocal import memory, rules, streams
from minilocal.device import device_namespace, to_device
from minilocal.errors import UserError
from minilocal.learner import Learner
from minilocal.memory.estimate import Machine, estimate
from minilocal.memory.profile import MemoryProfile
from minilocal.nets import Net
from minilocal.rules import Rule
from minilocal.split import sizes

PARTS = ("activations", "auxiliary", "gradients", "workspace")
HELD = ("parameters", "statistics", "optimizer", "scratch")
ROOM = 0.8  # of the free memory: what a measured step may take

Recipes = dict[str, tuple[Rule, dict[int, float]]]  # by the row's name: a rule, and epochs with their shares
Table = dict[str, dict[str, Any]]  # by the row's name: numbers


def recipes(net: Net, K: int, lengths: Sequence[int], aux: str) -> Recipes:
    """The rows of K modules: BP in three forms, GLL, BackLink of each length in two, InfoPro where it is defined, PGL.

    Lengths above the longest module that can be linked would repeat its row, and are left out. So is the total error
    where it is no other one: where all modules with one below and one above are longer than l.
    """
    linked = sizes(len(net.units), K)[: max(1, K - 1)]
    fit = [n for n in lengths if n <= max(linked)] or [max(linked)]
    chained = [n for n in fit if n >= min(linked[1:], default=n + 1)]  # under the total error some modules wait for all
    always = {
        "BP": rules.bp(),
        "BP, checkpointed": rules.bp(keep="inputs"),
        "BP, accumulated": rules.bp(accumulate=K),
        "GLL": rules.gll(aux=aux),
        **{f"BackLink, l = {n}": rules.backlink(length=n, aux=aux) for n in fit},
        **{f"BackLink, l = {n}, inputs kept": rules.backlink(length=n, aux=aux, keep="inputs") for n in fit},
        **{f"BackLink, l = {n}, total error": rules.backlink(length=n, aux=aux, error="total") for n in chained},
        "InfoPro": rules.infopro(lambdas=(1.0, 1.0, 1.0, 1.0), aux=aux),  # both branches, in every module
    }
    if not _is_defined(net, always["InfoPro"], K):
        del always["InfoPro"]
    pgl = rules.pgl(aux=aux)
    return {name: (rule, {0: 1.0}) for name, rule in always.items()} | {
        "PGL, on average": (pgl, {0: 0.8, 9: 0.2}),  # of a period of 10 epochs, the last two are global
        "PGL, at its peak": (pgl, {9: 1.0}),
    }


def table(
    net: Net, K: int, rows: Recipes, images: int, *, machine: Machine, device: str = "cpu", measured: int | None = None
) -> Table:
    """The numbers of all rows: of a step of `images` images, and measured and predicted with `measured` images."""

    @cache
    def predicted(rule: Rule, epoch: int, number: int) -> MemoryProfile:
        return estimate(net, rule, K, number, epoch=epoch, machine=machine)

    @cache
    def real(rule: Rule, epoch: int, number: int) -> MemoryProfile | None:
        fits = predicted(rule, epoch, number).total < ROOM * free(device)
        return _measure(net, rule, K, number, epoch, device) if fits else None

    found: Table = {}
    for name, (rule, epochs) in rows.items():
        row: dict[str, Any] = _mean({e: predicted(rule, e, images) for e in epochs}, epochs)
        row["live"] = list(predicted(rule, max(epochs), images).curve)
        if measured:
            seen = {e: real(rule, e, measured) for e in epochs}
            if all(seen.values()):
                row["measured"] = _mean(seen, epochs)
                row["predicted"] = _mean({e: predicted(rule, e, measured) for e in epochs}, epochs)
        found[name] = row
    for row in found.values():
        for key, words in (("step", ""), ("total", "total ")):
            row[f"{words}of BP"] = row[key] / found["BP"][key]
            row[f"{words}over GLL"] = row[key] / found["GLL"][key] - 1
    return found


def off(row: Mapping[str, Any]) -> float:
    """How far the prediction of a measured step is from its measurement, relative to that."""
    return float(row["predicted"]["step"] / row["measured"]["step"] - 1)


def free(device: str) -> float:
    """Free bytes: of the GPU, or of the host where it tells."""
    if device != "cpu":
        nbytes: int = device_namespace(device).cuda.runtime.memGetInfo()[0]
        return nbytes
    names = [name for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES") if name in os.sysconf_names]
    return os.sysconf(names[0]) * os.sysconf("SC_PAGE_SIZE") if names else float("inf")


def _is_defined(net: Net, rule: Rule, K: int) -> bool:
    try:
        Learner(net, rule, K, rng=streams.rng(0))
    except UserError:
        return False
    return True


def _mean(uses: Mapping[int, Any], shares: Mapping[int, float]) -> dict[str, float]:
    """The numbers of a use, averaged over the epochs by their shares."""
    keys = ("step", "total", *PARTS, *HELD)
    return {key: sum(shares[e] * getattr(use, key) for e, use in uses.items()) for key in keys}


def _measure(net: Net, rule: Rule, K: int, images: int, epoch: int, device: str) -> MemoryProfile:
    """A real step."""
    learner, rng = Learner(net, rule, K, rng=streams.rng(0), device=device, cuda_graph=False), streams.rng(1)
    learner.epoch = epoch
    x, y = rng.standard_normal((images, *net.shape), dtype="float32"), rng.integers(net.classes, size=images)
    return memory.profile(learner, to_device(x, device), to_device(y, device))
