"""A warm start: another run's weights, or anybody's arrays, in place of the initial ones.

The main network's arrays must fit. An auxiliary network is taken over whole or not at all: under another rule or with
another cut, arrays of one name may mean something else. The optimiser starts anew.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minilocal import record
from minilocal.array import Array
from minilocal.errors import UserError
from minilocal.learner import Learner

PREFIX = "array:"  # of a parameter or running statistic in a Learner's state


def warm_start(learner: Learner, path: str | Path) -> tuple[str, dict[str, Any]]:
    """Copies in what fits; returns a line about it, and what a record should say.

    `path` is a run's folder, a checkpoint, a file that `Learner.save` wrote, or an .npz of arrays by parameter name.

    Raises: UserError for a file that cannot be read, an array of the main network whose shape differs, or arrays that
    are none of this network's; then nothing was loaded.
    """
    given = read_weights(Path(path))
    own = {**learner.parameters(), **learner.buffers()}
    main = {**learner.net.parameters(), **learner.net.buffers()}
    taken = {name: a for name, a in given.items() if name in main}
    for names in _auxiliary(own, main):
        if all(name in given and given[name].shape == own[name].shape for name in names):
            taken |= {name: given[name] for name in names}
    if not taken:
        there = _listed(list(given)) or "nothing"
        raise UserError(f"weights {path}: it holds {there}, and {learner.net.name} has {_listed(list(own))}.")
    learner.load(taken)
    anew, left = [name for name in own if name not in taken], [name for name in given if name not in taken]
    line = f"weights of {path}: {len(taken)} arrays taken"
    line += f"; {_listed(anew)} start anew" if anew else ""
    line += f"; {_listed(left)} are left out" if left else ""
    return line, {"path": str(path), "digest": _digest(taken), "taken": len(taken), "anew": anew, "left": left}


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """{name: array}, by the names of a Learner's parameters and running statistics.

    Raises: UserError where there is nothing that can be read. Nothing is unpickled.
    """
    if path.is_dir():
        record.config(path)  # a run's folder
        if (found := record.checkpoint(path)) is None:
            raise UserError(f"{path} has no checkpoint yet: there are no weights to start from.")
        return _named(found[0])
    if not path.is_file():
        raise UserError(f"weights {path}: no such file. Give a run's folder, its checkpoint.npz, or another .npz.")
    try:
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("it is no .npz archive")
        with np.load(path, allow_pickle=False) as entries:
            return _named({name: entries[name] for name in entries.files})
    except Exception as error:  # whatever a damaged archive makes its reader raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"weights {path} cannot be read: {reason.rstrip('.')}.") from None


def _named(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a Learner's state under their own names; those of a file without such a state as they are."""
    state = {name.removeprefix(PREFIX): a for name, a in arrays.items() if name.startswith(PREFIX)}
    return state or dict(arrays)


def _auxiliary(own: Mapping[str, Array], main: Mapping[str, Array]) -> list[list[str]]:
    """The names outside the main network, one list for each auxiliary network: aux.0, aux.1, ..., synth.0, ..."""
    networks: dict[str, list[str]] = {}
    for name in own:
        if name not in main:
            networks.setdefault(".".join(name.split(".")[:2]), []).append(name)
    return list(networks.values())


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{names[0]}, {names[1]} and {len(names) - 2} more"


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for name, a in sorted(arrays.items()):
        found.update(f"{name} {a.shape} {a.dtype}".encode())
        found.update(np.ascontiguousarray(a).data)
    return found.hexdigest()
