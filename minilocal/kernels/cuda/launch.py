"""CUDA kernels: the source, its build for a type and sizes at the first call, and the launch on arrays.

The source is what NVRTC compiles, in the part of C++ that a host compiler knows too. Tests build the same text with a
C++ compiler and run it, so a kernel is proven without a GPU (tests/fake). Sizes that a loop should know are constants
of the build (`#define`s): there is one build for each set of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from minilocal.array import Array, namespace

Size = tuple[int, ...]  # of a grid, or of a block
Args = tuple[Any, ...]
Built = MutableMapping[Any, dict[Any, Any]]  # {library: {type, constants: its kernel}}
BY_VALUE = {bool: np.int32, int: np.int32, float: np.float64}  # what Python's numbers are for a kernel
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
        self._built: Built = WeakKeyDictionary()

    def __call__(self, like: Array, grid: Size, block: Size, args: Args, **constants: int) -> None:
        run(self.built(like, constants), grid, block, arguments(args))

    def launch(self, grid: Size, block: Size, numbers: Args, **constants: int) -> Launch:
        """A launch of these sizes, to be kept and called with its arrays, which stand before the numbers."""
        return Launch(self, grid, block, arguments(numbers), constants)

    def built(self, like: Array, constants: Mapping[str, int]) -> Any:
        """The kernel as the library of `like` has it: with its type and these constants, made at the first call."""
        xp, char = namespace(like), like.dtype.char
        built, where = self._built.setdefault(xp, {}), (char, *constants, *constants.values())
        if where not in built:
            built[where] = xp.RawKernel(self.text(char, constants), self.name, options=("--std=c++17",))
        return built[where]

    def text(self, char: str, constants: Mapping[str, int]) -> str:
        """The whole source, for numbers of this type and these constants: ASCII, without its comments.

        The constants are defined in the text, behind the compiler's own headers. As compiler options they would come
        first, and those headers have templates named T. CuPy writes the text to a file in the locale's encoding, which
        may know no Σ.

        Raises: UnicodeEncodeError where anything but a comment is not ASCII.
        """
        defined = {"T": TYPES[char], **constants}
        text = "".join(f"#define {name} {value}\n" for name, value in defined.items()) + COMMON + self.source
        return re.sub(" *//.*", "", text).encode("ascii").decode()


class Launch:
    """A kernel with its grid, its block, its constants and the numbers among its arguments: launch(x, W, z).

    The first array is of the kernel's type T.
    """

    def __init__(self, kernel: Kernel, grid: Size, block: Size, numbers: Args, constants: Mapping[str, int]) -> None:
        self.kernel, self.grid, self.block, self.numbers, self.constants = kernel, grid, block, numbers, constants
        self._built: Built = WeakKeyDictionary()

    def __call__(self, like: Array, *more: Array | None) -> None:
        built, char = self._built.setdefault(namespace(like), {}), like.dtype.char
        if char not in built:
            built[char] = self.kernel.built(like, self.constants)
        run(built[char], self.grid, self.block, (like, *more, *self.numbers))


def run(built: Any, grid: Size, block: Size, args: Args) -> None:
    """Launch a kernel of the library's, or inside `noting` only note it."""
    noted = _noted.get()
    if noted is None:
        built(grid, block, args)
    else:
        noted[built] = None


_noted: ContextVar[dict[Any, None] | None] = ContextVar("minilocal.kernels.cuda.noted", default=None)


@contextmanager
def noting() -> Iterator[dict[Any, None]]:
    """Inside, this thread launches none of our kernels: they are collected, in the order of their first launch."""
    noted: dict[Any, None] = {}
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


def arguments(args: Args) -> Args:
    """`args` as a kernel takes them: a Python number as a number of C, anything else as it is."""
    return tuple([BY_VALUE[kind](a) if (kind := type(a)) in BY_VALUE else a for a in args])


def blocks(work: int, each: int) -> int:
    """The number of blocks of `each` that cover `work`: ⌈work / each⌉."""
    return -(-work // each)
