"""Checks that the names in the five tables exist and fit together; errors name the key and its source."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from minilocal import data, nets, optim, rules
from minilocal.config.schema import Config, RuleTable
from minilocal.costs import MEASURES
from minilocal.errors import UserError, nearest, unknown
from minilocal.split import published


def check(config: Config, source: Callable[[str], str] = lambda key: "") -> Config:
    """`config` with every default written out.

    `source(key)` is " (SOURCE)" for keys that were set, for errors.

    Raises: UserError for an unknown name, and values that do not fit together.
    """
    rule, o, run = config.rule, config.optim, config.run
    with _naming(f"rule.name{source('rule.name')}"):
        known = _plain(rules.options(rule.name))
    for option in rule.options:
        if option not in known:
            hint = nearest(option, known)
            options = ", ".join(known) or "none"
            raise UserError(
                f"rule.{option}{source(f'rule.{option}')}: {rule.name} has no such option{hint} It has {options}."
            )
    _check_rule(rule, source)
    if ".py" in config.net.name:
        raise UserError(
            f"net.name = {config.net.name!r}{source('net.name')}: a command takes the package's networks, by name. "
            "Train one of your own in Python: minilocal.fit(minilocal.Learner(net, ...), dataset)."
        )
    if config.net.name not in nets.NAMES and not re.fullmatch(r"resnet\d+|wrn\d+-\d+", config.net.name):
        raise unknown("net.name" + source("net.name"), config.net.name, nets.NAMES, more=nets.MORE)
    with _naming(f"net.name = {config.net.name!r}{source('net.name')}"):
        nets.check_name(config.net.name)
    if isinstance(config.net.modules, str):
        with _naming(f"net.modules = {config.net.modules!r}{source('net.modules')}"):
            published(config.net.modules, config.net.name)
    _check_balance(config, source)
    with _naming(f"data.name{source('data.name')}"):
        data.check_name(config.data.name)
    with _naming(f"optim.schedule = {o.schedule!r}{source('optim.schedule')}"):
        optim.schedule(o.schedule, o.lr, o.epochs)
    if o.name == "adam" and (o.momentum is not None or o.nesterov):
        key = "optim.momentum" if o.momentum is not None else "optim.nesterov"
        raise UserError(f"{key}{source(key)} is SGD's: Adam has none. Leave it out, or use optim.name=sgd.")
    if o.name == "sgd" and o.momentum is None:
        o = msgspec.structs.replace(o, momentum=0.9)
    if run.tf32 and (run.device == "cpu" or run.dtype == "float64"):
        where = "the CPU" if run.device == "cpu" else "float64"
        raise UserError(f"run.tf32{source('run.tf32')} met {where}: it is for float32 products on a GPU. Leave it out.")
    for name, value in (("run.convergence", run.convergence), ("run.probes", run.probes)):
        if value and run.processes > 1:
            raise UserError(
                f"{name} = {value}{source(name)} met run.processes = {run.processes}{source('run.processes')}: it is "
                "measured in one process. Leave one of the two out."
            )
    if (most := _number_of_modules(config.net.modules)) is not None and run.processes > most:
        raise UserError(
            f"run.processes = {run.processes}{source('run.processes')} met net.modules = "
            f"{config.net.modules!r}{source('net.modules')}: a process needs a module, so give at most {most}."
        )
    rule = RuleTable(rule.name, {**known, **rule.options}, _fingerprint(rule, source))
    return msgspec.structs.replace(config, rule=rule, optim=o)


def _check_balance(config: Config, source: Callable[[str], str]) -> None:
    """Check that a balance is by a known measure, and of a number of modules."""
    by, modules = config.net.balance, config.net.modules
    if by is None:
        return
    if by not in MEASURES:
        raise unknown("net.balance" + source("net.balance"), by, MEASURES)
    if not isinstance(modules, int):
        raise UserError(
            f"net.balance = {by!r}{source('net.balance')} met net.modules = {modules!r}{source('net.modules')}, which "
            "is cut already: give modules as a number K, or leave the balance out."
        )


def _number_of_modules(modules: int | list[int] | str) -> int | None:
    """K; None where only the network tells."""
    if isinstance(modules, str):
        number = modules.rpartition(":")[2]
        return int(number) if number.isdecimal() else None
    return modules if isinstance(modules, int) else len(modules)


def _fingerprint(rule: RuleTable, source: Callable[[str], str]) -> str | None:
    """The fingerprint of a rule's file when the run began, with a warning where the file has another now."""
    if not rules.from_file.is_own(rule.name):
        if rule.sha256 is not None:
            raise UserError(f"rule.sha256{source('rule.sha256')} is of a rule in a file: {rule.name} is in none.")
        return None
    now = rules.from_file.fingerprint(rule.name)
    if rule.sha256 not in (None, now):
        warnings.warn(f"{rule.name} has changed since this run began: it is used as it is now.", stacklevel=2)
    return rule.sha256 or now


def _plain(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that config.json can hold, in its types; any other default is left to the user's own rule."""
    return {
        key: list(default) if isinstance(default, tuple) else default
        for key, default in defaults.items()
        if _is_plain(default)
    }


def _is_plain(value: Any) -> bool:
    several = isinstance(value, (list, tuple)) and all(map(_is_plain, value))
    return several or value is None or isinstance(value, (bool, int, float, str))


def _check_rule(rule: RuleTable, source: Callable[[str], str]) -> None:
    """Check that the rule can be built.

    Raises: UserError naming the options without any one of which it could be built.
    """
    try:
        rules.get(rule.name, **rule.options)
    except UserError as error:
        wrong = [option for option in rule.options if _is_valid(rule, without=option)] or list(rule.options)
        keys = ", ".join(f"rule.{key} = {rule.options[key]!r}{source(f'rule.{key}')}" for key in wrong)
        raise UserError(f"{keys}: {error}" if keys else str(error)) from None


def _is_valid(rule: RuleTable, without: str) -> bool:
    try:
        rules.get(rule.name, **{key: value for key, value in rule.options.items() if key != without})
    except UserError:
        return False
    return True


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Put the key in front of a UserError raised inside."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
