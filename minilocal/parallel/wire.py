"""Messages between neighbouring ranks: arrays, through host memory where they live on a device.

Calls are blocking, and stand where both sides need them. On one machine an array of 8 MB takes about 3 ms.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minilocal.array import Array, is_device, namespace, to_host

if TYPE_CHECKING:
    from mpi4py import MPI

TAG = 0  # of these messages


class Neighbour:
    """The rank below or above: arrays of the library `xp` are sent to it and received from it.

    A device array is copied to the host, which waits for its stream, and sent from there; or sent as it is, once its
    stream has been waited for, where MPI says that it reads device memory.
    """

    def __init__(self, comm: MPI.Comm, rank: int, xp: Any) -> None:
        self.comm, self.rank, self.xp = comm, rank, xp
        self.buffers = xp if is_device(xp) and is_gpu_aware() else np  # the library of what MPI reads and writes

    def send(self, array: Array) -> None:
        """Send an array; returns when it may be overwritten."""
        self.comm.Send(self._buffer(array), self.rank, TAG)

    def receive(self, shape: Sequence[int], dtype: Any) -> Array:
        """Receive an array of this shape and dtype."""
        received = self.buffers.empty(tuple(shape), np.dtype(dtype))
        self._wait()
        self.comm.Recv(received, self.rank, TAG)
        return self.xp.asarray(received)

    def exchange(self, array: Array) -> Array:
        """Send an array, and receive one of the same shape and dtype for it."""
        sent = self._buffer(array)
        received = self.buffers.empty_like(sent)
        self._wait()
        self.comm.Sendrecv(sent, self.rank, TAG, received, self.rank, TAG)
        return self.xp.asarray(received)

    def _buffer(self, array: Array) -> Any:
        """The array as MPI reads it, with all of its values in place."""
        buffer = np.ascontiguousarray(to_host(array)) if self.buffers is np else self.xp.ascontiguousarray(array)
        self._wait()
        return buffer

    def _wait(self) -> None:
        """Wait for the device's stream: MPI does not know it."""
        if self.buffers is not np:
            self.xp.cuda.get_current_stream().synchronize()

    def send_number(self, number: int) -> None:
        """Send one integer: too short to wait for its receiver."""
        self.comm.Send(np.array([number], np.int64), self.rank, TAG)

    def receive_number(self) -> int:
        """Receive one integer."""
        host = np.empty(1, np.int64)
        self.comm.Recv(host, self.rank, TAG)
        return int(host[0])


def concatenated(arrays: Iterable[Array]) -> Array:
    """The arrays as one vector."""
    flat = [a.reshape(-1) for a in arrays]
    return namespace(*flat).concatenate(flat)


def divided(vector: Array, like: Sequence[Array]) -> list[Array]:
    """A vector that `concatenated` made as arrays of the shapes of `like`."""
    parts, start = list[Array](), 0
    for a in like:
        parts.append(vector[start : start + a.size].reshape(a.shape))
        start += a.size
    return parts


def is_gpu_aware() -> bool:
    """Whether the MPI library says that it reads and writes device memory (Open MPI's and MPICH's own query)."""
    from mpi4py import MPI

    query = getattr(ctypes.CDLL(MPI.__file__), "MPIX_Query_cuda_support", None)
    return query is not None and bool(query())
