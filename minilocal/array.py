"""Where an array lives, and where its random numbers come from.

The array decides: `namespace(x)` is NumPy for a NumPy array, CuPy for a CuPy array, and whatever an array names
itself through `__array_namespace__`. Nothing here switches anything globally, and nothing converts silently.

Chance is keyed. A network and a Learner each draw one key; every later number comes from a host stream named by
(key, purpose, epoch, step, unit), so it does not depend on what was drawn before it, or on the device.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from typing import Any, NamedTuple

import numpy as np

from minilocal.errors import UserError

Array = Any  # numpy.ndarray, cupy.ndarray, or any type with __array_namespace__


def namespace(*arrays: Array) -> Any:
    """The library that these arrays live in: `numpy`, `cupy`, or the one that they name.

    Raises: TypeError when arrays of two homes meet, naming both and the remedy.
    """
    first = type(arrays[0])
    if all(type(a) is first for a in arrays):
        return np if first is np.ndarray else _home(arrays[0])
    homes = {_home(a) for a in arrays}
    if len(homes) > 1:
        names = " and ".join(sorted(h.__name__ for h in homes))
        raise TypeError(
            f"{names} arrays met in one call: the batch and the network live in different places. "
            "Move the batch with minilocal.to_device(batch, device), or build the Learner with device='cpu'."
        )
    return homes.pop()


def _home(array: Array) -> Any:
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    root = type(array).__module__.partition(".")[0]
    if root in ("builtins", "jaxlib", "torch") or root not in sys.modules:
        raise TypeError(f"expected a NumPy or CuPy array, got {type(array).__name__}: convert it with numpy.asarray.")
    return sys.modules[root]


class DeviceNotFound(UserError):
    """A device that is not here, and nothing that is installed is at fault."""


def device_namespace(device: Any) -> Any:
    """The library behind a device name: "cpu" is NumPy, "cuda" or "cuda:1" is CuPy; a library stands for itself.

    A GPU is tried once, by a first kernel; that one is there and answers says little, since CuPy builds its kernels on
    the user's machine.

    Raises: UserError for an unknown name, for a missing CuPy, driver or GPU, and for whatever keeps a kernel from being
    built: in one line, with what mends it.
    """
    if not isinstance(device, str):
        return device
    if device == "cpu":
        return np
    kind, _, number = device.partition(":")
    if kind != "cuda":
        raise UserError(f"device {device!r} is not known. Known: cpu, cuda, cuda:N.")
    cupy: Any = sys.modules.get("cupy")
    known = cupy is not None and _sound.get(device) is cupy
    if not known:
        cupy = _cupy(device)
        count = _gpus(device, cupy)
        if number and (not number.isdecimal() or int(number) >= count):
            raise UserError(f"device {device!r} was asked for, but there are {count} GPUs: cuda:0 to cuda:{count - 1}.")
    if number:
        cupy.cuda.Device(int(number)).use()
    if not known:
        _try(device, cupy)
        _sound[device] = cupy
    return cupy


_sound: dict[str, Any] = {}  # devices whose first kernel gave the right numbers, and their library
CUPY = ("cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x", "cupy-rocm-7-0", "amd-cupy")  # all of them are `cupy`
EXTRAS = {12: "-e '.[cuda12]'", 13: "-e '.[cuda13]'"}  # by CUDA's first number; what pip install takes in a clone
MISSING = ("DynamicLibNotFound", "libnvrtc", "NVRTC_ERROR", "open source file", "ImportError")  # CUDA is not whole
OLDEST = {12: 5.0, 13: 7.5}  # the compute capability that each of them still builds for


def _cupy(device: str) -> Any:
    """CuPy, imported.

    Raises: UserError where it is missing, broken, there twice, or too old.
    """
    need = f"device {device!r} needs CuPy"
    there = [name for name in CUPY if _version(name)]
    if len(there) > 1:
        both, remove = " and ".join(f"{name} {_version(name)}" for name in there), " ".join(there)
        raise UserError(
            f"{need}, which is installed more than once, as {both}, so that one overwrites the other: pip uninstall -y "
            f"{remove}, then pip install {EXTRAS[12]}, or {EXTRAS[13]} where nvidia-smi says CUDA 13."
        )
    try:
        cupy = importlib.import_module("cupy")
        importlib.import_module("cupy._core")  # which a folder that happens to be called cupy has not
    except ImportError as error:
        if not there:
            raise DeviceNotFound(
                f"{need}, which is not installed: pip install {EXTRAS[12]} (CUDA 12 drivers) or {EXTRAS[13]} "
                "(CUDA 13), or use --device cpu."
            ) from None
        broken = f"{there[0]} {_version(there[0])} cannot be imported ({_first_line(error)})"
        raise UserError(f"{need}, and {broken}: pip install --force-reinstall {there[0]}.") from None
    if int(cupy.__version__.partition(".")[0]) < 14:
        old = f"this is {cupy.__version__}"
        raise UserError(f"{need} 14 or later, and {old}: pip install -U {EXTRAS[12]} or {EXTRAS[13]}.")
    return cupy


def _gpus(device: str, cupy: Any) -> int:
    """How many GPUs there are, 1 or more.

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
        count, why = 0, f" ({_first_line(error)})"
    if count == 0:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        hidden = f" CUDA_VISIBLE_DEVICES={seen!r} hides them;" if seen is not None else ""
        raise DeviceNotFound(f"{asked} the driver shows no GPU{why}:{hidden} see nvidia-smi, or use --device cpu.")
    return count


