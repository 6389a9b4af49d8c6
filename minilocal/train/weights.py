"""A warm start: the weights of another run, or of any .npz, in place of the initial ones.

The main network's arrays must fit. An auxiliary network is loaded whole or not at all: under another rule, or cut into
other modules, an array of the same name may belong to another layer. The optimiser's state is not loaded.
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
from minilocal.errors import UserError, path_of, reason
from minilocal.learner import Learner
from minilocal.record.npz import opened_npz

PREFIX = "array:"  # of a parameter or running statistic in a Learner's state


def warm_start(learner: Learner, path: str | Path) -> tuple[str, dict[str, Any]]:
    """Load the arrays that fit; return a line about them, and their entry in environment.json.

    `path` is a run's folder, its checkpoint, its exported file, a file that `Learner.save` wrote, or any .npz of arrays
    by parameter name.

    Raises: UserError for a file that cannot be read, for an array of the main network with another shape, and where no
    array is this network's; then nothing has been loaded.
    """
    saved = read_weights(path_of("weights", path))
    own = {**learner.parameters(), **learner.buffers()}
    main = {**learner.net.parameters(), **learner.net.buffers()}
    loaded = {name: a for name, a in saved.items() if name in main}
    for names in _auxiliary(own, main):
        if all(name in saved and saved[name].shape == own[name].shape for name in names):
            loaded |= {name: saved[name] for name in names}
    if not loaded:
        content = _listed(list(saved)) or "nothing"
        raise UserError(f"weights {path}: it holds {content}, and {learner.net.name} has {_listed(list(own))}.")
    try:
        learner.load(loaded)
    except UserError as error:
        raise UserError(f"weights {path}: {error}") from None
    anew, left = [name for name in own if name not in loaded], [name for name in saved if name not in loaded]
    line = f"weights of {path}: {len(loaded)} arrays taken"
    line += f"; {_listed(anew)} start anew" if anew else ""
    line += f"; {_listed(left)} are left out" if left else ""
    return line, {"path": str(path), "digest": _digest(loaded), "taken": len(loaded), "anew": anew, "left": left}


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """{name: array} by the names of a Learner's parameters and running statistics. Nothing is unpickled.

    Raises: UserError where the file cannot be read.
    """
    if path.is_dir():
        record.config(path)  # a run's folder
        if (checkpoint := record.checkpoint(path)) is None:
            raise UserError(f"{path} has no checkpoint yet: there are no weights to start from.")
        return _by_parameter(checkpoint[0])
    if not path.is_file():
        raise UserError(f"weights {path}: no such file. Give a run's folder, its checkpoint.npz, or another .npz.")
    if _is_of_torch(path):
        raise UserError(
            f"weights {path}: this is a file of torch.save. Write an .npz of it in Python: "
            "numpy.savez(PATH, **minilocal.interop.from_torch(model.state_dict()))."
        )
    try:
        with opened_npz(path) as entries:
            return _by_parameter({name: entries[name] for name in entries.files})
    except Exception as error:  # whatever a damaged archive makes its reader raise
        raise UserError(f"weights {path} cannot be read: {reason(error)}.") from None


def _is_of_torch(path: Path) -> bool:
    """Whether `torch.save` wrote this file: a zip archive with a pickle, which is not opened."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except Exception:  # whatever a damaged archive makes its reader raise
        return False


def _by_parameter(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a Learner's state by the names of its parameters; all arrays where the file holds no such state.

    The text entry of an exported run is no array.
    """
    state = {name.removeprefix(PREFIX): a for name, a in arrays.items() if name.startswith(PREFIX)}
    return state or {name: a for name, a in arrays.items() if name != record.ENTRY}


def _auxiliary(own: Mapping[str, Array], main: Mapping[str, Array]) -> list[list[str]]:
    """The names of each auxiliary network's arrays: of aux.0, aux.1, ..., synth.0, ..."""
    networks: dict[str, list[str]] = {}
    for name in own:
        if name not in main:
            networks.setdefault(".".join(name.split(".")[:2]), []).append(name)
    return list(networks.values())


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{names[0]}, {names[1]} and {len(names) - 2} more"


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    for name, a in sorted(arrays.items()):
        hasher.update(f"{name} {a.shape} {a.dtype}".encode())
        hasher.update(np.ascontiguousarray(a).data)
    return hasher.hexdigest()
