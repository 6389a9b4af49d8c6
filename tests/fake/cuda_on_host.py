"""CUDA C++ kernels on a machine without a GPU: the same source, built by g++ and run on NumPy arrays.

    kernel = RawKernel(source, "name", options=("-DT=float",))          as cupy.RawKernel
    kernel((blocks,), (threads,), (x, y, np.int32(n)))                  arrays are device memory

It is slow and, while `checked`, it is strict. Threads go on until they wait at a barrier, in the order that `order`
says; a barrier that some threads miss, shared memory read before it was written (it holds NaN), a load or store outside
of the arguments' memory or of a local or shared array, a misaligned or null pointer, and an argument of another type
than the kernel's are all found, where a GPU would go on.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

SOURCES = Path(__file__).parent
order = os.environ.get("MINILOCAL_FAKE_ORDER", "forward")  # or "reverse": of blocks, and of the threads in a block
checked = True  # whether every load and store is looked at; twenty times faster where it is not
contracted = os.environ.get("MINILOCAL_FAKE_CONTRACTED") == "1"  # round as CuPy's builds do; else as written

# CuPy gives NVRTC -ftz=true, and NVRTC's own default is -fmad=true: a·b + c is rounded once, and float32 numbers below
# 2^-126 are 0. ROUNDING has the flags of both ways, and the bits of the processor's MXCSR (flush to zero, denormals are
# zero) that a launch sets.
ROUNDING = {False: (["-ffp-contract=off"], 0), True: (["-ffp-contract=fast", "-mfma"], 0x8040)}
NORMAL = 0x1F80  # MXCSR as a process starts with it
FLAGS = ["-O2", "-fno-strict-aliasing", "-fPIC", "-w", "-U_FORTIFY_SOURCE"]
KERNEL = ["-nostdinc", "-nostdinc++", "-fno-gnu-unique"]  # no library's shared memory is another's
CHECKS = ["-fsanitize=alignment,bounds,null,kernel-address", "--param=asan-instrumentation-with-call-threshold=0"]
CHECKS += ["--param=asan-stack=0", "--param=asan-globals=0"]
STUB = """
extern "C" void host_kernel(void **args) {{ host_call({name}, args); }}
extern "C" const int *host_kernel_signature() {{ return host_signature({name}); }}
extern "C" char **host_kernel_image() {{
  static char *image[] = {{host_shared_from, host_shared_to, __ehdr_start, _end}};
  return image;
}}
extern "C" unsigned host_rounding(unsigned to) {{
  const unsigned before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(to);
  return before;
}}
"""
FAULTS = {
    1: "{n} threads of a block wait at a barrier (line {line}) that the others never reach",
    2: "threads of one block wait at two barriers, lines {n} and {line}",
    3: "a misaligned pointer is read or written at line {line}",
    4: "a null pointer is read or written at line {line}",
    5: "index {n} is outside of its array at line {line}",
    6: "a read outside of all arguments, {n} bytes from where argument {line} begins",
    7: "a write outside of all arguments, {n} bytes from where argument {line} begins",
}
BY_VALUE = frozenset("?bhilqBHILQefd")  # the scalars that CuPy takes
_one_at_a_time = threading.Lock()


def available() -> str | None:
    """Why kernels cannot be built here; None if they can."""
    if sys.platform != "linux":
        return "CUDA kernels are run on the host on Linux only"
    return None if shutil.which("g++") else "no g++ on this machine: CUDA kernels cannot be run on the host"


class RawKernel:
    """`cupy.RawKernel` on the host. The source is built when it is first called.

    CuPy writes it to a file in the locale's encoding, which may be ASCII: any other source raises UnicodeEncodeError.
    """

    def __init__(self, source: str, name: str, options: tuple[str, ...] = ()) -> None:
        source.encode("ascii")
        self.source, self.name, self.options = source, name, tuple(options)
        self._libraries: dict[tuple[bool, bool], Any] = {}  # by checked and contracted

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], memory: Any = None
    ) -> None:
        """Starts the kernel and waits for it. `args`: arrays, None, scalars, structured arrays of one element.

        `memory`: all allocations that pointers may point into, those inside structures too; without it the arrays among
        the arguments, and nothing is checked where a structure may hold pointers.
        """
        grid, block = ((*(max(1, int(n)) for n in size), 1, 1)[:3] for size in (grid, block))
        if block[0] * block[1] * block[2] > 1024 or block[2] > 64 or max(grid[1:]) > 65535 or grid[0] >= 2**31:
            raise ValueError(f"{self.name}: no GPU takes the grid {grid} of blocks {block}.")
        library = self._library()
        kept = [_bytes(value, self.name, i) for i, value in enumerate(args)]
        self._check(library.host_kernel_signature(), args)
        pointers = (ctypes.c_void_p * max(1, len(kept)))(*(k.ctypes.data for k in kept))
        ranges = _ranges(args, memory) if checked else ()
        sizes = [(ctypes.c_uint * 3)(*size) for size in (grid, block)]
        options = int(order == "reverse"), int("__sync" in self.source or "__shfl" in self.source)
        where = ranges or None, len(ranges) // 3, int(memory is not None), library.host_kernel_image()
        with _one_at_a_time:
            before = library.host_rounding(NORMAL | ROUNDING[contracted][1])
            what, line, n = _runner().host_launch(library.host_kernel, pointers, *sizes, *options, *where)[:3]
            library.host_rounding(before)
        if what:
            line = [i for i, a in enumerate(args) if _is_memory(a)][line] if what > 5 and memory is None else line
            raise RuntimeError(f"{self.name}: {FAULTS[what].format(line=line, n=n)}.")

    def compile(self) -> None:
        """Build it now."""
        self._library()

    def _library(self) -> Any:
        if (checked, contracted) not in self._libraries:
            _runner()
            library = ctypes.CDLL(str(_built(self.source, self.name, self.options, checked, contracted)))
            if not hasattr(library, self.name):
                raise RuntimeError(f'{self.name} is not found: a kernel stands under extern "C".')
            library.host_kernel_signature.restype = ctypes.POINTER(ctypes.c_int)
            library.host_kernel_image.restype = ctypes.POINTER(ctypes.c_size_t)
            image = library.host_kernel_image()
            if (shared := image[1] - image[0]) > 48 << 10:
                raise RuntimeError(f"{self.name} has {shared} bytes of shared memory: a block has 49152.")
            self._libraries[checked, contracted] = library
        return self._libraries[checked, contracted]

    def _check(self, rows: Any, args: tuple[Any, ...]) -> None:
        """That every argument is what the kernel's parameter says: CUDA would read its bytes as something else."""
        count = rows[0]
        if len(args) != count:
            raise TypeError(f"{self.name} takes {count} arguments, {len(args)} were given.")
        for i, value in enumerate(args):
            is_pointer, kind, size = (rows[1 + i + part * count] for part in range(3))
            if value is None:
                fits = bool(is_pointer)
            else:
                dtype = np.asarray(value).dtype
                by_value = not isinstance(value, np.ndarray) or dtype.names is not None
                same = chr(kind) == "s" if dtype.kind in "V" else chr(kind) in (dtype.kind, "s")
                if chr(kind) != "s" or by_value:
                    same = same and dtype.itemsize == size
                fits = by_value != bool(is_pointer) and same
            if not fits:
                wanted = f"{'pointer to ' if is_pointer else ''}{chr(kind)}{size}"
                got = "None" if value is None else f"{type(value).__name__} of {np.asarray(value).dtype}"
                raise TypeError(f"{self.name}: argument {i} is {got}, the kernel's is {wanted}.")