def _try(device: str, cupy: Any) -> None:
    """A first kernel and its numbers.

    Raises: UserError where it cannot be built or run, or its numbers are wrong.
    """
    try:
        numbers = (cupy.arange(4, dtype="float32") * 2).get().tolist()
    except Exception as error:
        mend = gpu_remedy(error, cupy) or "see minilocal doctor, or use --device cpu."
        raise UserError(f"device {device!r}: a first kernel failed ({_first_line(error)}): {mend}") from None
    if numbers != [0, 2, 4, 6]:
        raise UserError(f"device {device!r}: a first kernel gave {numbers}, not [0, 2, 4, 6]: this GPU cannot be used.")


def gpu_remedy(error: BaseException, cupy: Any) -> str:
    """What mends a failure on the GPU, in a sentence; nothing where that is not known."""
    said = f"{type(error).__name__} {error}"
    if isinstance(error, MemoryError) or "cudaErrorMemoryAllocation" in said:
        return "the GPU's memory is full; nvidia-smi tells who holds it."
    built, capability = cupy.cuda.runtime.runtimeGetVersion() // 1000, _capability(cupy)
    if capability and capability < OLDEST.get(built, 0):
        old = f"this GPU's compute capability, {capability}, is below the {OLDEST[built]} of CUDA {built}"
        return f"{old}: pip uninstall -y cupy-cuda{built}x, then pip install {EXTRAS[12]}."
    if any(sign in said for sign in MISSING):
        return f"CUDA's headers or libraries are missing: pip install {EXTRAS.get(built, EXTRAS[12])} brings them."
    return ""


def use_tf32(xp: Any, on: bool) -> None:
    """Whether float32 products on this library's device may round their factors to TF32's 10 bits.

    It is for the whole process, and settles what CUPY_TF32 asked for. Off without a GPU, where it cannot be on.

    Raises: UserError where it is to be on and the GPU or CuPy cannot.
    """
    switch = getattr(getattr(xp, "_core", None), "set_compute_type", None)  # private, and the only one there is
    if switch is None:
        if on:
            raise UserError(f"TF32 was asked for, and {xp.__name__} has no such switch: leave it out.")
        return
    if on and (capability := _capability(xp)) < 8:
        found = f"this one has {capability}" if capability else "none answers"
        raise UserError(f"TF32 needs a GPU of compute capability 8.0 (Ampere) or later, and {found}: leave it out.")
    kinds = xp._core._routines_linalg
    switch(np.float32, kinds.COMPUTE_TYPE_TF32 if on else kinds.COMPUTE_TYPE_FP32)


