"""A run's folder among ranks: rank 0 has it open, and the others know only its path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from minilocal.errors import UserError
from minilocal.parallel.launcher.cause import note
from minilocal.parallel.mpi import agree
from minilocal.record import RunFolder
from minilocal.record.read import Checkpoint

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")


class RankFolder(RunFolder):
    """A run's folder as every rank sees it: rank 0 has it open, and the others know only its path."""

    def __init__(self, comm: MPI.Intracomm, opened: Callable[[], RunFolder], path: Path) -> None:
        self.comm = comm
        self.opened = on_first_alone(comm, opened)
        self.path = Path(comm.bcast(str(self.opened.path) if self.opened else None))
        if self.opened:
            note(run=str(self.path))

    def configure(self, config: Mapping[str, Any]) -> None:
        if self.opened:
            self.opened.configure(config)

    def checkpoint(self) -> Checkpoint | None:
        """On rank 0 as in one process; on the others its metadata alone."""
        whole = on_first_alone(self.comm, lambda: self.opened.checkpoint() if self.opened else None)
        metadata = self.comm.bcast(whole and whole[1])
        return metadata and ((whole[0] if whole else {}), metadata)

    def add_row(self, row: Mapping[str, Any]) -> None:
        if self.opened:
            self.opened.add_row(row)

    def truncate_rows(self, epochs: int) -> list[int]:
        lost = on_first_alone(self.comm, lambda: self.opened.truncate_rows(epochs) if self.opened else [])
        return self.comm.bcast(lost)

    def save(self, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
        if self.opened:
            self.opened.save(arrays, metadata)

    def close(self) -> None:
        if self.opened:
            self.opened.close()


def on_first_alone(comm: MPI.Intracomm, call: Callable[[], T]) -> T | None:
    """The result of `call` on rank 0, None elsewhere. Raises: its UserError, in every rank."""
    result, error = None, None
    if comm.rank == 0:
        try:
            result = call()
        except UserError as raised:
            error = raised
    agree(comm, error)
    return result
