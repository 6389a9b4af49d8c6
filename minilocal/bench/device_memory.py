"""Whether the workloads of a comparison fit on a GPU at once, from the predicted bytes of each.

They take turns where they fit, so that their seconds can be compared round by round. Where they do not, each has the
GPU for itself, from its setup to its last timing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

from minilocal.bench.workload import Workload
from minilocal.memory.abstract_array import AbstractNamespace

CONTEXT = 0.6e9  # bytes allowed for a process before its first array: the context of CUDA, kernels of libraries
HELD = 1.25  # bytes allowed to a pool over those in use at the peak: CuPy splits blocks (1.16 in a step of ResNet-32)


def bytes_needed(workloads: Iterable[Workload]) -> int:
    """Bytes of a GPU that holds all these workloads at once, a process for each engine and setting."""
    workloads = list(workloads)
    processes = len({workload.label for workload in workloads})
    return int(CONTEXT * processes + HELD * sum(map(predicted_bytes, workloads)))


def predicted_bytes(workload: Workload) -> int:
    """The peak of the workload, weights and batch included, by the engine on abstract arrays.

    PyTorch's is taken to be minilocal's. An operation has none: its operands are those of one layer, and small beside
    a context.
    """
    if workload.op:
        return 0
    return _peak(replace(workload, engine="minilocal", device="", layout="", graph=False, tf32=False))


@cache
def _peak(workload: Workload) -> int:
    library = AbstractNamespace(gpu=True)
    learner = replace(workload, device=library).learner()
    x: Any = library.empty((workload.batch, *learner.net.shape), workload.dtype)
    y: Any = library.empty((workload.batch,), int)
    if workload.evaluation:
        learner.predict(x)
    else:
        learner.step(x, y, lr=0.0)
    return library.peak