def _is_memory(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.names is None


def _ranges(args: tuple[Any, ...], memory: Any) -> Any:
    """(from, to, where its allocation begins) of all that the kernel may read and write; none where it is not known."""
    hidden = any(isinstance(a, np.ndarray) and not _is_memory(a) for a in args)
    arrays = [] if hidden else filter(_is_memory, args)
    if memory is not None:
        arrays = sorted(memory, key=lambda a: a.ctypes.data)
    ends = [end for a in arrays for end in (*byte_bounds(a), root(a).ctypes.data)]
    return (ctypes.c_void_p * len(ends))(*ends)


def root(array: np.ndarray) -> np.ndarray:
    """The array whose memory this one is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _bytes(value: Any, name: str, i: int) -> np.ndarray:
    """The argument as cuLaunchKernel takes it: an array that holds its bytes. An array's are its address."""
    if isinstance(value, np.ndarray):
        if value.dtype.names is None:
            return np.array([value.ctypes.data], np.uintp)
        if value.size == 1:
            return np.ascontiguousarray(value)
        raise TypeError(f"{name}: argument {i} has {value.size} structures; one goes by value.")
    if value is None:
        return np.zeros(1, np.uintp)
    if isinstance(value, bool | int | float):
        value = np.array(value)[()]  # int64, float64, bool: as CuPy does
    if not isinstance(value, np.generic) or value.dtype.char not in BY_VALUE:
        raise TypeError(f"Unsupported type {type(value)}")  # CuPy's words; numpy.void is none of its types either
    return np.array([value])


# ------------------------------------------------------------------ building


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"minilocal-kernels-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def _aside(to: Path) -> Iterator[Path]:
    """Where to make `to`, which appears whole or not at all: any number of processes may share the folder.

    Everything on the way to it lies in a folder of this process's own. Several that make it at once all put the same.
    """
    with tempfile.TemporaryDirectory(dir=to.parent) as folder:
        target = Path(folder) / to.name
        yield target
        target.replace(to)


def _compile(to: Path, command: list[str], text: str | None = None) -> None:
    done = subprocess.run(["g++", *command, "-o", str(to)], input=text, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"g++ refused the kernel:\n{done.stderr}")


@cache
def _runner() -> ctypes.CDLL:
    """What runs every kernel: one library, whose names the kernels' libraries find."""
    if reason := available():
        raise RuntimeError(reason)
    source = (SOURCES / "cuda_on_host.cpp").read_text()
    to = _folder() / f"runner-{_hash(source, *FLAGS, *ROUNDING[False][0])}.so"
    if not to.exists():
        with _aside(to) as target:
            _compile(target, [*FLAGS, *ROUNDING[False][0], "-shared", "-x", "c++", "-"], source)
    library = ctypes.CDLL(str(to), mode=ctypes.RTLD_GLOBAL)
    library.host_launch.restype = ctypes.POINTER(ctypes.c_int)
    return library


@cache
def _built(source: str, name: str, options: tuple[str, ...], with_checks: bool, contract: bool) -> Path:
    """The shared library of one kernel."""
    if strange := [o for o in options if not o.startswith(("-D", "--std=", "-std="))]:
        raise ValueError(f"{name}: options {strange} mean nothing to g++.")
    header = (SOURCES / "cuda_on_host.h").read_text()
    text = f'#line 1 "cuda_on_host.h"\n{header}\n#line 1 "{name}.cu"\n{source}\n' + STUB.format(name=name)
    flags = [*FLAGS, *ROUNDING[contract][0], *KERNEL, *(CHECKS if with_checks else ()), *options]
    library = _folder() / f"{name}-{_hash(text, *flags)}.so"
    if not library.exists():
        with _aside(
            library
        ) as target:  # linked apart from compiling: else g++ adds libraries for what the runner answers
            kernel = target.with_suffix(".o")
            _compile(kernel, [*flags, "-c", "-x", "c++", "-"], text)
            _compile(target, ["-shared", str(kernel), "-lm"])
    return library


def _hash(*texts: str) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=12).hexdigest()
