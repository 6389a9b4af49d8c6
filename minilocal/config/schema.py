"""The five tables of a configuration: [rule], [net], [data], [optim], [run]. A key has a type, a range, a default.

The Args of a table say what its keys mean, where no flag of `minilocal train` does.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Positive = Annotated[int, Meta(ge=1)]
FilePath = Annotated[str, Meta(description="a path", extra={"kept": "absolute"})]


class RuleTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[rule]: the rule's name; every other key of the table is one of that rule's own options.

    Args:
        name: the rule: one of `minilocal.rules.NAMES`, compose, or FILE.py:NAME for one of your own.
        sha256: the fingerprint that the file of a user's own rule had when the run began; a run writes it.
    """

    name: str = "backlink"
    options: dict[str, Any] = {}
    sha256: str | None = None


class NetTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[net]: which network, and how it is cut.

    Args:
        name: the network, one of `minilocal.nets.NAMES`; any resnetN with N = 6m + 2, any wrnD-W with D = 6m + 4.
        modules: the number K of modules, a list of unit counts, or a published split, "infopro:K", "infopro-star:K" or
            "auglocal:DEPTH".
        balance: time, memory or flops: K modules are cut so that the largest costs least. A run records the unit
            counts in its place.
        shortcut: where a block of a ResNet changes the shape: B (1×1 convolution and norm), A-both or A-end (zeros);
            by default B.
        init: how weights begin, one of `minilocal.layers.SCHEMES`; by default the network's own.
        fc_norm: batch norm in the hidden fully connected layers of vgg16 and alexnet, which have none by default.
        weights: initial weights: a run's folder, a checkpoint, an exported file, or an .npz of arrays by parameter
            name.
    """

    name: str = "resnet20"
    shortcut: str | None = None
    init: str | None = None
    fc_norm: bool | None = None
    modules: Annotated[
        Positive | Annotated[list[Positive], Meta(min_length=1)] | str,
        Meta(description="K, unit counts as 3,3,2, or a published split as infopro:16"),
    ] = 4
    balance: Annotated[str, Meta(description="time, memory or flops")] | None = None
    weights: FilePath | None = None


class DataTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[data]: which images, in which folder, and how many of them.

    Args:
        download: whether missing files may be fetched.
        validation: the number of training images that are split off, class-balanced, to choose by.
        augment: random crops and mirrors, as the data set allows: true pads with black, "reflect" by reflection.
    """

    name: str = "digits"
    dir: FilePath | None = None
    download: bool = True
    limit_train: Positive | None = None
    limit_test: Positive | None = None
    validation: Annotated[int, Meta(ge=0)] = 0
    augment: bool | Literal["reflect"] = False


class OptimTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[optim]: the optimiser, its learning rate over time, and how long.

    Args:
        name: the optimiser.
        momentum: SGD's momentum μ; by default 0.9.
        nesterov: whether SGD's momentum is Nesterov's.
    """

    name: Literal["sgd", "adam"] = "sgd"
    lr: Annotated[float, Meta(gt=0, lt=1e9)] = 0.1
    schedule: str = "cosine"
    momentum: Annotated[float, Meta(ge=0, lt=1)] | None = None
    nesterov: bool = False
    weight_decay: Annotated[float, Meta(ge=0, lt=1e9)] = 1e-4
    batch_size: Positive = 128
    epochs: Positive = 10


class RunTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[run]: random seed, device, and output folder.

    Args:
        kernels: which fast forms run on the CPU, `minilocal.use_kernels`. A run records what "auto" became.
        cuda_graph: on a GPU, whether whole steps are recorded as CUDA graphs, where that is possible.
        convergence: the number of an epoch's batches over which σ and the norm ratio are measured after it; 0 is none.
        probes: whether a linear classifier is trained on each module's output after the last epoch
            (`minilocal.linear_probes`).
    """

    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    device: str = "cpu"
    dtype: Literal["float32", "float64"] = "float32"
    tf32: bool = False
    cuda_graph: bool = True
    threads: Annotated[int, Meta(ge=0)] = 0
    kernels: Literal["numpy", "numba", "auto"] = "numpy"
    processes: Positive = 1
    convergence: Annotated[int, Meta(ge=0)] = 0
    probes: bool = False
    out: str | None = None


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The configuration of a run, with checked values."""

    rule: RuleTable = RuleTable()
    net: NetTable = NetTable()
    data: DataTable = DataTable()
    optim: OptimTable = OptimTable()
    run: RunTable = RunTable()


TABLES: dict[str, type[msgspec.Struct]] = {
    "rule": RuleTable,
    "net": NetTable,
    "data": DataTable,
    "optim": OptimTable,
    "run": RunTable,
}


def tables_of(config: Config) -> dict[str, dict[str, Any]]:
    """The five tables as plain values, as config.json and a TOML file hold them."""
    tables = msgspec.to_builtins(config)
    rule = tables["rule"]
    fingerprint = {} if rule["sha256"] is None else {"sha256": rule["sha256"]}
    return {**tables, "rule": {"name": rule["name"], **fingerprint, **rule["options"]}}
