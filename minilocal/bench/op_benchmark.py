"""A piece of a training step: its operands, what it must compute and move at least, and how both engines do it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilocal import ops
from minilocal.bench.timing import Work

Arrays = dict[str, np.ndarray]
COLD = 256e6  # bytes that no cache of a GPU holds


@dataclass(frozen=True)
class OpBenchmark:
    """`arrays()` are its operands on the host; `ours(ops, arrays)` does the work.

    `theirs(torch, F, tensors)` returns PyTorch's work; its tensors need gradients, images are channels first, and a
    convolution's weights, called W4, are as PyTorch has them. None where PyTorch has nothing of the kind.
    """

    name: str
    flops: float
    numbers: float
    arrays: Callable[[], Arrays]
    ours: Callable[[Any, Any], Any]
    theirs: Callable[[Any, Any, Any], Work] | None = None
    maps: bool = True  # are there images, so that PyTorch's layout matters?

    def engine(self, xp: Any, dtype: str = "float32") -> Work:
        """The work on arrays of the library xp; on a device on several sets in turn, so that none stays in a cache."""
        arrays = self.arrays()
        turn = _forever([_moved(arrays, xp, dtype) for _ in range(1 if xp is np else _copies(arrays))])
        return lambda: self.ours(ops, next(turn))

    def torch(self, torch: Any, device: str, layout: str, dtype: str = "float32") -> Work:
        """The same by PyTorch; raises RuntimeError where it has nothing of the kind."""
        if self.theirs is None:
            raise RuntimeError(f"PyTorch has no single function for {self.name}")
        there = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        arrays = self.arrays()
        if "W4" in arrays:  # (k, k, I, O), so that channels first it becomes (O, I, k, k)
            arrays["W4"] = arrays["W4"].transpose(3, 0, 1, 2)

        def tensor(a: np.ndarray) -> Any:
            t = torch.from_numpy(np.ascontiguousarray(a.transpose(0, 3, 1, 2)) if a.ndim == 4 else a)
            t = t.to(device, getattr(torch, dtype)) if a.dtype.kind == "f" else t.to(device)
            t = t.clone(memory_format=there) if a.ndim == 4 else t.clone()
            return t.requires_grad_(a.dtype.kind == "f")

        sets = [{n: tensor(a) for n, a in arrays.items()} for _ in range(1 if device == "cpu" else _copies(arrays))]
        turn = _forever([self.theirs(torch, torch.nn.functional, tensors) for tensors in sets])
        return lambda: next(turn)()


def _copies(arrays: Arrays) -> int:
    """So many sets of arrays that together they are larger than a GPU's cache."""
    return int(max(1, min(8, COLD // max(1, sum(a.nbytes for a in arrays.values())))))


def _moved(arrays: Arrays, xp: Any, dtype: str) -> Any:
    return {n: xp.asarray(a.astype(dtype) if a.dtype.kind == "f" else a) for n, a in arrays.items()}


def _forever(things: list[Any]) -> Iterator[Any]:
    while True:
        yield from things
