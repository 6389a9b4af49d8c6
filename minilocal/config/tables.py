"""Five tables say what a run does: [rule], [net], [data], [optim], [run]. A key has a type, a range and a default."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from minilocal import data, nets, optim, rules
from minilocal.errors import UserError, nearest, unknown
from minilocal.split import published

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


def check(config: Config, source: Callable[[str], str] = lambda key: "") -> Config:
    """`config` with every default written out, once each name in it is known and it all fits together."""
    rule, o, run = config.rule, config.optim, config.run
    with _named(f"rule.name{source('rule.name')}"):
        known = {key: value for key, value in rules.options(rule.name).items() if _is_plain(value)}
    for option in rule.options:
        if option not in known:
            hint = nearest(option, known)
            options = ", ".join(known) or "none"
            raise UserError(
                f"rule.{option}{source(f'rule.{option}')}: {rule.name} has no such option{hint} It has {options}."
            )
    _try(rule, source)
    if config.net.name not in nets.NAMES and not re.fullmatch(r"resnet\d+|wrn\d+-\d+", config.net.name):
        raise unknown("net.name" + source("net.name"), config.net.name, nets.NAMES, more=nets.MORE)
    if isinstance(config.net.modules, str):
        with _named(f"net.modules = {config.net.modules!r}{source('net.modules')}"):
            published(config.net.modules, config.net.name)
    with _named(f"data.name{source('data.name')}"):
        data.check_name(config.data.name)
    with _named(f"optim.schedule = {o.schedule!r}{source('optim.schedule')}"):
        optim.schedule(o.schedule, o.lr, o.epochs)
    if o.name == "adam" and (o.momentum is not None or o.nesterov):
        key = "optim.momentum" if o.momentum is not None else "optim.nesterov"
        raise UserError(f"{key}{source(key)} is SGD's: Adam has none. Leave it out, or use optim.name=sgd.")
    if o.name == "sgd" and o.momentum is None:
        o = msgspec.structs.replace(o, momentum=0.9)
    if run.tf32 and (run.device == "cpu" or run.dtype == "float64"):
        met = "the CPU" if run.device == "cpu" else "float64"
        raise UserError(f"run.tf32{source('run.tf32')} met {met}: it is for float32 products on a GPU. Leave it out.")
    if run.processes != 1:
        raise UserError(f"run.processes = {run.processes}{source('run.processes')}: this version trains in 1 process.")
    rule = Rule(rule.name, {**known, **rule.options}, _sealed(rule, source))
    return msgspec.structs.replace(config, rule=rule, optim=o)


def _sealed(rule: Rule, source: Callable[[str], str]) -> str | None:
    """The fingerprint of a rule's own file: that of the run's beginning, with a warning where it is another now."""
    if not rules.own.is_own(rule.name):
        if rule.sha256 is not None:
            raise UserError(f"rule.sha256{source('rule.sha256')} is of a rule in a file: {rule.name} is in none.")
        return None
    now = rules.own.fingerprint(rule.name)
    if rule.sha256 not in (None, now):
        warnings.warn(f"{rule.name} has changed since this run began: it is used as it is now.", stacklevel=2)
    return rule.sha256 or now


def _is_plain(value: Any) -> bool:
    """Whether config.json can hold a default of one's own rule; any other is left to that rule."""
    return value is None or isinstance(value, (bool, int, float, str, list, tuple))


def _try(rule: Rule, source: Callable[[str], str]) -> None:
    """Builds the rule, and names the options without any one of which it could be built where it cannot.

    Raises: UserError.
    """
    try:
        rules.get(rule.name, **rule.options)
    except UserError as error:
        guilty = [option for option in rule.options if _fits(rule, option)] or list(rule.options)
        named = ", ".join(f"rule.{key} = {rule.options[key]!r}{source(f'rule.{key}')}" for key in guilty)
        raise UserError(f"{named}: {error}" if named else str(error)) from None


def _fits(rule: Rule, without: str) -> bool:
    try:
        rules.get(rule.name, **{key: value for key, value in rule.options.items() if key != without})
    except UserError:
        return False
    return True


@contextmanager
def _named(key: str) -> Iterator[None]:
    """A UserError raised inside begins with the key that is at fault."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{key}: {error}") from None


def tables_of(config: Config) -> dict[str, dict[str, Any]]:
    """The five tables as plain values, as config.json and a TOML file hold them."""
    tables = msgspec.to_builtins(config)
    rule = tables["rule"]
    sealed = {} if rule["sha256"] is None else {"sha256": rule["sha256"]}
    return {**tables, "rule": {"name": rule["name"], **sealed, **rule["options"]}}
