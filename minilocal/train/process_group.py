"""The processes that train a run: what a run asks of them. Here there is one; `minilocal.parallel` has MPI's ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from minilocal.kernels.choice import checked_kind
from minilocal.learner import Learner
from minilocal.train.progress import Progress
from minilocal.train.trainer import Trainer

if TYPE_CHECKING:  # `fit` needs NumPy and nothing else
    from minilocal.config import Config
    from minilocal.config.schema import RunTable
    from minilocal.record import RunFolder
    from minilocal.train.stop import StopRequest

T = TypeVar("T")


class ProcessGroup:
    """One process, which does everything by itself."""

    size = 1
    is_first = True  # whether this process writes files and prints
    learner: type[Learner] = Learner
    trainer: type[Trainer] = Trainer

    def check_same(self, config: Config) -> None:
        """Check that all processes have this configuration, and the same versions. Raises: UserError."""

    def learner_options(self, run: RunTable, loads: Sequence[float] | None = None) -> dict[str, Any]:
        """What the Learner is told of [run], and of the costs of its modules: its device, recorded steps."""
        return {"device": run.device, "cuda_graph": run.cuda_graph}

    def threads(self, configured: int) -> int:
        """The threads of this process, of those that are configured; 0 is every core."""
        return configured

    def kernels(self, configured: str) -> str:
        """The kind of kernels of every process: "auto" as it is on this machine. Raises: UserError without Numba."""
        return checked_kind(configured, "run.kernels")

    def on_first(self, call: Callable[[], T]) -> T:
        """The result of `call` in the first process, or the UserError that it raises, in every process."""
        return call()

    def collectively(self, call: Callable[[], T]) -> T:
        """The result of `call`, which every process runs; a UserError in one of them is raised in all."""
        return call()

    def folder(self, opened: Callable[[], RunFolder], path: Path) -> RunFolder:
        """The run's folder, which only the first process opens and writes."""
        return opened()

    def stop(self, request: StopRequest) -> bool:
        """Whether every process stops here. All ask the same number of times, and get the same answers."""
        return request.stop

    def whole(self, progress: Progress, learner: Learner) -> Progress:
        """The progress with each module's losses from the process that trains it. All processes ask together."""
        return progress
