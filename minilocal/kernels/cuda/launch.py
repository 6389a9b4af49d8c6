"""A kernel in CUDA C++: its source, built when it is first called for these types and sizes, and started on arrays.

The source is what NVRTC compiles, and nothing that a host compiler would not: tests build the same text with a C++
compiler and run it, so a kernel is proven without a GPU (tests/fake). Sizes that a loop should know are constants of
the build (`#define`s), so there is a build for each set of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minilocal.array import Array, namespace

TYPES = {"f": "float", "d": "double"}
COMMON = """
struct alignas(4 * sizeof(T)) T4 { T v[4]; };   // four numbers that travel together
"""


class Kernel:
    """`Kernel("name", source)`; called as kernel(like, grid, block, args, SIZE=3, ...).

    `like` is an array of the kernel's type T (float or double) in the library that builds and runs it. `args` are
    arrays, C-contiguous, None for a null pointer, and Python numbers, which arrive as `int` and `double`.
    """

    def __init__(self, name: str, source: str) -> None:
        self.name, self.source = name, source
        self._built: dict[Any, Any] = {}

    def __call__(
        self, like: Array, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], **constants: int
    ) -> None:
        xp, options = namespace(like), self.options(like.dtype.char, constants)
        where = (xp.__name__, options)
        if where not in self._built:
            self._built[where] = xp.RawKernel(COMMON + self.source, self.name, options=options)
        self._built[where](grid, block, tuple(map(_argument, args)))

    @staticmethod
    def options(char: str, constants: dict[str, int]) -> tuple[str, ...]:
        """The compiler's options for numbers of this type and these constants."""
        return (f"-DT={TYPES[char]}", "--std=c++17", *(f"-D{name}={value}" for name, value in constants.items()))


def _argument(value: Any) -> Any:
    if isinstance(value, bool | int):
        return np.int32(value)
    if isinstance(value, float):
        return np.float64(value)
    if hasattr(value, "flags") and not value.flags.c_contiguous:
        raise ValueError(f"a kernel reads arrays as they lie: {value.shape} is not C-contiguous.")
    return value


def blocks(work: int, each: int) -> int:
    """How many blocks of `each` it takes for so much work."""
    return -(-work // each)
