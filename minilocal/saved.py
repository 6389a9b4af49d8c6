"""A Learner in one file: its arrays, and as JSON what it was built from.

    learner.json             the network, the rule, the optimiser, the modules' sizes
    array:...  optim:...  flight:...  count:...    the entries of `Learner.state()`

The package's networks, rules and optimisers are frozen recipes: a name and options describe them. One of your own has
no such description, and has to be given again to `load`. Nothing that is read is executed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from operator import index
from pathlib import Path
from typing import Any

import numpy as np

from minilocal import boundaries, objectives, optim, streams
from minilocal.errors import UserError, check_file, path_of
from minilocal.learner import Learner
from minilocal.nets import Net
from minilocal.nets.recipe import from_recipe, matches_recipe
from minilocal.optim import Optimizer
from minilocal.record.exported import ENTRY
from minilocal.record.files import atomic_write, os_errors_explained
from minilocal.record.npz import opened_npz
from minilocal.rules import Rule, when

METADATA, FORMAT = "learner.json", 1
DAMAGED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


def _kinds() -> dict[str, type]:
    """{name in a file: class} of every objective, boundary, when, rule and optimiser of the package."""
    examples = {
        "objective.none": objectives.none(),
        "objective.classifier": objectives.classifier(),
        "objective.predsim": objectives.predsim(),
        "objective.infopro": objectives.infopro(),
        "objective.augmented": objectives.augmented(),
        "objective.hpff": objectives.hpff(),
        "boundary.open": boundaries.open(),
        "boundary.closed": boundaries.closed(),
        "boundary.link": boundaries.link(),
        "boundary.reach": boundaries.reach(),
        "boundary.cascade": boundaries.cascade(),
        "boundary.weights": boundaries.weights(),
        "boundary.delayed": boundaries.delayed(),
        "boundary.synthetic_gradient": boundaries.synthetic_gradient(),
        "context": boundaries.context(),
        "when.always": when.always(),
        "when.asynchronous": when.asynchronous(),
        "when.periodic": when.periodic(),
    }
    others = {"rule": Rule, "recommended": boundaries.Recommended, "sgd": optim.SGD, "adam": optim.Adam}
    return {name: type(example) for name, example in examples.items()} | others


KINDS = _kinds()

# {name in files of earlier versions: name}; those files load too.
EARLIER: dict[str, str] = {
    "wants": "objective", "wants.nothing": "objective.none", "wants.classifier": "objective.classifier",
    "wants.predsim": "objective.predsim", "wants.infopro": "objective.infopro", "crosses": "boundary",
    "crosses.all": "boundary.open", "crosses.nothing": "boundary.closed", "crosses.link": "boundary.link",
    "crosses.late": "boundary.delayed", "crosses.guess": "boundary.synthetic_gradient", "up": "activations",
    "down": "errors", "when.drawn": "when.asynchronous",
}  # fmt: skip


class NotOfThePackage(Exception):
    """A class that KINDS does not hold, so a file cannot name it."""


def to_json(value: Any) -> Any:
    """A rule, an optimiser, or a recipe of a network, in JSON's types.

    Raises: NotOfThePackage.
    """
    for name, kind in KINDS.items():
        if type(value) is kind:
            options = fields(value) if is_dataclass(value) else ()
            return {"is": name, **{f.name: to_json(getattr(value, f.name)) for f in options if f.init}}
    if value is None or isinstance(value, (bool, str, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [to_json(part) for part in value]
    if isinstance(value, dict):
        return {name: to_json(part) for name, part in value.items()}
    try:
        return index(value)
    except TypeError:
        raise NotOfThePackage from None


def from_json(content: Any) -> Any:
    """The value that `to_json` describes so, by the names of an earlier version too."""
    if isinstance(content, dict) and "is" in content:
        options = {_current(name): from_json(part) for name, part in content.items() if name != "is"}
        return KINDS[_current(content["is"])](**options)
    if isinstance(content, dict):
        return {name: from_json(part) for name, part in content.items()}
    return tuple(map(from_json, content)) if isinstance(content, list) else content


def _current(name: str) -> str:
    return EARLIER.get(name, name)


def _described(value: Any) -> Any:
    """`to_json(value)`; None for one of the user's own."""
    try:
        return to_json(value)
    except NotOfThePackage:
        return None


