"""dropout_mask (ops/dropout.py) in CUDA: NumPy's Philox stream, computed on the device, to the bit.

Philox4x64-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011) turns a counter and
a key into four 64-bit words. NumPy increments the counter before the first four. It takes float32 numbers out of a
word's lower half, then its upper one: the 24 highest bits, times 2^-24.
"""

from __future__ import annotations

import numpy as np

from minilocal.array import Array, namespace
from minilocal.kernels.cuda.launch import Kernel, blocks
from minilocal.streams import StreamKey

THREADS = 128

MASK = Kernel(
    "dropout_mask",
    """
typedef unsigned long long Word;
constexpr int EACH = 16 / sizeof(T);
struct alignas(16) Line { T v[EACH]; };   // what one store writes

__device__ Word upper_half(Word a, Word b) {   // of the 128 bits of a b
    const Word a0 = (unsigned)a, a1 = a >> 32, b0 = (unsigned)b, b1 = b >> 32;
    const Word low = a0 * b0, mid = a1 * b0 + (low >> 32), other = a0 * b1 + (unsigned)mid;
    return a1 * b1 + (mid >> 32) + (other >> 32);
}

// ten times:   (x₀, x₁, x₂, x₃) ← (up(B x₂) ^ x₁ ^ k₀, B x₂, up(A x₀) ^ x₃ ^ k₁, A x₀)      k ← k + (G, R)
__device__ void philox(Word (&x)[4], Word k0, Word k1) {
    const Word A = 0xD2E7470EE14C6C93, B = 0xCA5A826395121157, G = 0x9E3779B97F4A7C15, R = 0xBB67AE8584CAA73B;
    for (int round = 0; round < 10; round++, k0 += G, k1 += R) {
        const Word a = A * x[0], b = B * x[2], a_up = upper_half(A, x[0]), b_up = upper_half(B, x[2]);
        x[0] = b_up ^ x[1] ^ k0, x[1] = b, x[2] = a_up ^ x[3] ^ k1, x[3] = a;
    }
}

// 0 where u < rate, else 1/(1 - rate);   u the float32 numbers of the stream, eight to a thread
extern "C" __global__ void dropout_mask(T* mask, long long size, double rate, double kept, Word key, Word purpose,
                                        Word unit, Word step, Word epoch, const long long* clock) {
    const Word block = (Word)blockIdx.x * blockDim.x + threadIdx.x;
    if (8 * block >= size) return;
    Word x[4] = {block + 1, unit, clock ? clock[1] : step, clock ? clock[0] : epoch};
    philox(x, key, purpose);
    Line eight[8 / EACH];
    #pragma unroll
    for (int e = 0; e < 8; e++) {
        const float u = ((unsigned)(x[e / 2] >> 32 * (e % 2)) >> 8) * (1 / 16777216.0f);
        eight[e / EACH].v[e % EACH] = u < (float)rate ? 0 : kept;
    }
    #pragma unroll
    for (int e = 0; e < 8; e++)
        if (8 * block + 8 > size) {
            if (8 * block + e < size) mask[8 * block + e] = eight[e / EACH].v[e % EACH];
        } else if (e % EACH == 0) ((Line*)(mask + 8 * block))[e / EACH] = eight[e / EACH];
}
""",
)


def dropout_mask(x: Array, rate: float, key: StreamKey, clock: Array | None = None) -> Array:
    """The mask, by one launch; `clock`, where given, is read for epoch and step when the kernel runs."""
    mask = namespace(x).empty(x.shape, x.dtype)
    state = key.stream().bit_generator.state["state"]  # the words that NumPy makes of the key's numbers
    (word, purpose), (_, unit, step, epoch) = state["key"], state["counter"]
    args = (mask, np.int64(mask.size), float(rate), 1 / (1 - rate), word, purpose, unit, step, epoch, clock)
    MASK(mask, (blocks(mask.size, 8 * THREADS),), (THREADS,), args)
    return mask
