"""Build what a configuration describes: the data set, the Learner, the optimiser, the learning-rate schedule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from minilocal import costs, data, nets, optim, rules, streams
from minilocal.config import Config, from_tables, tables_of
from minilocal.data import DataSet
from minilocal.device import device_namespace, on_device, use_tf32
from minilocal.learner import Learner
from minilocal.nets import Net
from minilocal.nets.net import Size


def build(config: Config, kind: type[Learner] = Learner, **options: Any) -> tuple[DataSet, Learner]:
    """The data set and the untrained Learner; `kind` and `options` as in `learner_of`.

    Raises: UserError for a missing device, for data that are missing or damaged, and for a network that does not fit
    them, or its number of modules.
    """
    _prepare_device(options.get("device", config.run.device), config.run.tf32)
    dataset = dataset_of(config)
    config, _ = cut(config, dataset)
    constants = {"mean": dataset.mean, "std": dataset.std}
    return dataset, learner_of(config, len(dataset.classes), dataset.channels, dataset.size, constants, kind, **options)


def dataset_of(config: Config) -> DataSet:
    """The data set that [data] describes. The run's seed names its random subsets.

    Raises: UserError for data that are missing or damaged, and numbers that do not fit them.
    """
    d = config.data
    dataset = data.load(
        d.name,
        dir=d.dir,
        download=d.download,
        limit_train=d.limit_train,
        limit_test=d.limit_test,
        validation=d.validation,
        seed=config.run.seed,
    )
    return replace(dataset, pad_mode="reflect") if d.augment == "reflect" else dataset


def learner_of(
    config: Config,
    classes: int,
    channels: int,
    size: Size,
    constants: dict[str, Any] | None = None,
    kind: type[Learner] = Learner,
    **options: Any,
) -> Learner:
    """The untrained Learner for images of this size and channels.

    `kind` is its class, and `options` are where it runs: the device and whether steps are recorded, by default.

    `constants` are the data set's mean and std. An objective that takes them (InfoPro, which rebuilds images) and has
    none of its own gets them.
    """
    rng = streams.rng(config.run.seed)
    net, rule = _net(config, classes, channels, size, rng), _rule(config, constants or {})
    options = options or {"device": config.run.device, "cuda_graph": config.run.cuda_graph}
    modules, dtype = config.net.modules, config.run.dtype
    return kind(net, rule, modules=modules, rng=rng, dtype=dtype, optimizer=optimizer(config), **options)


def cut(config: Config, dataset: DataSet | None = None) -> tuple[Config, dict[str, Any]]:
    """`config` with unit counts in place of a balance, and its entry in environment.json; {} without a balance.

    The entry has the measure, the unit counts and the costs of the modules. `dataset` is the configuration's, where it
    has been loaded.

    Raises: UserError where the network does not fit the images or has fewer units than modules.
    """
    by, modules, run = config.net.balance, config.net.modules, config.run
    if by is None:
        return config, {}
    assert isinstance(modules, int)
    _prepare_device(run.device, run.tf32)
    dataset = dataset or dataset_of(config)
    net = _net(config, len(dataset.classes), dataset.channels, dataset.size, streams.rng(run.seed))
    rule, images = _rule(config, {"mean": dataset.mean, "std": dataset.std}), config.optim.batch_size
    measured = costs.measure(net, rule, modules, by, images=images, dtype=run.dtype, device=run.device)
    sizes, tables = measured.cut(), tables_of(config)
    tables["net"] |= {"modules": sizes, "balance": None}
    return from_tables(tables, "the run"), {"by": by, "modules": sizes, "costs": measured.of(sizes)}


def _prepare_device(device: str, tf32: bool) -> None:
    """Set the precision of the device's products; before data are fetched, since it raises where the GPU is missing."""
    xp = device_namespace(device)
    if device != "cpu":
        with on_device(device):
            use_tf32(xp, tf32)


def _net(config: Config, classes: int, channels: int, size: Size, rng: np.random.Generator) -> Net:
    """The network that [net] describes, for images of this size and channels."""
    n = config.net
    return nets.get(
        n.name, classes=classes, channels=channels, size=size, rng=rng, shortcut=n.shortcut, init=n.init,
        fc_norm=n.fc_norm,
    )  # fmt: skip


def _rule(config: Config, constants: dict[str, Any]) -> rules.Rule:
    """The rule that [rule] describes, with these constants in the fields of its objective that are None."""
    rule = rules.get(config.rule.name, **config.rule.options)
    objective: Any = rule.objective
    missing = {key: value for key, value in constants.items() if getattr(objective, key, value) is None}
    return replace(rule, objective=replace(objective, **missing)) if missing else rule


def optimizer(config: Config) -> optim.Optimizer:
    """The optimiser that [optim] describes.

    Raises: UserError for numbers that it does not take.
    """
    o = config.optim
    if o.name == "adam":
        return optim.Adam(weight_decay=o.weight_decay)
    return optim.SGD(momentum=o.momentum or 0.0, weight_decay=o.weight_decay, nesterov=o.nesterov)


def schedule(config: Config) -> optim.Schedule:
    """The learning rate over the run's epochs.

    Raises: UserError for a schedule that is unknown or does not fit the run.
    """
    return optim.schedule(config.optim.schedule, config.optim.lr, config.optim.epochs)
