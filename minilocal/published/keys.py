"""A printed row as keys of a configuration: the papers' words for data sets, networks, methods and settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

DATA, NET, MODULES, RULE, AUX = "data.name", "net.name", "net.modules", "rule.name", "rule.aux"
LENGTH, ALPHA, VERSION = "rule.length", "rule.alpha", "rule.version"
DATASETS = {
    "CIFAR-10": "cifar10", "CIFAR-100": "cifar100", "SVHN": "svhn", "STL-10": "stl10",
    "CIFAR-10-LT (ratio 1.3)": "cifar10-lt",
}  # fmt: skip
NETWORKS = {
    "AlexNet": "alexnet", "VGG16": "vgg16", "ResNet-18": "resnet18", "ResNet-20": "resnet20", "ResNet-32": "resnet32",
    "ResNet-56": "resnet56", "ResNet-110": "resnet110", "ResNet-1202": "resnet1202", "WRN-28-10": "wrn28-10",
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {  # α is "optimized" and not given: 0.5 is the middle of the grid that is printed
    "BP": {RULE: "bp"}, "GLL": {RULE: "gll"}, "Greedy SL": {RULE: "gll"}, "BackLink": {RULE: "backlink", ALPHA: 0.5},
    "DGL": {RULE: "dgl"}, "InfoPro": {RULE: "infopro", VERSION: "softmax"},
    "InfoPro (Softmax)": {RULE: "infopro", VERSION: "softmax"},
    "InfoPro (Contrast)": {RULE: "infopro", VERSION: "contrast"},
    "PGL": {RULE: "pgl"}, "DDG": {RULE: "ddg"}, "FDG": {RULE: "fdg"},
}  # fmt: skip
AUXILIARY = {
    "linear": "0c1f", "conv": "1c2f", "1Conv-2FC": "1c2f", "2Conv-2FC": "2c2f", "AUX-ADAPT": "aux-adapt",
    "1Conv-2FC + decoder": "1c2f", "0c1f (GAP + linear)": "0c1f", "1c2f + decoder": "1c2f",
}  # fmt: skip
SETTINGS = {"P": "rule.period", "Q": "rule.duration", "beta": "rule.beta"}


def method_of(row: Mapping[str, str]) -> str:
    """The method of a row, without "(quoted)" and "(re-run)"."""
    return re.sub(r" \((quoted|re-run)\)$", "", row["method"])


def keys_of(row: Mapping[str, str]) -> dict[str, Any] | None:
    """The keys that a row of a table of errors names; None for a method, network or data set that is not offered.

    BP has neither modules nor auxiliary networks, whatever its table.
    """
    method = method_of(row)
    if method not in METHODS or row["network"] not in NETWORKS or row["dataset"] not in DATASETS:
        return None
    keys = {DATA: DATASETS[row["dataset"]], NET: NETWORKS[row["network"]], **METHODS[method]}
    if method == "BP":
        return keys
    keys[MODULES] = int(row["K"])
    if method == "BackLink":
        keys[LENGTH] = int(row["l"])
    if row["aux"] in AUXILIARY:
        keys[AUX] = AUXILIARY[row["aux"]]
    printed = dict(part.split("=") for part in row["setting"].split(";") if "=" in part)
    return keys | {SETTINGS[name]: _number(text) for name, text in printed.items() if name in SETTINGS}


def network_of(row: Mapping[str, str]) -> dict[str, Any]:
    """The keys of a row that is about a network, whatever trains it; the words themselves where they are not known."""
    data, network = row["dataset"], row["network"]
    return {DATA: DATASETS.get(data, data), NET: NETWORKS.get(network, network)}


def words_of(key: str, value: Any) -> str:
    """A data set or a network as the papers write it; any other value as text."""
    words = {DATA: DATASETS, NET: NETWORKS}.get(key, {})
    return next((word.partition(" (")[0] for word, name in words.items() if name == value), str(value))


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)
