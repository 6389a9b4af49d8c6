"""What one worker has of its machine, and when it stops: threads, a device, its claim, the process that started it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from minilocal.config.schema import RunTable
from minilocal.kernels.threads import available
from minilocal.sweep.claim import Claim
from minilocal.train.process_group import ProcessGroup
from minilocal.train.stop import StopRequest

PARENT = "MINILOCAL_SWEEP_PARENT"  # the process that started this worker


class Worker(ProcessGroup):
    """One process that trains a cell: on these threads, kernels and this device, whatever the run's own record says."""

    def __init__(self, run: RunTable, claim: Claim, threads: int) -> None:
        self.run, self.claim = run, claim
        self.share = run.threads or threads

    def learner_options(self, run: RunTable, loads: Sequence[float] | None = None) -> dict[str, Any]:
        """The device of this worker; a resumed run's record may have another."""
        return super().learner_options(self.run, loads)

    def threads(self, configured: int) -> int:
        """The threads of this worker."""
        return self.share

    def kernels(self, configured: str) -> str:
        """The kind of this worker."""
        return super().kernels(self.run.kernels)

    def stop(self, request: StopRequest) -> bool:
        """Whether to stop: on request, since the claim is lost, or since the process that started this one is gone."""
        return request.stop or self.claim.is_lost or parent_gone()


def parent_gone() -> bool:
    """Whether the process that started this worker has ended, as after SIGKILL."""
    parent = os.environ.get(PARENT, "")
    return parent.isdecimal() and os.getppid() != int(parent)


def threads_of(workers: int) -> int:
    """The threads of each of several workers on this machine; 0, every core, for one."""
    return max(1, available() // workers) if workers > 1 else 0


def use_device(device: str) -> str:
    """Make a GPU the only one that this process sees, before CuPy is imported; return its name from then on.

    "cuda:1" is the second of those in CUDA_VISIBLE_DEVICES, where that is set.
    """
    kind, _, number = device.partition(":")
    if kind != "cuda" or not number.isdecimal():
        return device
    if (setting := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        visible = [name for name in setting.split(",") if name]
        if int(number) >= len(visible):
            return device  # refused by name, when it is used: it is hidden, and stays so
        number = visible[int(number)]
    os.environ["CUDA_VISIBLE_DEVICES"] = number
    return kind
