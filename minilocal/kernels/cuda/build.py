"""The kernels of a step, built side by side before it first runs.

CuPy builds a kernel when it is first launched, in a fifth of a second, and a step launches some fifty. One by one they
take ten seconds. So the step is gone through once without a launch, which says what it needs, and threads build that:
NVRTC works outside of Python's lock. CuPy keeps what is built on disk, and later runs load it from there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

from minilocal.kernels.cuda.launch import noting
from minilocal.ops.dispatch import not_intercepted

THREADS = 8
LINE_AFTER = 1.0  # seconds until a line says what takes so long; kernels on disk are there sooner


def build_kernels(work: Callable[[], object], xp: Any) -> None:
    """Build the kernels that `work()` launches on the current GPU of the library `xp`.

    `work` is called here, and none of its launches runs: what it reads of them is chance. So it may change nothing that
    stays. An error in it is left to the step itself to raise.

    Raises: what the library raises where a kernel cannot be built.
    """
    with noting() as kernels, not_intercepted(), suppress(Exception):
        work()
    number = xp.cuda.Device().id

    def build(kernel: Any) -> None:
        with xp.cuda.Device(number):  # the current GPU of a new thread is the first
            kernel.compile()

    with ThreadPoolExecutor(THREADS) as pool:
        builds = [pool.submit(build, kernel) for kernel in kernels]
        done, waiting = wait(builds, LINE_AFTER)
        if waiting:
            line = f"building CUDA kernels, once: {len(done)} of {len(builds)} are done; CuPy keeps them for later runs"
            print(f"minilocal: {line}", file=sys.stderr, flush=True)
    for finished in builds:
        finished.result()
