"""The ranks of a communicator as the processes of a training loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from minilocal.config import Config, flatten, tables_of
from minilocal.config.schema import RunTable
from minilocal.device import device_namespace
from minilocal.errors import UserError
from minilocal.parallel.folder import RankFolder, on_first_alone
from minilocal.parallel.launcher.cause import ready
from minilocal.parallel.mpi import agree, check_same, cores_for, local_rank, parent_gone
from minilocal.parallel.trainer import RankTrainer
from minilocal.record import RunFolder
from minilocal.record.environment import version
from minilocal.train.process_group import ProcessGroup
from minilocal.train.progress import Progress
from minilocal.train.same_run import MACHINE
from minilocal.train.stop import StopRequest

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")
ASK, PASS_ON = 1, 2  # tags: a rank asks the first one to stop; the first one's answer goes up from rank to rank


class Ranks(ProcessGroup):
    """The ranks of `comm`, as a run's processes."""

    trainer = RankTrainer

    def __init__(self, comm: MPI.Intracomm) -> None:
        self.comm, self.size, self.is_first = comm, comm.size, comm.rank == 0
        self.has_asked = False  # whether this rank has asked the first one to stop
        self.received = 0  # questions of other ranks that the first one has received
        self.is_ready = False  # whether the starting process knows that a signal stops the run

    def check_same(self, config: Config) -> None:
        facts = {"minilocal": version("minilocal"), "NumPy": np.__version__, **flatten(tables_of(config), "this run")}
        check_same(self.comm, {name: value for name, value in facts.items() if name not in MACHINE})

    def learner_options(self, run: RunTable, loads: Sequence[float] | None = None) -> dict[str, Any]:
        """The communicator, and a device for each rank of a machine where [run] says only `cuda`.

        Raises: UserError for more ranks on this machine than it has GPUs.
        """
        device = run.device
        if device == "cuda":
            number = local_rank(self.comm)  # first, since all ranks take part
            count = int(device_namespace("cuda").cuda.runtime.getDeviceCount())
            if number >= count:
                raise UserError(
                    f"run.processes = {self.size} met {count} GPU{'s' * (count != 1)} on this machine: each rank takes "
                    "one of its own. Give fewer --processes, or --device cuda:0 to put all ranks on the first."
                )
            device = f"cuda:{number}"
        return {"comm": self.comm, "device": device, "loads": loads}

    def threads(self, configured: int) -> int:
        return configured or cores_for(self.comm)

    def kernels(self, configured: str) -> str:
        """The kind that the first rank's machine has: the others have it too, or refuse."""
        return self.on_first(lambda: super(Ranks, self).kernels(configured))

    def on_first(self, call: Callable[[], T]) -> T:
        result: T = self.comm.bcast(on_first_alone(self.comm, call))
        return result

    def collectively(self, call: Callable[[], T]) -> T:
        error = None
        try:
            result = call()
        except UserError as raised:
            error = raised
        agree(self.comm, error)
        return result

    def folder(self, opened: Callable[[], RunFolder], path: Path) -> RunFolder:
        return RankFolder(self.comm, opened, path)

    def stop(self, request: StopRequest) -> bool:
        """Whether rank 0 stops here: its answer passes from rank to rank, ahead of the step's activations.

        Rank 0 stops on a signal, on another rank's, and where the process that started the ranks is gone.
        """
        from mpi4py import MPI

        if not self.is_ready:
            ready()
            self.is_ready = True
        answer = np.zeros(1, np.int64)  # the signal's number
        if self.is_first:
            if not request.stop and self.comm.Iprobe(MPI.ANY_SOURCE, ASK):
                request.number = self._receive_question()
                request.stop = True
            answer[0] = request.number if request.stop or parent_gone() else 0
        else:
            if request.stop and not self.has_asked:
                self.comm.Send(np.array([request.number], np.int64), 0, ASK)
                self.has_asked = True
            self.comm.Recv(answer, self.comm.rank - 1, PASS_ON)
            request.number = int(answer[0]) or request.number
        if self.comm.rank < self.comm.size - 1:
            self.comm.Send(answer, self.comm.rank + 1, PASS_ON)
        return bool(answer[0])

    def receive_questions(self) -> None:
        """Receive what other ranks have asked: with a message left, MPI_Finalize fails. Collective, at a run's end."""
        asked = self.comm.reduce(int(self.has_asked))  # None but on rank 0
        for _ in range((asked or 0) - self.received):
            self._receive_question()
        self.has_asked, self.received = False, 0

    def _receive_question(self) -> int:
        """The number of a signal that another rank has got."""
        from mpi4py import MPI

        number = np.empty(1, np.int64)
        self.comm.Recv(number, MPI.ANY_SOURCE, ASK)
        self.received += 1
        return int(number[0])

    def whole(self, progress: Progress, learner: Any) -> Progress:
        parts = self.comm.allgather((progress.sums, progress.counts))
        owners = [rank for rank, modules in enumerate(learner.ranks) for _ in modules] if progress.counts else []
        progress.sums = [parts[rank][0][k] for k, rank in enumerate(owners)]
        progress.counts = [parts[rank][1][k] for k, rank in enumerate(owners)]
        return progress
