"""Messages between neighbouring ranks: arrays, through host memory where they live on a device.

Calls are blocking, and stand where both sides need them. On one machine an array of 8 MB takes about 3 ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minilocal.array import Array, namespace, to_host

if TYPE_CHECKING:
    from mpi4py import MPI


TAG = 0  # of these messages


class Neighbour:
    """The rank below or above: arrays of the library `xp` are sent to it and received from it.

    A device array is copied to the host, which waits for its stream, and sent from there.
    """

    def __init__(self, comm: MPI.Comm, rank: int, xp: Any) -> None:
        self.comm, self.rank, self.xp = comm, rank, xp

    def send(self, array: Array) -> None:
        """Send an array; returns when it may be overwritten."""
        self.comm.Send(np.ascontiguousarray(to_host(array)), self.rank, TAG)

    def receive(self, shape: Sequence[int], dtype: Any) -> Array:
        """Receive an array of this shape and dtype."""
        host = np.empty(tuple(shape), np.dtype(dtype))
        self.comm.Recv(host, self.rank, TAG)
        return self.xp.asarray(host)

    def exchange(self, array: Array) -> Array:
        """Send an array, and receive one of the same shape and dtype for it."""
        mine = np.ascontiguousarray(to_host(array))
        host = np.empty_like(mine)
        self.comm.Sendrecv(mine, self.rank, TAG, host, self.rank, TAG)
        return self.xp.asarray(host)

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
