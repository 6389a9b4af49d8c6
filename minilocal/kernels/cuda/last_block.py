"""The last block of a launch finds what all others have written, so one launch can add up their partial sums.

A block that has written its part draws a ticket, an atomic addition of integers. The one that draws the last ticket
goes on. It reads the parts in the order of their indices, so no bit depends on which block is last.

The counters are 0 before and after a launch: who draws the last ticket puts its counter back. Launches of one stream
follow one another and share them. Each recording has its own: `new_counters`.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from minilocal.array import Array, namespace

LEAST = 1024  # counters of a stream

IS_LAST = """
// In every thread: whether this block is the last of `count` to come here. It sees what the others wrote before.
__device__ bool is_last(int* counter, int count) {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x + threadIdx.y == 0) {
        last = atomicAdd(counter, 1) == count - 1;
        if (last) *counter = 0;
    }
    __syncthreads();
    __threadfence();
    return last;
}
"""

_of_stream: WeakKeyDictionary[Any, dict[int, Array]] = WeakKeyDictionary()  # {stream: {device: counters}}


def counters(like: Array, count: int) -> Array:
    """`count` or more counters, all 0, of the current stream and device. int32."""
    return counters_of(namespace(like), count)


def counters_of(xp: Any, count: int = LEAST) -> Array:
    """As `counters`, of the library `xp`."""
    if not hasattr(xp, "cuda"):  # a library without streams, which counts and computes nothing
        uncounted: Array = xp.empty(max(count, LEAST), xp.int32)
        return uncounted
    of_device = _of_stream.setdefault(xp.cuda.get_current_stream(), {})
    device = xp.cuda.Device().id
    kept = of_device.get(device)
    if kept is None or kept.size < count:
        kept = of_device[device] = xp.zeros(max(count, LEAST), xp.int32)
    return kept


def new_counters(xp: Any, stream: Any) -> Array:
    """New counters for the next launches of a stream that is about to be recorded, made outside of the recording.

    Whoever keeps the graph keeps them. Those of a recording that broke off may not be 0, since nothing of it has run.
    """
    zeros: Array = xp.zeros(LEAST, xp.int32)
    _of_stream[stream] = {xp.cuda.Device().id: zeros}
    return zeros