def save(learner: Learner, path: str | Path, state: Mapping[str, np.ndarray] | None = None) -> None:
    """`Learner.save`, of a `Learner.state()` that has been asked for already."""
    path = path_of("path", path)
    state = learner.state() if state is None else state
    metadata = {
        "format": FORMAT,
        "net": _described(learner.net.recipe) if matches_recipe(learner.net) else None,
        "rule": _described(learner.rule),
        "optimizer": _described(learner.optimizer),
        "names": [learner.net.name, learner.rule.name, type(learner.optimizer).__name__],
        "modules": [len(m.units) for m in learner.modules],
        "dtype": learner.dtype,
    }
    with atomic_write(path) as file:
        np.savez(file, **{METADATA: np.array(json.dumps(metadata))}, **state)  # type: ignore[arg-type]


def load(
    path: str | Path,
    *,
    net: Net | None = None,
    rule: Rule | None = None,
    optimizer: Optimizer | None = None,
    device: Any = "cpu",
) -> Learner:
    """The Learner that `learner.save(path)` wrote; training continues bit for bit on the CPU.

    A network, rule or optimiser of your own is not in the file: give it, built as it was.

    Raises: UserError for a file that is missing, damaged or another program's, for one of your own that is missing,
    and for one that does not fit the arrays.
    """
    metadata, state = _read(path_of("path", path))
    try:
        parts = [_part(metadata, i, own) for i, own in enumerate((net, rule, optimizer))]
        sizes, dtype = [index(n) for n in metadata["modules"]], str(metadata["dtype"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except DAMAGED as error:
        raise UserError(f"{path} is damaged, or a newer minilocal wrote it ({error}).") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were shown when the Learner was built first
        learner = Learner(parts[0], parts[1], sizes, rng=streams.rng(0), device=device, dtype=dtype, optimizer=parts[2])
    try:
        learner.restore(state)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return learner


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The metadata and the arrays in a file."""
    check_file(path)
    with os_errors_explained(path):
        if path.is_dir():
            raise UserError(f"{path} is a folder: of a run, minilocal.train.load(path) makes a Learner.")
        if not path.exists():
            raise UserError(f"{path} does not exist: write it with learner.save(path).")
    try:
        with opened_npz(path) as file:
            state = {name: file[name] for name in file.files}
    except DAMAGED as error:
        raise UserError(f"{path} is damaged, or no file of learner.save ({str(error).partition('. ')[0]}).") from None
    if ENTRY in state:
        raise UserError(f"{path} is an exported run: minilocal.train.load(path) makes a Learner of it.")
    if METADATA not in state:
        raise UserError(f"{path} was not written by learner.save: it has no {METADATA!r}.")
    try:
        metadata = json.loads(str(state.pop(METADATA)))
        version = metadata["format"]
    except DAMAGED as error:
        raise UserError(f"{path} is damaged ({error}).") from None
    if version != FORMAT:
        raise UserError(f"{path} is of format {version}, and this minilocal reads {FORMAT}: use the one that wrote it.")
    return metadata, state


def _part(metadata: dict[str, Any], i: int, own: Any) -> Any:
    """The network, rule or optimiser: the user's own where it is given, or else the one that the file describes."""
    what = ("net", "rule", "optimizer")[i]
    if own is not None:
        return own
    if metadata[what] is None:
        name = metadata["names"][i]
        raise UserError(f"its {what} {name!r} is not as the package builds one: give it, load(path, {what}=...).")
    return from_recipe(metadata["net"]) if what == "net" else from_json(metadata[what])
