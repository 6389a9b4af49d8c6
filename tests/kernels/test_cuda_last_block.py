"""Sums over blocks in one launch, run on the host: the order of the sum is that of the indices, whoever is last."""

import gc

import numpy as np
import pytest

from minilocal import streams
from minilocal.kernels.cuda import last_block
from minilocal.kernels.cuda.launch import Kernel
from minilocal.kernels.cuda.reduce_rows import ADD_UP_BLOCKS, GROUPS
from tests.fake import cuda_on_host
from tests.fake.device import counting, fake, fetch

pytestmark = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))
WIDE, X, Y = 2, 4, 6  # channels of a thread, threads across, rows of threads

SUM = Kernel(
    "sum",
    ADD_UP_BLOCKS
    + """
// out[k][c] = sum of in[block][row][k][c] over all blocks and rows of threads; winner: the block that wrote it
extern "C" __global__ void sum(const double* in, double* out, int* winner, int C, double* parts, int* counters) {
    const int c = WIDE * (blockIdx.y * blockDim.x + threadIdx.x);
    double v[2 * WIDE] = {};
    if (c < C)
        for (int k = 0; k < 2 * WIDE; k++)
            v[k] = in[((blockIdx.x * blockDim.y + threadIdx.y) * 2 + k / WIDE) * C + c + k % WIDE];
    if (!add_up_blocks(v, parts, counters, C, c) || threadIdx.y || c >= C) return;
    for (int k = 0; k < 2 * WIDE; k++) out[k / WIDE * C + c + k % WIDE] = v[k];
    winner[blockIdx.y] = blockIdx.x;
}
""",
)


def launched(numbers, counters, order, monkeypatch):
    """(the sums, the last block of each tile of channels)"""
    monkeypatch.setattr(cuda_on_host, "order", order)
    blocks, _, _, C = numbers.shape
    tiles = -(-C // (WIDE * X))
    out, winner = fake.empty((2, C)), fake.empty(tiles, "int32")
    args = (fake.asarray(numbers), out, winner, C, fake.empty((blocks, 2, C)), counters)
    SUM(out, (blocks, tiles), (X, Y), args, WIDE=WIDE, THREADS=X * Y, GROUPS=GROUPS)
    return out.get(), winner.get()


def in_order(numbers):
    """The documented order: a block's rows in halves, then the two levels."""
    parts = np.stack([in_halves(rows) for rows in numbers])
    groups = [
        every(parts[g::GROUPS]) if len(parts[g::GROUPS]) > 1 else parts[g] for g in range(min(GROUPS, len(parts)))
    ]
    return every(np.stack(groups))


def every(parts):
    """Each of Y rows of threads adds every Y-th part in index order; the rows are added in halves."""
    rows = np.zeros((Y, *parts.shape[1:]))
    for i, part in enumerate(parts):
        rows[i % Y] += part
    return in_halves(rows)


def in_halves(rows):
    rows, half = rows.copy(), 1
    while 2 * half < len(rows):
        half *= 2
    while half:
        for y in range(min(half, len(rows) - half)):
            rows[y] += rows[y + half]
        half //= 2
    return rows[0]


@pytest.mark.parametrize("blocks", [1, 2, GROUPS - 1, GROUPS, GROUPS + 1, 3 * GROUPS + 5, 16 * GROUPS])
@pytest.mark.parametrize("C", [2, 18])
def test_the_sum_has_the_bits_of_the_order_that_is_written_down(blocks, C, monkeypatch):
    numbers = streams.rng(blocks).standard_normal((blocks, Y, 2, C)) * 10.0 ** streams.rng(1).integers(
        -6, 7, (1, 1, 2, C)
    )
    counters = fake.zeros(3 * (GROUPS + 1), "int32")
    exact = in_order(numbers)
    for order, last in (("forward", blocks - 1), ("reverse", 0), ("forward", blocks - 1)):
        seen, winner = launched(numbers, counters, order, monkeypatch)
        assert np.array_equal(seen, exact) and not counters.get().any(), order
        assert (winner % GROUPS == last % GROUPS).all()
    plainly = numbers.sum(axis=(0, 1))
    assert np.allclose(seen, plainly, rtol=1e-9)
    assert blocks < 3 or C < 3 or not np.array_equal(seen, plainly), "these numbers show the order of a sum"


def test_tiles_of_channels_have_counters_of_their_own(monkeypatch):
    """Blocks of all tiles are under way at once on a GPU. Here the first tile's counters never reach their last."""
    numbers = streams.rng(0).standard_normal((GROUPS + 3, Y, 2, 18))
    stuck = np.zeros(3 * (GROUPS + 1), "int32")
    stuck[: GROUPS + 1] = -1000
    seen, winner = launched(numbers, fake.asarray(stuck), "forward", monkeypatch)
    exact = in_order(numbers)
    assert np.isnan(seen[:, : WIDE * X]).all() and np.array_equal(seen[:, WIDE * X :], exact[:, WIDE * X :])
    assert (winner[1:] == GROUPS + 2).all()


def test_counters_are_kept_by_stream_and_grow_and_go_with_it():
    like, stream = fake.zeros(1), fake.cuda.Stream(non_blocking=True)
    ours = last_block.counters(like, 10)
    assert last_block.counters(like, 20) is ours and ours.dtype == "int32" and not fetch(ours).any()
    with counting() as counts:
        with stream:
            other = last_block.counters(like, 10)
            assert other is not ours and last_block.counters(like, other.size) is other
            more = last_block.counters(like, other.size + 1)
            assert more.size == other.size + 1 and last_block.counters(like, 10) is more
        assert last_block.counters(like, 10) is ours and counts.live > 0
        del other, more, stream
        gc.collect()
        assert counts.live == 0


def test_a_recording_has_counters_of_its_own_that_each_replay_clears():
    like, stream = fake.zeros(1), fake.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        counters = last_block.counters(like, 4)
        seen = counters + 0
        graph = stream.end_capture()
    counters[...] = 7
    graph.launch()
    assert not fetch(seen).any() and not fetch(counters).any()
