"""NVIDIA's run-time compiler, which CuPy uses, without a GPU and without a driver: what a kernel's build takes.

    pip install nvidia-cuda-nvrtc-cu12        or nvidia-cuda-nvrtc (CUDA 13); or LD_LIBRARY_PATH=the folder of libnvrtc

    from tests.kernels import nvrtc
    pytestmark = pytest.mark.skipif(nvrtc.missing() is not None, reason=str(nvrtc.missing()))
    used = nvrtc.build(SGD, "f", {"MOST": 120, "THREADS": 256, "EACH": 4}, sm=90)
    used.registers, used.stack, used.spilled, used.shared

`python -m tests.kernels.test_cuda_compiles` prints them for every build of that file.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from minilocal.kernels.cuda.launch import Kernel

NAMES = ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so")
PACKAGES = ("nvidia.cuda_nvrtc", "nvidia.cu13")
TOOLKIT = Path("/usr/local/cuda/lib64")


class Build(NamedTuple):
    """What ptxas says of a kernel: registers of a thread; bytes of stack, of spills (stores and loads), of static
    shared memory.
    """

    registers: int
    stack: int
    spilled: int
    shared: int


@cache
def missing() -> str | None:
    """Why nothing can be compiled here; None if it can."""
    return None if _library() else "no libnvrtc on this machine (pip install nvidia-cuda-nvrtc-cu12)"


def build(kernel: Kernel, char: str, constants: Mapping[str, int], sm: int = 90) -> Build:
    """Compile the kernel for numbers of this type, these constants and this compute capability.

    Raises: RuntimeError with the compiler's words where it refuses.
    """
    log = _compiled(kernel.text(char, dict(constants)), kernel.name, sm)
    match = re.search(
        r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers(.*?)\n",
        log,
        re.S,
    )
    assert match, f"no word of ptxas about {kernel.name}:\n{log}"
    stack, stores, loads, registers = map(int, match.groups()[:4])
    shared = re.search(r"(\d+) bytes smem", match[5])
    return Build(registers, stack, stores + loads, int(shared[1]) if shared else 0)


def _compiled(text: str, name: str, sm: int) -> str:
    """The log of a compilation with CuPy's options, and the resources that every kernel takes."""
    nvrtc: Any = _library()
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    options = [b"--std=c++17", b"-ftz=true", f"--gpu-architecture=sm_{sm}".encode(), b"--ptxas-options=-v"]
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), f"{name}.cu".encode(), 0, None, None)
    failed = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    if failed:
        raise RuntimeError(f"NVRTC refused {name} for sm_{sm}:\n{log.value.decode()}")
    return log.value.decode()


@cache
def _library() -> ctypes.CDLL | None:
    for name in _candidates():
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _candidates() -> Iterator[str]:
    for package in PACKAGES:
        try:
            package_spec = find_spec(package)
        except ModuleNotFoundError:
            continue
        for folder in (package_spec.submodule_search_locations or ()) if package_spec else ():
            yield from map(str, sorted(Path(folder).glob("lib/libnvrtc.so.*")))
    yield from NAMES
    yield from (str(TOOLKIT / name) for name in NAMES)
