"""Build what a configuration describes: the data set, the Learner, the optimiser, the learning-rate schedule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from minilocal import data, nets, optim, rules, streams
from minilocal.config import Config
from minilocal.data import DataSet
from minilocal.device import device_namespace, use_tf32
from minilocal.learner import Learner


def build(config: Config) -> tuple[DataSet, Learner]:
    """The data set and the untrained Learner.

    Raises: UserError for a missing device, for data that are missing or damaged, and for a network that does not fit
    them, or its number of modules.
    """
    xp = device_namespace(config.run.device)  # before data are fetched: it raises where the GPU is missing
    if config.run.device != "cpu":
        use_tf32(xp, config.run.tf32)
    dataset = dataset_of(config)
    constants = {"mean": dataset.mean, "std": dataset.std}
    return dataset, learner_of(config, len(dataset.classes), dataset.channels, dataset.size, constants)


def dataset_of(config: Config) -> DataSet:
    """The data set that [data] describes. The run's seed names its random subsets."""
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
    config: Config, classes: int, channels: int, size: int, constants: dict[str, Any] | None = None
) -> Learner:
    """The untrained Learner for images of `size`×`size`×`channels`.

    `constants` are the data set's mean and std. An objective that takes them (InfoPro, which rebuilds images) and has
    none of its own gets them.
    """
    rng = streams.rng(config.run.seed)
    n = config.net
    net = nets.get(
        n.name, classes=classes, channels=channels, size=size, rng=rng, shortcut=n.shortcut, init=n.init,
        fc_norm=n.fc_norm,
    )  # fmt: skip
    rule = _with_constants(rules.get(config.rule.name, **config.rule.options), constants or {})
    run = config.run
    return Learner(
        net, rule, modules=n.modules, rng=rng, device=run.device, dtype=run.dtype, optimizer=optimizer(config),
        cuda_graph=run.cuda_graph,
    )  # fmt: skip


def _with_constants(rule: rules.Rule, constants: dict[str, Any]) -> rules.Rule:
    """The rule, with these constants in the fields of its objective that are None."""
    objective: Any = rule.objective
    missing = {key: value for key, value in constants.items() if getattr(objective, key, value) is None}
    return replace(rule, objective=replace(objective, **missing)) if missing else rule


def optimizer(config: Config) -> optim.Optimizer:
    """The optimiser that [optim] describes."""
    o = config.optim
    if o.name == "adam":
        return optim.Adam(weight_decay=o.weight_decay)
    return optim.SGD(momentum=o.momentum or 0.0, weight_decay=o.weight_decay, nesterov=o.nesterov)


def schedule(config: Config) -> optim.Schedule:
    """The learning rate over the run's epochs."""
    return optim.schedule(config.optim.schedule, config.optim.lr, config.optim.epochs)
