"""dropout_mask (ops/dropout.py): NumPy's Philox stream, to the bit, in parts.

Philox4x64-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011) turns a counter and
a key into four 64-bit words. So a part of the mask needs no number of those before it. NumPy increments the counter
before the first four. It takes float32 numbers out of a word's lower half, then its upper one: the 24 highest bits,
times 2^-24.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy import ndarray as Array

from minilocal.kernels import aligned
from minilocal.kernels.numba.compiled import compiled
from minilocal.kernels.threads import PARTS, parallel_map, partition
from minilocal.streams import StreamKey

Word = np.uint64
A, B = Word(0xD2E7470EE14C6C93), Word(0xCA5A826395121157)  # what the words are multiplied by
G, R = Word(0x9E3779B97F4A7C15), Word(0xBB67AE8584CAA73B)  # what is added to the key
RUN = 128  # blocks whose words are drawn, and then read while they lie in the cache
PART = 1 << 13  # blocks of eight numbers in a part, at least: one core does as much while another wakes up


def dropout_mask(x: Array, rate: float, key: StreamKey, clock: Array | None = None) -> Array:
    """The mask, a new array, in parts of whole blocks. As in the plain code, `clock` is ignored."""
    blocks = -(-x.size // 8)
    mask = aligned.empty((8 * blocks,), x.dtype)
    state = key.stream().bit_generator.state["state"]  # the words that NumPy makes of the key's numbers
    words, least, kept = (*state["key"], *state["counter"][1:]), np.float32(rate), x.dtype.type(1 / (1 - rate))
    parts = partition(blocks, max(1, min(PARTS, blocks // PART)))
    parallel_map(lambda i, j: draw(mask[8 * i : 8 * j], i, least, kept, *words), parts)
    return mask[: x.size].reshape(x.shape)


@compiled
def draw(
    mask: Array, first: int, rate: np.float32, kept: Any,
    key: Word, purpose: Word, unit: Word, step: Word, epoch: Word,
) -> None:  # fmt: skip
    """mask = 0 where u < rate, else `kept`: u the float32 numbers of the stream from its block `first` on."""
    words = np.empty((RUN, 4), Word)
    halves = words.reshape(-1).view(np.uint32)
    for at in range(0, mask.size, 8 * RUN):
        some = mask[at : at + 8 * RUN]
        for block in range(some.size // 8):
            words[block] = philox(Word(first + at // 8 + block + 1), unit, step, epoch, key, purpose)
        for i in range(some.size):
            u = np.float32(halves[i] >> np.uint32(8)) * np.float32(2**-24)
            some[i] = kept if u >= rate else 0


@compiled
def philox(x0: Word, x1: Word, x2: Word, x3: Word, k0: Word, k1: Word) -> tuple[Word, Word, Word, Word]:
    """Ten times (x₀, x₁, x₂, x₃) ← (up(B x₂) ^ x₁ ^ k₀, B x₂, up(A x₀) ^ x₃ ^ k₁, A x₀) and k ← k + (G, R)."""
    for _ in range(10):
        (a_up, a), (b_up, b) = product(A, x0), product(B, x2)
        x0, x1, x2, x3 = b_up ^ x1 ^ k0, b, a_up ^ x3 ^ k1, a
        k0, k1 = k0 + G, k1 + R
    return x0, x1, x2, x3


@intrinsic
def product(_: Any, a: Any, b: Any) -> Any:
    """The upper and the lower 64 of the 128 bits of a b, both uint64: one instruction."""

    def emit(context: Any, builder: Any, signature: Any, factors: Any) -> Any:
        wide, word = ir.IntType(128), ir.IntType(64)
        ab = builder.mul(*(builder.zext(factor, wide) for factor in factors))
        halves = builder.trunc(builder.lshr(ab, wide(64)), word), builder.trunc(ab, word)
        return context.make_tuple(builder, signature.return_type, halves)

    return types.UniTuple(types.uint64, 2)(types.uint64, types.uint64), emit
