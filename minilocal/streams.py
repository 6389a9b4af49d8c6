"""Keyed random streams: the same numbers whatever was drawn before them, and on whatever device.

A network and a Learner each draw one key from a generator. Every later number comes from a host stream that is a
function of (key, purpose, epoch, step, unit).
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from minilocal.errors import UserError


def rng(seed: int | None = None) -> np.random.Generator:
    """The one generator that a program starts from (`minilocal.rng`); without a seed, another one each time.

    Raises: UserError for a wrong seed.
    """
    try:
        if isinstance(seed, bool):
            raise TypeError
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise UserError(f"rng({seed!r}): give a whole number, 0 or more.") from None


def new_key(rng: np.random.Generator) -> int:
    """A new 63-bit key, which a network and a Learner draw once, and which names all their random streams.

    Raises: UserError for a seed, or anything else that is no generator.
    """
    if not isinstance(rng, np.random.Generator):
        seed = rng if isinstance(rng, int) and not isinstance(rng, bool) and rng >= 0 else 0
        raise UserError(f"rng = {rng!r} is no numpy.random.Generator: give minilocal.rng({seed}).")
    return int(rng.integers(2**63))


class StreamKey(NamedTuple):
    """The name of a random stream; `purpose` is a 64-bit hash of a word.

    Philox is a function of a key and a counter: `key` and the purpose make its 128-bit key, and (unit, step, epoch)
    the upper three words of its counter, so that two names share no number before 2^64 blocks are drawn.
    """

    key: int
    purpose: int
    epoch: int
    step: int
    unit: int

    def stream(self) -> np.random.Generator:
        """The host stream of this name, at its start."""
        return np.random.Generator(
            np.random.Philox(key=[self.key, self.purpose], counter=[0, self.unit, self.step, self.epoch])
        )


def stream_key(key: int, purpose: str, epoch: int = 0, step: int = 0, unit: int = 0) -> StreamKey:
    """The name of the stream for these."""
    word = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
    return StreamKey(key, word, epoch, step, unit)


def stream(key: int, purpose: str, epoch: int = 0, step: int = 0, unit: int = 0) -> np.random.Generator:
    """The host stream named by (key, purpose, epoch, step, unit)."""
    return stream_key(key, purpose, epoch, step, unit).stream()
