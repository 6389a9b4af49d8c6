"""Five tables say what a run does: [rule], [net], [data], [optim], [run]. A key has a type, a range and a default."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Positive = Annotated[int, Meta(ge=1)]
FilePath = Annotated[str, Meta(description="a path", extra={"kept": "absolute"})]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[rule]: the rule's name; every other key of the table is one of that rule's own options.

    `sha256` is that of the file of a rule of one's own, as it was when the run began.
    """

    name: str = "backlink"
    options: dict[str, Any] = {}
    sha256: str | None = None


class Net(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[net]: which network, and how it is cut: `modules` is the number K of modules, a list of unit counts, or a
    published split, "infopro:K" or "infopro-star:K".

    Without a word, `shortcut` and `init` are the network's own: "B" and "infopro" for a resnet. `fc_norm` puts batch
    norm into hidden fully connected layers of vgg16 and alexnet. `weights` names what to start from: a run's folder, a
    checkpoint, or an .npz of arrays by parameter name.
    """

    name: str = "resnet20"
    shortcut: str | None = None
    init: str | None = None
    fc_norm: bool | None = None
    modules: Annotated[
        Positive | Annotated[list[Positive], Meta(min_length=1)] | str,
        Meta(description="K, unit counts as 3,3,2, or a published split as infopro:16"),
    ] = 4
    weights: FilePath | None = None


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[data]: which images, where they lie, and how many of them.

    `augment` true: crops and mirrors, as the data set allows, padded with black; "reflect": padded by reflection.
    """

    name: str = "digits"
    dir: FilePath | None = None
    download: bool = True
    limit_train: Positive | None = None
    limit_test: Positive | None = None
    validation: Annotated[int, Meta(ge=0)] = 0
    augment: bool | Literal["reflect"] = False


class Optim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[optim]: the optimiser, its learning rate over time, and how long. Without a word, SGD's momentum is 0.9."""

    name: Literal["sgd", "adam"] = "sgd"
    lr: Annotated[float, Meta(gt=0, lt=1e9)] = 0.1
    schedule: str = "cosine"
    momentum: Annotated[float, Meta(ge=0, lt=1)] | None = None
    nesterov: bool = False
    weight_decay: Annotated[float, Meta(ge=0, lt=1e9)] = 1e-4
    batch_size: Positive = 128
    epochs: Positive = 10


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[run]: chance, where it runs, and where it is recorded. `threads` 0 is every core.

    On a GPU: `tf32` lets products round their factors to 10 bits; `cuda_graph` records whole steps where that can be.
    """

    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    device: str = "cpu"
    dtype: Literal["float32", "float64"] = "float32"
    tf32: bool = False
    cuda_graph: bool = True
    threads: Annotated[int, Meta(ge=0)] = 0
    processes: Positive = 1
    out: str | None = None


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a run does, checked."""

    rule: Rule = Rule()
    net: Net = Net()
    data: Data = Data()
    optim: Optim = Optim()
    run: Run = Run()


TABLES: dict[str, type[msgspec.Struct]] = {"rule": Rule, "net": Net, "data": Data, "optim": Optim, "run": Run}


def tables_of(config: Config) -> dict[str, dict[str, Any]]:
    """The five tables as plain values, as config.json and a TOML file hold them."""
    tables = msgspec.to_builtins(config)
    rule = tables["rule"]
    sealed = {} if rule["sha256"] is None else {"sha256": rule["sha256"]}
    return {**tables, "rule": {"name": rule["name"], **sealed, **rule["options"]}}
