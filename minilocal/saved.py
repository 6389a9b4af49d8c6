"""A Learner in one file: its arrays, and in words what it was built with.

    learner.json             the network, the rule, the optimiser, the modules' sizes, as JSON
    array:...  optim:...  flight:...  count:...    the entries of `Learner.state()`

The package's networks, rules and optimisers are frozen recipes, so a name and options say all of them. One of your own
cannot be said so: whoever loads gives it again. Nothing that is read is executed.
"""

from __future__ import annotations

import json
import warnings
import zipfile
import zlib
from dataclasses import fields, is_dataclass
from operator import index
from pathlib import Path
from typing import Any

import numpy as np

from minilocal import boundaries, objectives, optim, streams
from minilocal.errors import UserError
from minilocal.learner import Learner
from minilocal.nets import Net
from minilocal.nets.recipe import again, is_as_built
from minilocal.optim import Optimizer
from minilocal.record.files import atomic_write
from minilocal.rules import Rule, when

TEXT, FORMAT = "learner.json", 1
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError)


def _kinds() -> dict[str, type]:
    """{word in a file: class} of every answer, rule and optimiser of the package."""
    examples = {
        "objective.none": objectives.none(),
        "objective.classifier": objectives.classifier(),
        "objective.predsim": objectives.predsim(),
        "objective.infopro": objectives.infopro(),
        "boundary.open": boundaries.open(),
        "boundary.closed": boundaries.closed(),
        "boundary.link": boundaries.link(),
        "boundary.delayed": boundaries.delayed(),
        "boundary.synthetic_gradient": boundaries.synthetic_gradient(),
        "when.always": when.always(),
        "when.asynchronous": when.asynchronous(),
        "when.periodic": when.periodic(),
    }
    others = {"rule": Rule, "recommended": boundaries.Recommended, "sgd": optim.SGD, "adam": optim.Adam}
    return {word: type(example) for word, example in examples.items()} | others


KINDS = _kinds()

# What earlier files say instead; they still load.
EARLIER: dict[str, str] = {
    "wants": "objective", "wants.nothing": "objective.none", "wants.classifier": "objective.classifier",
    "wants.predsim": "objective.predsim", "wants.infopro": "objective.infopro", "crosses": "boundary",
    "crosses.all": "boundary.open", "crosses.nothing": "boundary.closed", "crosses.link": "boundary.link",
    "crosses.late": "boundary.delayed", "crosses.guess": "boundary.synthetic_gradient", "up": "activations",
    "down": "errors", "when.drawn": "when.asynchronous",
}  # fmt: skip


def _now(word: str) -> str:
    return EARLIER.get(word, word)


class _Own(Exception):
    """Something that is not the package's, and so has no word."""


def _words(thing: Any) -> Any:
    """`thing` in JSON's types."""
    for word, kind in KINDS.items():
        if type(thing) is kind:
            own = fields(thing) if is_dataclass(thing) else ()
            return {"is": word, **{f.name: _words(getattr(thing, f.name)) for f in own if f.init}}
    if thing is None or isinstance(thing, (bool, str, float)):
        return thing
    if isinstance(thing, (list, tuple)):
        return [_words(part) for part in thing]
    if isinstance(thing, dict):
        return {name: _words(part) for name, part in thing.items()}
    try:
        return index(thing)
    except TypeError:
        raise _Own from None


def _thing(words: Any) -> Any:
    """What `_words` was told of."""
    if isinstance(words, dict) and "is" in words:
        options = {_now(name): _thing(part) for name, part in words.items() if name != "is"}
        return KINDS[_now(words["is"])](**options)
    if isinstance(words, dict):
        return {name: _thing(part) for name, part in words.items()}
    return tuple(map(_thing, words)) if isinstance(words, list) else words


def _said(thing: Any) -> Any:
    """In words; None for what is the user's own."""
    try:
        return _words(thing)
    except _Own:
        return None


def save(learner: Learner, path: str | Path) -> None:
    """`Learner.save`."""
    told = {
        "format": FORMAT,
        "net": _said(learner.net.recipe) if is_as_built(learner.net) else None,
        "rule": _said(learner.rule),
        "optimizer": _said(learner.optimizer),
        "names": [learner.net.name, learner.rule.name, type(learner.optimizer).__name__],
        "modules": [len(m.units) for m in learner.modules],
        "dtype": learner.dtype,
    }
    with atomic_write(path) as file:
        np.savez(file, **{TEXT: np.array(json.dumps(told))}, **learner.state())  # type: ignore[arg-type]


def load(
    path: str | Path,
    *,
    net: Net | None = None,
    rule: Rule | None = None,
    optimizer: Optimizer | None = None,
    device: Any = "cpu",
) -> Learner:
    """The Learner that `learner.save(path)` wrote, which goes on bit for bit.

    A network, rule or optimiser of your own is not in the file: give it, built as it was.

    Raises: UserError for a file that is missing, damaged or another program's, for one of your own that is not given,
    and where what is given does not fit the arrays.
    """
    told, state = _read(Path(path))
    try:
        parts = [_found(told, i, given) for i, given in enumerate((net, rule, optimizer))]
        sizes, dtype = [index(n) for n in told["modules"]], str(told["dtype"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except DAMAGED as error:
        raise UserError(f"{path} is damaged, or a newer minilocal wrote it ({error}).") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whoever built it was warned
        made = Learner(parts[0], parts[1], sizes, rng=streams.rng(0), device=device, dtype=dtype, optimizer=parts[2])
    try:
        made.restore(state)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return made


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The words and the arrays in a file."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: of a run, minilocal.train.load(path) makes a Learner.")
    if not path.exists():
        raise UserError(f"{path} does not exist: write it with learner.save(path).")
    try:
        with np.load(path, allow_pickle=False) as file:
            state = {name: file[name] for name in file.files}
    except DAMAGED as error:
        raise UserError(f"{path} is damaged, or no file of learner.save ({str(error).partition('. ')[0]}).") from None
    if TEXT not in state:
        raise UserError(f"{path} was not written by learner.save: it has no {TEXT!r}.")
    try:
        told = json.loads(str(state.pop(TEXT)))
        number = told["format"]
    except DAMAGED as error:
        raise UserError(f"{path} is damaged ({error}).") from None
    if number != FORMAT:
        raise UserError(f"{path} is of format {number}, and this minilocal reads {FORMAT}: use the one that wrote it.")
    return told, state


def _found(told: dict[str, Any], i: int, given: Any) -> Any:
    """The network, rule or optimiser that is given, or the one that is told of."""
    what = ("net", "rule", "optimizer")[i]
    if given is not None:
        return given
    if told[what] is None:
        name = told["names"][i]
        raise UserError(f"its {what} {name!r} is not as the package builds one: give it, load(path, {what}=...).")
    return again(told["net"]) if what == "net" else _thing(told[what])
