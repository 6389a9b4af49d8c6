"""Initial weights by scheme: what each public code sets itself, and what it leaves to its framework.

| name | convolution | batch norm γ, β | linear |
|---|---|---|---|
| infopro | normal, deviation √(2 / (k² O)) | 1, 0 | framework |
| ddg | normal, deviation √(2 / (k² O)) | 1, 0 | normal, deviation √(2 / fan_in), bias framework |
| framework | uniform in ±1/√fan_in | 1, 0 | uniform in ±1/√fan_in |
| fdg, dgl | framework | γ uniform in (0, 1), β 0, as in the framework versions they target | framework |
| predsim | framework | 1, 0 | framework; the output layer's weight 0 |

√(2 / (k² O)) is He's (Kaiming's) normal by fan-out.

Every array is drawn from the stream named by (key, its own name), so adding a layer changes no other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from minilocal.errors import set_checked, unknown, whole
from minilocal.streams import new_key, stream

SCHEMES = ("infopro", "ddg", "framework", "fdg", "dgl", "predsim")


@dataclass(frozen=True)
class Initializer:
    """Initial arrays, float32, on the host, from random streams named by `key` and the array's name.

    Raises: UserError for a key that is no whole number of 0 or more, and an unknown scheme.
    """

    key: int
    scheme: str = "infopro"
    prefix: str = ""  # prefix of every name, so that equal layers in one network get different numbers

    def __post_init__(self) -> None:
        set_checked(self, key=whole("the key of initial weights", self.key, 0))
        if self.scheme not in SCHEMES:
            raise unknown("initialisation", self.scheme, SCHEMES)

    @staticmethod
    def of(rng: np.random.Generator | Initializer, scheme: str = "infopro") -> Initializer:
        """An `Initializer` as it is, with a scheme of its own; from a generator, `scheme` with a new key.

        Raises: UserError for anything else, and an unknown scheme.
        """
        if scheme not in SCHEMES:
            raise unknown("initialisation", scheme, SCHEMES)
        return rng if isinstance(rng, Initializer) else Initializer(new_key(rng), scheme)

    def conv(self, name: str, k: int, inputs: int, outputs: int) -> np.ndarray:
        """A convolution's weight (k, k, I, O)."""
        shape, fan_in = (k, k, inputs, outputs), k * k * inputs
        if self.scheme in ("infopro", "ddg"):
            return self._normal(name, shape, (2 / (k * k * outputs)) ** 0.5)
        return self._uniform(name, shape, fan_in**-0.5)

    def linear(self, name: str, inputs: int, outputs: int, last: bool = False) -> np.ndarray:
        """A linear weight (I, O); `last` marks the network's output layer."""
        if self.scheme == "predsim" and last:
            return constant(0, inputs, outputs)
        if self.scheme == "ddg":
            return self._normal(name, (inputs, outputs), (2 / inputs) ** 0.5)
        return self._uniform(name, (inputs, outputs), inputs**-0.5)

    def bias(self, name: str, fan_in: int, outputs: int) -> np.ndarray:
        """A bias (O,), uniform in ±1/√fan_in in every scheme."""
        return self._uniform(name, (outputs,), fan_in**-0.5)

    def gamma(self, name: str, channels: int) -> np.ndarray:
        """Batch norm's scale (C,)."""
        if self.scheme in ("fdg", "dgl"):
            return self._stream(name).random(channels, dtype="float32")
        return constant(1, channels)

    def inside(self, name: str) -> Initializer:
        """The same scheme for a part of the network, whose names get the prefix `name`."""
        return replace(self, prefix=f"{self.prefix}{name} ")

    def _stream(self, name: str) -> np.random.Generator:
        return stream(self.key, f"initial {self.prefix}{name}")

    def _normal(self, name: str, shape: tuple[int, ...], deviation: float) -> np.ndarray:
        return self._stream(name).standard_normal(shape, dtype="float32") * deviation

    def _uniform(self, name: str, shape: tuple[int, ...], bound: float) -> np.ndarray:
        return (self._stream(name).random(shape, dtype="float32") * 2 - 1) * bound


def constant(value: float, *shape: int) -> np.ndarray:
    """An array filled with one number, float32, on the host."""
    return np.full(shape, value, "float32")
