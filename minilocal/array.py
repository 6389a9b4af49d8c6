"""Where an array lives, and where its random numbers come from.

The array decides: `namespace(x)` is NumPy for a NumPy array, CuPy for a CuPy array, and whatever an array names
itself through `__array_namespace__`. Nothing here switches anything globally, and nothing converts silently.

Chance is keyed. A network and a Learner each draw one key; every later number comes from a host stream named by
(key, purpose, epoch, step, unit), so it does not depend on what was drawn before it, or on the device.
"""

from __future__ import annotations

import hashlib
import importlib
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


def device_namespace(device: Any) -> Any:
    """The library behind a device name: "cpu" is NumPy, "cuda" or "cuda:1" is CuPy; a library stands for itself.

    Raises: UserError for an unknown name, for a missing CuPy (with the pip line), and for a missing GPU.
    """
    if not isinstance(device, str):
        return device
    if device == "cpu":
        return np
    if device.partition(":")[0] != "cuda":
        raise UserError(f"device {device!r} is not known. Known: cpu, cuda, cuda:N.")
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        raise UserError(
            f"device {device!r} needs CuPy, which is not installed: pip install 'minilocal[cuda12]' "
            "(CUDA 12 drivers) or 'minilocal[cuda13]' (CUDA 13), or use --device cpu."
        ) from None
    if not cupy.cuda.is_available():
        raise UserError(
            f"device {device!r} was asked for, but CuPy {cupy.__version__} sees no usable GPU: check the driver with "
            "nvidia-smi, or use --device cpu."
        )
    number = device.partition(":")[2]
    if number:
        count = cupy.cuda.runtime.getDeviceCount()
        if not number.isdigit() or int(number) >= count:
            raise UserError(f"device {device!r} was asked for, but there are {count} GPUs: cuda:0 to cuda:{count - 1}.")
        cupy.cuda.Device(int(number)).use()
    return cupy


def to_device(array: Array, device: Any) -> Array:
    """`array` on `device` ("cpu", "cuda", "cuda:N"); the array itself where it is there already."""
    xp = device_namespace(device)
    return to_host(array) if xp is np else xp.asarray(array)


def to_host(array: Array) -> np.ndarray:
    """`array` as a NumPy array. From a device this waits and copies, so it never happens inside a step."""
    return array if isinstance(array, np.ndarray) else array.get() if hasattr(array, "get") else np.asarray(array)


def generator(seed: int | None = None) -> np.random.Generator:
    """The one generator that a program starts from (`minilocal.rng`)."""
    return np.random.default_rng(seed)


def new_key(rng: np.random.Generator) -> int:
    """A fresh 63-bit key: what a network and a Learner draw once, and all later chance is named by."""
    return int(rng.integers(2**63))


class Name(NamedTuple):
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


def named(key: int, purpose: str, epoch: int = 0, step: int = 0, unit: int = 0) -> Name:
    """The name made of these."""
    word = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
    return Name(key, word, epoch, step, unit)


def stream(key: int, purpose: str, epoch: int = 0, step: int = 0, unit: int = 0) -> np.random.Generator:
    """The host stream named by (key, purpose, epoch, step, unit)."""
    return named(key, purpose, epoch, step, unit).stream()
