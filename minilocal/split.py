"""Cutting a list of units into K modules.

`minilocal.split` is `split` below. It cuts, and its methods return the number of units of each module: evenly, by the
cost of units, or as published.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from operator import index
from typing import TypeVar, cast

from minilocal.balanced import balanced
from minilocal.errors import UserError, nearest

T = TypeVar("T")
Modules = int | str | Sequence[int]  # K, a published split, or the number of units of each module


def sizes(units: int, modules: int) -> list[int]:
    """The number of units of each module: U = qK + r, and the first r modules get q + 1 (BackLink, section IV).

    Raises: UserError where there are more modules than units, or fewer than one.
    """
    if not 1 <= modules <= units:
        raise UserError(f"K = {modules} modules for a network of {units} units: give 1 to {units}.")
    q, r = divmod(units, modules)
    return [q + 1] * r + [q] * (modules - r)


# InfoPro's code, last block of every module but the last, as stage.block with blocks counted from 0; the stem is 0.0.
INFOPRO = {
    (32, 2): "2.1",
    (32, 3): "1.4 2.4",
    (32, 4): "1.2 2.1 3.0",
    (32, 8): "1.0 1.2 1.4 2.1 2.3 3.0 3.2",
    (32, 16): "0.0 1.0 1.1 1.2 1.3 1.4 2.0 2.1 2.2 2.3 2.4 3.0 3.1 3.2 3.3",
    (110, 2): "2.8",
    (110, 3): "1.17 2.17",
    (110, 4): "1.11 2.7 3.3",
    (110, 8): "1.4 1.11 2.0 2.7 2.14 3.3 3.10",
    (110, 16): "1.1 1.4 1.7 1.10 1.13 1.16 2.1 2.4 2.7 2.11 2.15 3.1 3.5 3.9 3.13",
}


def infopro(n: int, modules: int) -> list[int]:
    """InfoPro's split of ResNet-n: on ResNet-110 its larger modules are at the top, BackLink's at the bottom.

    Raises: UserError where InfoPro's code has no such split.
    """
    if (n, modules) not in INFOPRO:
        known = ", ".join(f"ResNet-{a} K={b}" for a, b in sorted(INFOPRO))
        raise UserError(f"InfoPro has no split of ResNet-{n} into {modules}. Known: {known}.")
    return _counts(n, INFOPRO[n, modules])


# InfoPro*: the same notation; every module needs the same memory, its decoder included.
INFOPRO_STAR = {
    (110, 2, "cifar10"): "1.14",
    (110, 3, "cifar10"): "1.9 2.2",
    (110, 4, "cifar10"): "1.6 1.14 2.8",
    (110, 2, "stl10"): "1.14",
    (110, 3, "stl10"): "1.8 2.1",
    (110, 4, "stl10"): "1.6 1.14 2.8",
}


def infopro_star(n: int, modules: int, dataset: str = "cifar10") -> list[int]:
    """InfoPro's memory-balanced split of ResNet-n (InfoPro*): smaller modules at the bottom, where maps are large.

    Raises: UserError where InfoPro's code has no such split.
    """
    if (n, modules, dataset) not in INFOPRO_STAR:
        known = ", ".join(f"ResNet-{a} K={b} {c}" for a, b, c in INFOPRO_STAR)
        raise UserError(f"InfoPro* has no split of ResNet-{n} into {modules} for {dataset!r}. Known: {known}.")
    return _counts(n, INFOPRO_STAR[n, modules, dataset])


def _counts(n: int, last: str) -> list[int]:
    """The units of each module of ResNet-n, from the last block of every module but the last."""
    m = (n - 2) // 6
    blocks = [[int(number) for number in block.split(".")] for block in last.split()]
    edges = [-1, *((stage > 0) * (1 + (stage - 1) * m + block) for stage, block in blocks), 3 * m]
    return [above - below for below, above in pairwise(edges)]


def auglocal(n: int, depth: int) -> list[int]:
    """AugLocal's split of ResNet-n: single units, and the last module of depth + 1; its "K" less `depth` modules.

    Raises: UserError for a depth that leaves fewer than two modules.
    """
    units = (n - 2) // 2 + 1
    if not 1 <= depth <= units - 2:
        raise UserError(f"auglocal:{depth} met ResNet-{n}, which has {units} units: the depth is 1 to {units - 2}.")
    return [1] * (units - depth - 1) + [depth + 1]


PUBLISHED = ("infopro", "infopro-star", "auglocal")


def published(text: str, net: str) -> list[int]:
    """The units of each module for "infopro:K", "infopro-star:K[:stl10]" or "auglocal:DEPTH" on the network `net`.

    Raises: UserError for other text, and for a network or K without such a split.
    """
    name, *details = text.split(":")
    if name not in PUBLISHED:
        hint = nearest(name, PUBLISHED)
        raise UserError(
            f"modules {text!r} is no way to cut{hint} Give K, unit counts as 3,3,2, or infopro:K, infopro-star:K or "
            "auglocal:DEPTH."
        )
    most = 2 if name == "infopro-star" else 1
    if not details or not details[0].isdecimal() or len(details) > most:
        number = "the depth" if name == "auglocal" else "into how many"
        raise UserError(f"modules {text!r}: say {number}, as in {name}:{2 if name == 'auglocal' else 4}.")
    depth = re.fullmatch(r"resnet(\d+)", net)
    if not depth:
        tables = {"infopro": {n for n, _ in INFOPRO}, "infopro-star": {n for n, _, _ in INFOPRO_STAR}}
        known = ", ".join(sorted(f"resnet{n}" for n in tables.get(name, ()))) or "ResNet-n, n = 6m + 2"
        raise UserError(f"modules {text!r} met {net}: that split is of {known}. Give K, or unit counts as 3,3,2.")
    n, modules = int(depth[1]), int(details[0])
    if name == "auglocal":
        return auglocal(n, modules)
    return infopro(n, modules) if name == "infopro" else infopro_star(n, modules, *details[1:])


class Split:
    """`split(units, modules)`: the units as consecutive modules. Its methods return the number of units of each.

    Raises: UserError where the numbers do not fit.
    """

    sizes = staticmethod(sizes)
    balanced = staticmethod(balanced)
    infopro = staticmethod(infopro)
    infopro_star = staticmethod(infopro_star)
    auglocal = staticmethod(auglocal)
    published = staticmethod(published)

    def __call__(self, units: Sequence[T], modules: Modules, net: str = "a network without a name") -> list[list[T]]:
        """The units as consecutive modules: evenly into K, with the given number in each, or by a published split.

        A published split, as "infopro:16", is of a network: `net` is its name.

        Raises: UserError where the numbers do not fit, and where `net` has no such split.
        """
        counts = self._counts(len(units), modules, net)
        if any(n < 1 for n in counts) or sum(counts) != len(units):
            raise UserError(
                f"modules of {counts} units hold {sum(counts)} together, the network has {len(units)}, each at least 1."
            )
        edges = [0]
        for n in counts:
            edges.append(edges[-1] + n)
        return [list(units[first:last]) for first, last in pairwise(edges)]

    @staticmethod
    def _counts(units: int, modules: Modules, net: str) -> list[int]:
        if isinstance(modules, str):
            return published(modules, net)
        try:
            if isinstance(modules, bool):
                raise TypeError
            if isinstance(modules, Sequence):
                return [index(n) for n in cast("Sequence[int]", modules)]
            return sizes(units, index(modules))
        except TypeError:
            raise UserError(
                f"modules = {modules!r}: give K, unit counts as [3, 3, 2], or a published split as 'infopro:4'."
            ) from None


split = Split()
