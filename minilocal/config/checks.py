"""Whether what the five tables ask for exists and fits together, said with the key and where it was asked."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from minilocal import data, nets, optim, rules
from minilocal.config.schema import Config, Rule
from minilocal.errors import UserError, nearest, unknown
from minilocal.split import published


def check(config: Config, source: Callable[[str], str] = lambda key: "") -> Config:
    """`config` with every default written out, once each name in it is known and it all fits together."""
    rule, o, run = config.rule, config.optim, config.run
    with _named(f"rule.name{source('rule.name')}"):
        known = _plain(rules.options(rule.name))
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
    if not rules.from_file.is_own(rule.name):
        if rule.sha256 is not None:
            raise UserError(f"rule.sha256{source('rule.sha256')} is of a rule in a file: {rule.name} is in none.")
        return None
    now = rules.from_file.fingerprint(rule.name)
    if rule.sha256 not in (None, now):
        warnings.warn(f"{rule.name} has changed since this run began: it is used as it is now.", stacklevel=2)
    return rule.sha256 or now


def _plain(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that config.json can hold, as it holds them; any other is left to the rule, which is one's own."""
    return {
        key: list(default) if isinstance(default, tuple) else default
        for key, default in defaults.items()
        if _is_plain(default)
    }


def _is_plain(value: Any) -> bool:
    several = isinstance(value, (list, tuple)) and all(map(_is_plain, value))
    return several or value is None or isinstance(value, (bool, int, float, str))


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
