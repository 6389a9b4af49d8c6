"""CUDA kernels: the source, its build for a type and sizes at the first call, and the launch on arrays.

The source is what NVRTC compiles, in the part of C++ that a host compiler knows too. Tests build the same text with a
C++ compiler and run it, so a kernel is proven without a GPU (tests/fake). Sizes that a loop should know are constants
of the build (`#define`s): there is one build for each set of them.
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
        xp = namespace(like)
        where = (xp.__name__, like.dtype.char, *constants.items())
        if where not in self._built:
            text = self.text(like.dtype.char, constants)
            self._built[where] = xp.RawKernel(text, self.name, options=("--std=c++17",))
        self._built[where](grid, block, tuple(map(_argument, args)))

    def text(self, char: str, constants: dict[str, int]) -> str:
        """The whole source, for numbers of this type and these constants.

        The constants are defined in the text, behind the compiler's own headers. As compiler options they would come
        first, and those headers have templates named T.
        """
        defined = {"T": TYPES[char], **constants}
        return "".join(f"#define {name} {value}\n" for name, value in defined.items()) + COMMON + self.source


def _argument(value: Any) -> Any:
    if isinstance(value, bool | int):
        return np.int32(value)
    if isinstance(value, float):
        return np.float64(value)
    if hasattr(value, "flags") and not value.flags.c_contiguous:
        raise ValueError(f"a kernel reads arrays as they lie: {value.shape} is not C-contiguous.")
    return value


def blocks(work: int, each: int) -> int:
    """The number of blocks of `each` that cover `work`: ⌈work / each⌉."""
    return -(-work // each)
