"""A run that MPI's ranks train together: `minilocal.train.train` in every rank, with one folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minilocal.parallel.group import Ranks
from minilocal.parallel.learner import Learner
from minilocal.parallel.mpi import world
from minilocal.train import Interrupted, start

if TYPE_CHECKING:
    from mpi4py import MPI


class RunRanks(Ranks):
    """The ranks of a run, which build its Learner."""

    learner = Learner


def train(*args: Any, comm: MPI.Intracomm | None = None, **options: Any) -> start.Result:
    """`minilocal.train.train` by the ranks of `comm`, all MPI processes by default; every rank calls it alike.

    The run folder, its rows and its checkpoint are those of a run in one process, and either kind resumes the other.
    Only rank 0 writes, calls `on_epoch` and `say`, and has rows in its result.

    Raises: as `minilocal.train.train`, in every rank, and UserError for more ranks than modules.
    """
    ranks = RunRanks(world() if comm is None else comm)
    try:
        result = start.train(*args, **options, group=ranks)
    except Interrupted:
        ranks.receive_questions()
        raise
    ranks.receive_questions()
    return result
