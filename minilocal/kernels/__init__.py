"""Fast forms of the operations in `minilocal.ops`, by where they run, each tested equal to the plain code there.

    cpu/            NumPy, in blocks that stay in the cache, shared by threads
    cuda/           any library that builds CUDA kernels (CuPy), in CUDA C++
    threads.py      the thread pool, and BLAS held to one thread
    workspace.py    scratch memory of each thread
    malloc.py       freed memory stays with the process
    underflow.py    a number too small for a float is 0

`ops.dispatch` reads the table `FORMS` {name of the operation: function} of cpu and cuda.
"""

from __future__ import annotations

from typing import Any

from minilocal import device
from minilocal.kernels.cuda import conv


def use_tf32(xp: Any, on: bool) -> None:
    """Whether float32 products on this library's device may round their factors to TF32's 10 bits: those that the
    library makes, and with them wide convolutions, which then go through it. For the whole process.

    Raises: UserError where it is to be on and the GPU or CuPy cannot.
    """
    device.use_tf32(xp, on)
    conv.use_tf32(on)
