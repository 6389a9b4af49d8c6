"""`minilocal doctor`: versions, threads, devices and data, tried rather than listed.

Exit status 0 when everything that is here works, 1 when something was tried and failed. What it prints belongs in a
report of a problem.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from minilocal.cli.parser import Parser
from minilocal.errors import UserError

SIDE = 1024  # of the matrices in the product


def parser() -> Parser:
    """The options of `minilocal doctor`."""
    p = Parser("doctor", __doc__)
    p.add_argument("--data-dir", metavar="DIR", help="where to look for data sets")
    return p


def run(options: argparse.Namespace) -> int:
    """Prints a line for each finding."""
    from minilocal.cli.data import here
    from minilocal.record import current_environment

    found = current_environment()
    git = found["git"]
    commit = f", commit {git['commit'][:12]}{' and changes' if git['modified'] else ''}" if git else ""
    line("minilocal", f"{found['minilocal'] or 'not installed, run from its source'}{commit}")
    line("python", f"{found['python']} on {found['system']}")
    line("packages", ", ".join(f"{name} {version}" for name, version in found["packages"].items()))
    line("processor", f"{found['processor'] or found['machine']}, {found['cores']} cores for this process")
    line("threads", f"{found['threads']}" + "".join(f", {k}={v}" for k, v in found["thread_settings"].items()))
    for library in found["blas"] or [{"library": "unknown (threadpoolctl is not installed)"}]:
        line("BLAS", ", ".join(f"{value}" for value in library.values() if value) + " threads")
    well = True
    for device in devices():
        for name, trial in TRIALS.items():
            if device != "cpu" or name != "transfer":  # the host is where everything is already
                well &= attempt(f"{device} {name}", partial(trial, device))
    well &= attempt("run folders", partial(writable, Path("runs")))
    for name, state in here(options.data_dir):
        line(f"data {name}", state)
    return 0 if well else 1


def line(name: str, finding: str) -> None:
    """One finding."""
    print(f"{name:<20}{finding}", flush=True)


def attempt(name: str, trial: Callable[[], str]) -> bool:
    """Runs a trial, prints what it found or why it failed, and tells which."""
    try:
        line(name, trial())
    except Exception as error:  # the very thing that a doctor is asked about
        line(name, f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        return False
    return True


def devices() -> list[str]:
    """The devices that can be tried: the CPU, and each GPU that CuPy sees; a line says why there is none."""
    from minilocal.array import device_namespace

    try:
        cupy = device_namespace("cuda")
    except UserError as reason:
        line("gpu", str(reason))
        return ["cpu"]
    count = cupy.cuda.runtime.getDeviceCount()
    for number in range(count):
        with cupy.cuda.Device(number):
            free, total = cupy.cuda.runtime.memGetInfo()
        name = cupy.cuda.runtime.getDeviceProperties(number)["name"].decode()
        tf32 = "TF32 in products (CUPY_TF32 is set)" if os.environ.get("CUPY_TF32") == "1" else "full float32 products"
        line(
            f"gpu {number}",
            f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free, CuPy {cupy.__version__}, {tf32}",
        )
    return ["cpu", *(f"cuda:{number}" for number in range(count))]


def transfer(device: str) -> str:
    """16 MiB to the device and back, unchanged."""
    import numpy as np

    from minilocal.array import to_device, to_host

    sent = np.arange(4 << 20, dtype=np.float32)
    seconds, back = timed(lambda: to_host(to_device(sent, device)))
    return verdict(np.array_equal(sent, back), f"16 MiB there and back in {1e3 * seconds:.1f} ms")


def multiply(device: str) -> str:
    """A product of two float32 matrices against float64 on the host."""
    import numpy as np

    from minilocal.array import generator, to_device, to_host
    from minilocal.kernels import product

    x, W = generator(0).standard_normal((2, SIDE, SIDE)).astype(np.float32)
    on = to_device(x, device), to_device(W, device)
    to_host(product(*on))  # the first call builds and loads
    seconds, y = timed(lambda: to_host(product(*on)))
    exact = x.astype(np.float64) @ W
    worst = float(np.abs(y - exact).max() / np.abs(exact).max())
    speed = f"{2 * SIDE**3 / seconds / 1e9:.0f} GFLOP/s, float32, copy to the host included"
    return verdict(worst < 1e-5, f"{SIDE}×{SIDE}, {speed}; largest relative error {worst:.1e}")


def kernel(device: str) -> str:
    """Batch statistics at a mean of a thousand deviations, where a careless sum fails."""
    import numpy as np

    from minilocal.array import generator, to_device, to_host
    from minilocal.kernels import norm_statistics

    z = (1000 + generator(0).standard_normal((64, 16, 16, 16))).astype(np.float32)
    found = to_host(norm_statistics(to_device(z, device), 1e-5).variance)
    exact = z.astype(np.float64).var(axis=(0, 1, 2))
    worst = float(np.abs(found / exact - 1).max())
    return verdict(worst < 1e-2, f"batch norm's variance, largest relative error {worst:.1e}")


def step(device: str) -> str:
    """One training step of BackLink on a small network; its losses against the host's."""
    import numpy as np

    from minilocal import learner, nets, rules
    from minilocal.array import generator, to_device, to_host

    x = generator(1).standard_normal((32, 16, 16, 1)).astype(np.float32)
    y = np.arange(32) % 10

    def losses(where: str) -> Any:
        rng = generator(0)
        net = nets.get("resnet8", classes=10, channels=1, size=16, rng=rng)
        small = learner.Learner(net, rules.backlink(), modules=2, rng=rng, device=where)
        return to_host(small.step(to_device(x, where), to_device(y, where), lr=0.1))

    seconds, here = timed(lambda: losses(device))
    worst = float(np.abs(here / losses("cpu") - 1).max())
    return verdict(worst < 1e-3, f"a BackLink step of ResNet-8 in {seconds:.2f} s; losses {np.round(here, 3)}")


TRIALS = {"transfer": transfer, "product": multiply, "kernel": kernel, "training step": step}


def writable(folder: Path) -> str:
    """Whether runs can be written below the current folder, and how much space is left there."""
    import shutil
    import tempfile

    place = folder if folder.is_dir() else Path()
    with tempfile.TemporaryFile(dir=place) as file:
        file.write(b"x")
    return f"{place.resolve()} can be written, {shutil.disk_usage(place).free / 2**30:.1f} GiB free"


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that `work` takes, and what it returns."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def verdict(right: bool, finding: str) -> str:
    """The finding, or an error that carries it."""
    if not right:
        raise ArithmeticError(f"wrong result: {finding}")
    return finding