def _capability(cupy: Any) -> float:
    """The current GPU's compute capability, 0 where it does not say."""
    try:
        return int(cupy.cuda.Device().compute_capability) / 10
    except Exception:  # the driver's own words are in the error that is being explained
        return 0.0


def _version(package: str) -> str:
    """Of an installed package; nothing where there is none."""
    import importlib.metadata  # on use: it costs a tenth of `import minilocal`

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _dotted(version: int) -> str:
    """12040 as 12.4."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _first_line(error: BaseException) -> str:
    """What an error says, its first line; of CuPy's page about a failed import, the cause."""
    text = str(error).rpartition("Original error:")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip(" =\n")]
    kind, said = type(error).__name__, lines[0][:200] if lines else ""
    return said if said.startswith(kind) else f"{kind}: {said}".rstrip(": ")


def to_device(array: Array, device: Any) -> Array:
    """`array` on `device` ("cpu", "cuda", "cuda:N"); the array itself where it is there already.

    Raises: UserError where the device has no room for it.
    """
    xp = device_namespace(device)
    try:
        return to_host(array) if xp is np else xp.asarray(array)
    except MemoryError as error:
        what = f"an array of {tuple(array.shape)} {array.dtype}, {array.nbytes / 1e6:.1f} MB"
        raise UserError(f"no room on {device} for {what} ({_first_line(error)}): send less, or free some.") from None


def to_host(array: Array) -> np.ndarray:
    """`array` as a NumPy array. From a device this waits and copies, so it never happens inside a step."""
    return array if isinstance(array, np.ndarray) else array.get() if hasattr(array, "get") else np.asarray(array)


def host_copy(value: Any, dtype: Any = None) -> np.ndarray:
    """A NumPy array of its own: a copy of an array, wherever it lives, or of plain numbers."""
    return np.array(to_host(value) if hasattr(value, "dtype") else value, dtype)


def generator(seed: int | None = None) -> np.random.Generator:
    """The one generator that a program starts from (`minilocal.rng`); without a seed, another one each time.

    Raises: UserError for what is no seed.
    """
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise UserError(f"rng({seed!r}): give a whole number, 0 or more.") from None


def new_key(rng: np.random.Generator) -> int:
    """A fresh 63-bit key: what a network and a Learner draw once, and all later chance is named by.

    Raises: UserError for a seed, or anything else that is no generator.
    """
    if not isinstance(rng, np.random.Generator):
        seed = rng if isinstance(rng, int) and not isinstance(rng, bool) and rng >= 0 else 0
        raise UserError(f"rng = {rng!r} is no numpy.random.Generator: give minilocal.rng({seed}).")
    return int(rng.integers(2**63))


class StreamKey(NamedTuple):
    """What a stream of random numbers is named by; `purpose` is a 64-bit number made of a word.

    Philox is a function of a key and a counter: `key` and the purpose make its 128-bit key, and (unit, step, epoch)
    the upper three words of its counter, so that two names share no number before 2^64 blocks are drawn.
    """

    key: int
    purpose: int
    epoch: int
    step: int
    unit: int

    def stream(self) -> np.random.Generator:
        """The host stream of this name, from its first number on."""
        return np.random.Generator(
            np.random.Philox(key=[self.key, self.purpose], counter=[0, self.unit, self.step, self.epoch])
        )


def stream_key(key: int, purpose: str, epoch: int = 0, step: int = 0, unit: int = 0) -> StreamKey:
    """The name made of these."""
    word = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
    return StreamKey(key, word, epoch, step, unit)


def stream(key: int, purpose: str, epoch: int = 0, step: int = 0, unit: int = 0) -> np.random.Generator:
    """The host stream named by (key, purpose, epoch, step, unit)."""
    return stream_key(key, purpose, epoch, step, unit).stream()
