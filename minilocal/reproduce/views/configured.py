"""The network of a cell, from its configuration alone, and the words of a cell inside a figure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from minilocal import nets, streams
from minilocal.config import Config
from minilocal.nets import Net
from minilocal.published.keys import DATA, MODULES, NET, words_of
from minilocal.reproduce.buildable import images
from minilocal.reproduce.results import Result
from minilocal.split import published, split


def network(config: Config) -> Net:
    """The network, for images of the size of its data set."""
    n, (size, channels, classes) = config.net, images(config)
    return nets.get(
        n.name, classes=classes, channels=channels, size=size, rng=streams.rng(0), shortcut=n.shortcut, init=n.init,
        fc_norm=n.fc_norm,
    )  # fmt: skip


def cut(config: Config, net: Net) -> list[int]:
    """The number of units of each module."""
    return [len(units) for units in split(net.units, config.net.modules, net.name)]


def number_of_modules(config: Config) -> int:
    """K."""
    modules = config.net.modules
    if isinstance(modules, str):
        return len(published(modules, config.net.name))
    return modules if isinstance(modules, int) else len(modules)


def by_network(results: Iterable[Result]) -> dict[tuple[str, str], list[Result]]:
    """The results under the network and the data set that they were trained with: ("ResNet-32", "digits")."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault(place(result.planned.config), []).append(result)
    return groups


def by_panel(results: Iterable[Result]) -> dict[tuple[str, str], list[Result]]:
    """The results under the paper's network and data set, whatever the scale trains: ("ResNet-32", "CIFAR-10")."""
    panels: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        panels.setdefault(place(result.planned.full), []).append(result)
    return panels


def place(config: Config) -> tuple[str, str]:
    """("ResNet-32", "CIFAR-10")"""
    return words_of(NET, config.net.name), words_of(DATA, config.data.name)


def label(result: Result, *without: str) -> str:
    """The row and the column of a cell in words, but for its network, its data set and the words in `without`."""
    left_out = {*place(result.planned.full), *without} | ({"K = 1"} if modules(result) is None else set())
    words = [*result.cell.row.split(", "), *filter(None, [result.cell.column])]
    return ", ".join(word for word in words if word not in left_out)


def by_modules(results: Iterable[Result]) -> dict[str, list[Result]]:
    """The results of each K, under "K = 4"; BP, which has no modules, is among those of every K."""
    results = list(results)
    number = {result.cell.name: modules(result) for result in results}
    known = sorted({K for K in number.values() if K is not None})
    if not known:
        return {"": results}
    return {f"K = {K}": [r for r in results if number[r.cell.name] in (K, None)] for K in known}


def panels(results: Iterable[Result]) -> list[tuple[str, str, list[Result]]]:
    """(title, "K = 4", results) of each network with its data set and each K: what one figure shows."""
    return [
        (heading(place, K), K, members)
        for place, group in by_network(results).items()
        for K, members in by_modules(group).items()
    ]


def modules(result: Result) -> int | None:
    """K; None for BP, where it is not cut into modules either."""
    config = result.planned.config
    if config.rule.name == "bp" and MODULES not in result.cell.keys:
        return None
    return number_of_modules(config)


def in_order(results: Iterable[Result]) -> list[str]:
    """The columns of these cells, each once."""
    return list(dict.fromkeys(result.cell.column for result in results if result.cell.column))


def heading(place: tuple[str, str], K: str) -> str:
    """`ResNet-32 on CIFAR-10 (K = 4)`"""
    return " on ".join(place) + f" ({K})" * bool(K)


def file_name(*words: str) -> str:
    """`error-resnet-32-k-4`: a figure's name from words."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(filter(None, words)).lower()).strip("-")
