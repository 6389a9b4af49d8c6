"""Devices by name, CuPy found or refused with a remedy, the current GPU, and the transfer of arrays between devices.

CuPy allocates and computes on the current GPU, which each thread has for itself, GPU 0 at first. So everything that
belongs to a device runs inside `with on_device(device)`, and what is outside keeps the GPU that it had.

A refusal is one line: what was asked for, what is wrong with this installation, and the command that repairs it.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import numpy as np

from minilocal.array import Array, to_host
from minilocal.errors import UserError, first_line
from minilocal.private import why_not_private


class DeviceNotFound(UserError):
    """The requested device does not exist on this machine; nothing is misinstalled."""


def check_device_name(device: Any) -> None:
    """Raises: UserError for anything but "cpu", "cuda" and "cuda:N"; whether it is there is not asked."""
    if not isinstance(device, str) or not re.fullmatch(r"cpu|cuda(:\d+)?", device, re.ASCII):
        raise UserError(f"device {device!r} is not known. Known: cpu, cuda, cuda:N.")


def device_namespace(device: Any) -> Any:
    """The library of a device: NumPy for "cpu", CuPy for "cuda" or "cuda:1"; a library is returned as it is.

    A first kernel is run once on each GPU. A GPU that only answers proves little, since CuPy builds kernels on the
    user's machine. The current GPU stays the one that it is.

    Raises: UserError, with a remedy, for an unknown name, a missing CuPy, driver or GPU, and a kernel that cannot be
    built.
    """
    if not isinstance(device, str) and device is not None:
        return device
    check_device_name(device)
    assert isinstance(device, str)
    if device == "cpu":
        return np
    number = device.partition(":")[2]
    cupy: Any = sys.modules.get("cupy")
    known = cupy is not None and _sound.get(device) is cupy
    if not known:
        cupy = _cupy(device)
        count = _gpus(device, cupy)
        if number and int(number) >= count:
            gpus = f"are {count} GPUs: cuda:0 to cuda:{count - 1}" if count > 1 else "is 1 GPU: cuda:0"
            raise UserError(f"device {device!r} was asked for, but there {gpus}.")
        with cupy.cuda.Device(int(number)) if number else nullcontext():
            _try(device, cupy)
        _sound[device] = cupy
    return cupy


def on_device(device: Any) -> AbstractContextManager[Any]:
    """`with on_device("cuda:1"):` makes that GPU this thread's current one, and the one before it afterwards.

    "cuda" and a library stand for the GPU that is the current one in this call, and "cpu" for none. The result may be
    entered any number of times, in any thread.

    Raises: UserError, as `device_namespace`.
    """
    xp = device_namespace(device)
    number = device.partition(":")[2] if isinstance(device, str) else ""
    if not hasattr(xp, "cuda"):
        return nullcontext()
    gpu: AbstractContextManager[Any] = xp.cuda.Device(int(number)) if number else xp.cuda.Device()
    return gpu


def make_current(device: Any) -> Any:
    """The library of a device, whose GPU is this thread's current one from here on: for a process that works on one.

    Raises: UserError, as `device_namespace`.
    """
    on_device(device).__enter__()
    return device_namespace(device)


def beside(array: Array) -> AbstractContextManager[Any]:
    """`with beside(x):` makes the GPU that x lies on the current one; nothing for an array of the host."""
    gpu = getattr(array, "device", None)
    return gpu if isinstance(gpu, AbstractContextManager) else nullcontext()


class HasDevice(Protocol):
    """What belongs to a device."""

    @property
    def on_device(self) -> AbstractContextManager[Any]: ...


S = TypeVar("S", bound=HasDevice)
P = ParamSpec("P")
R = TypeVar("R")


def on_its_device(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """The method inside `with self.on_device`."""

    @wraps(method)
    def inside(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.on_device:
            return method(self, *args, **kwargs)

    return inside


_sound: dict[str, Any] = {}  # devices whose first kernel gave the right numbers, and their library
CUPY = (  # packages that are all `cupy`
    "cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x", "cupy-rocm-7-0", "cupy-rocm-7-1", "cupy-rocm-7-14",
    "amd-cupy",
)  # fmt: skip
EXTRAS = {12: "-e '.[cuda12]'", 13: "-e '.[cuda13]'"}  # by CUDA's first number; what pip install takes in a clone
MISSING = (  # of CUDA: what CuPy says then
    "DynamicLibNotFound", "libnvrtc", "NVRTC_ERROR", "open source file", "CUDA headers", "ImportError",
)  # fmt: skip
IN_MEMORY = "CUPY_CACHE_IN_MEMORY"  # CuPy reads it whenever it builds a kernel
OLDEST = {12: 5.0, 13: 7.5}  # the compute capability that each of them still builds for


def _cupy(device: str) -> Any:
    """CuPy, imported.

    Raises: UserError where it is missing, broken, installed twice, or too old.
    """
    need = f"device {device!r} needs CuPy"
    installed = [name for name in CUPY if _version(name)]
    if len(installed) > 1:
        both, remove = " and ".join(f"{name} {_version(name)}" for name in installed), " ".join(installed)
        raise UserError(
            f"{need}, which is installed more than once, as {both}, so that one overwrites the other: pip uninstall -y "
            f"{remove}, then pip install {EXTRAS[12]}, or {EXTRAS[13]} where nvidia-smi says CUDA 13."
        )
    _look_at_kernels()
    try:
        cupy = importlib.import_module("cupy")
        importlib.import_module("cupy._core")  # a folder that happens to be named cupy has none
    except ImportError as error:
        if not installed:
            raise DeviceNotFound(
                f"{need}, which is not installed: pip install {EXTRAS[12]} (CUDA 12 drivers) or {EXTRAS[13]} "
                "(CUDA 13), or use --device cpu."
            ) from None
        broken = f"{installed[0]} {_version(installed[0])} cannot be imported ({first_line(error)})"
        raise UserError(f"{need}, and {broken}: pip install --force-reinstall {installed[0]}.") from None
    if int(cupy.__version__.partition(".")[0]) < 14:
        old = f"this is {cupy.__version__}"
        raise UserError(f"{need} 14 or later, and {old}: pip install -U {EXTRAS[12]} or {EXTRAS[13]}.")
    return cupy


def _look_at_kernels() -> None:
    """Keep CuPy's kernels in memory, with a line on stderr, where others could put theirs into its folder."""
    if os.environ.get(IN_MEMORY) == "1":
        return
    folder = Path(os.environ.get("CUPY_CACHE_DIR") or os.path.expanduser("~/.cupy/kernel_cache"))
    try:
        trouble = why_not_private(folder)
    except OSError as error:
        trouble = f"{folder}: {error.strerror}"
    if trouble:
        os.environ[IN_MEMORY] = "1"
        print(f"minilocal: CUDA kernels are built anew in each process: {trouble}", file=sys.stderr, flush=True)


def _gpus(device: str, cupy: Any) -> int:
    """The number of GPUs, 1 or more.

    Raises: UserError for no driver, one that is too old for this CuPy, and no GPU.
    """
    runtime, asked = cupy.cuda.runtime, f"device {device!r} was asked for, but"
    driver, built = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if driver == 0:
        raise DeviceNotFound(
            f"{asked} no NVIDIA driver is loaded: install it (in a container: --gpus all), see nvidia-smi, or use "
            "--device cpu."
        )
    if driver // 1000 < built // 1000:
        fits = EXTRAS.get(driver // 1000)
        wheel = next((name for name in CUPY if _version(name)), "cupy")
        mend = f"pip uninstall -y {wheel}, then pip install {fits}, or update the driver" if fits else "update it"
        raise UserError(
            f"{asked} the NVIDIA driver is too old: it knows CUDA {_dotted(driver)}, and this CuPy is built for CUDA "
            f"{_dotted(built)}: {mend}, or use --device cpu."
        )
    try:
        count, why = int(runtime.getDeviceCount()), ""
    except Exception as error:  # cudaErrorNoDevice, and whatever else a driver may answer
        count, why = 0, f" ({first_line(error)})"
    if count == 0:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        hidden = f" CUDA_VISIBLE_DEVICES={seen!r} hides them;" if seen is not None else ""
        raise DeviceNotFound(f"{asked} the driver shows no GPU{why}:{hidden} see nvidia-smi, or use --device cpu.")
    return count


def _try(device: str, cupy: Any) -> None:
    """Run a first kernel and check its numbers.

    Raises: UserError where it cannot be built or run, or its numbers are wrong.
    """
    try:
        numbers = (cupy.arange(4, dtype="float32") * 2).get().tolist()
    except Exception as error:
        mend = gpu_remedy(error, cupy) or "see minilocal doctor, or use --device cpu."
        raise UserError(f"device {device!r}: a first kernel failed ({first_line(error)}): {mend}") from None
    if numbers != [0, 2, 4, 6]:
        raise UserError(f"device {device!r}: a first kernel gave {numbers}, not [0, 2, 4, 6]: this GPU cannot be used.")


def gpu_remedy(error: BaseException, cupy: Any) -> str:
    """The remedy for a failure on the GPU, in a sentence; empty where it is not known."""
    message = f"{type(error).__name__} {error}"
    if isinstance(error, MemoryError) or "cudaErrorMemoryAllocation" in message:
        return "the GPU's memory is full; nvidia-smi tells who holds it."
    built, capability = cupy.cuda.runtime.runtimeGetVersion() // 1000, _capability(cupy)
    if capability and capability < OLDEST.get(built, 0):
        old = f"this GPU's compute capability, {capability}, is below the {OLDEST[built]} of CUDA {built}"
        return f"{old}: pip uninstall -y cupy-cuda{built}x, then pip install {EXTRAS[12]}."
    if any(sign in message for sign in MISSING):
        return f"CUDA's headers or libraries are missing: pip install {EXTRAS.get(built, EXTRAS[12])} brings them."
    return ""


_tf32 = False  # what `use_tf32` was last called with


def tf32() -> bool:
    """Whether float32 products may round their factors to TF32's 10 bits: off until `use_tf32` turns it on."""
    return _tf32


def use_tf32(xp: Any, on: bool) -> None:
    """Let float32 products on this library's device round their factors to TF32's 10 bits, or no longer.

    The products of the library follow, and wide convolutions, which then go through them (kernels/cuda/conv.py). It is
    for the whole process, and settles what CUPY_TF32 asked for. Off without a GPU, where it cannot be on.

    Raises: UserError where it is to be on and the GPU or CuPy cannot.
    """
    global _tf32
    switch = getattr(getattr(xp, "_core", None), "set_compute_type", None)  # private, and the only one there is
    if switch is None:
        if on:
            raise UserError(f"TF32 was asked for, and {xp.__name__} has no such switch: leave it out.")
        _tf32 = False
        return
    if on and (capability := _capability(xp)) < 8:
        this = f"this one has {capability}" if capability else "none answers"
        raise UserError(f"TF32 needs a GPU of compute capability 8.0 (Ampere) or later, and {this}: leave it out.")
    kinds = xp._core._routines_linalg
    switch(np.float32, kinds.COMPUTE_TYPE_TF32 if on else kinds.COMPUTE_TYPE_FP32)
    _tf32 = on


def _capability(cupy: Any) -> float:
    """The current GPU's compute capability, 0 where it is unknown."""
    try:
        return int(cupy.cuda.Device().compute_capability) / 10
    except Exception:  # the caller reports the driver's own error
        return 0.0


def _version(package: str) -> str:
    """The version of an installed package; empty for one that is not installed."""
    import importlib.metadata  # on use: it costs a tenth of `import minilocal`

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _dotted(version: int) -> str:
    """12040 as 12.4."""
    return f"{version // 1000}.{version % 1000 // 10}"


def to_device(array: Array, device: Any) -> Array:
    """`array` on `device` ("cpu", "cuda", "cuda:N"); the array itself where it is there already.

    Raises: UserError for anything but an array, a device that is unknown or not there, and where it has no memory for
    the array.
    """
    if not hasattr(array, "dtype"):
        raise UserError(f"to_device was given a {type(array).__name__}: give an array, as numpy.asarray makes one.")
    xp = device_namespace(device)
    if xp is np:
        return to_host(array)
    try:
        with on_device(device):
            arrived: Array = xp.asarray(array)
            return arrived
    except MemoryError as error:
        what = f"an array of {tuple(array.shape)} {array.dtype}, {array.nbytes / 1e6:.1f} MB"
        raise UserError(f"no room on {device} for {what} ({first_line(error)}): send less, or free some.") from None
