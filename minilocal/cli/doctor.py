"""`minilocal doctor`: versions, threads, devices and data sets, each of them tried.

Exit status 0 when everything that is present works, 1 when something failed. Add its output to a bug report.
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
REQUIRED = ("numpy", "matplotlib", "msgspec", "threadpoolctl", "tqdm")
OPTIONAL = {
    "jax": "minilocal verify",
    "torch": "minilocal bench, to compare with it",
    "jupytext": "the notebooks",
    "mpi4py": "minilocal train --processes",
    "scipy": "--dataset svhn",
    "numba": "--kernels numba",
}


def parser() -> Parser:
    """The options of `minilocal doctor`."""
    p = Parser("doctor", __doc__)
    p.add_argument("--data-dir", metavar="DIR", help="where to look for data sets")
    return p


def run(options: argparse.Namespace) -> int:
    """Print a line for each finding."""
    from minilocal.cli.data import states
    from minilocal.device import on_device
    from minilocal.record import current_environment

    environment = current_environment()
    git = environment["git"]
    commit = f", commit {git['commit'][:12]}{' and changes' if git['modified'] else ''}" if git else ""
    line("minilocal", f"{environment['minilocal'] or 'not installed, run from its source'}{commit}")
    line("python", f"{environment['python']} on {environment['system']}")
    installed, well = packages(environment["packages"])
    line(
        "processor",
        f"{environment['processor'] or environment['machine']}, {environment['cores']} cores for this process",
    )
    line(
        "threads",
        f"{environment['threads']}" + "".join(f", {k}={v}" for k, v in environment["thread_settings"].items()),
    )
    for library in environment["blas"] or []:
        line("BLAS", ", ".join(f"{value}" for value in library.values() if value) + " threads")
    if environment["blas"] is None:
        line("BLAS", "unknown: threadpoolctl is not installed")
    usable, sound = devices()
    well &= sound
    for device in usable:
        for name, trial in (TRIALS if device == "cpu" else GPU_TRIALS | TRIALS).items():
            with on_device(device):
                well &= attempt(f"{device} {name}", partial(trial, device), remedy=device != "cpu")
    if "numba" in installed:
        well &= attempt("cpu kernels", compiled)
    if "mpi4py" in installed:
        well &= mpi()
    well &= attempt("run folders", partial(writable, Path("runs")))
    for name, state in states(options.data_dir):
        line(f"data {name}", state)
    return 0 if well else 1


def line(name: str, finding: str) -> None:
    """Print one finding."""
    print(f"{name:<22}{finding}", flush=True)


def attempt(name: str, trial: Callable[[], str], remedy: bool = False) -> bool:
    """Run a trial and print its result, or its error and a remedy. Returns whether it passed."""
    try:
        finding = trial()
    except Exception as error:  # any error is a finding
        failed = f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        line(name, f"{failed} {_gpu_remedy(error) if remedy else ''}".rstrip())
        return False
    line(name, finding)  # outside the try: an error of printing is no failure of the trial
    return True


def packages(recorded: dict[str, str]) -> tuple[dict[str, str], bool]:
    """Print the packages' versions and which are missing. (the versions, whether all that are required are there)."""
    from minilocal.record.environment import version

    others = {name: version(name) for name in (*REQUIRED, *OPTIONAL) if name not in recorded}
    installed = {**recorded, **{name: number for name, number in others.items() if number}}
    line("packages", ", ".join(f"{name} {number}" for name, number in installed.items()))
    if missing := [f"{name} (for {use})" for name, use in OPTIONAL.items() if name not in installed]:
        line("not installed", ", ".join(missing))
    lacking = [name for name in REQUIRED if name not in installed]
    for name in lacking:
        line(name, f"FAILED: it is not installed, and minilocal needs it: pip install {name}")
    return installed, not lacking


def mpi() -> bool:
    """Start two ranks, and print what slows or breaks their messages here."""
    from minilocal.parallel.environment import started
    from minilocal.parallel.launcher import trial

    if started():
        line("MPI", "not tried: this process is a rank itself")
        return True
    well = attempt("MPI", trial.two_ranks)
    for name, text in trial.remarks().items():
        line(name, text)
    return well


def _gpu_remedy(error: Exception) -> str:
    from minilocal.device import device_namespace, gpu_remedy

    return gpu_remedy(error, device_namespace("cuda"))


def devices() -> tuple[list[str], bool]:
    """(the CPU and each GPU that CuPy finds, whether none of them is broken).

    Prints why there is no GPU. A machine without a GPU is sound; a GPU that cannot be used is not.
    """
    from minilocal.device import DeviceNotFound, device_namespace

    try:
        cupy = device_namespace("cuda")
    except UserError as reason:
        well = isinstance(reason, DeviceNotFound)
        line("gpu", str(reason) if well else f"FAILED: {reason}")
        return ["cpu"], well
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
    return ["cpu", *(f"cuda:{number}" for number in range(count))], True


def transfer(device: str) -> str:
    """Copy 16 MiB to the device and back, and compare."""
    import numpy as np

    from minilocal.array import to_host
    from minilocal.device import to_device

    original = np.arange(4 << 20, dtype=np.float32)
    seconds, back = timed(lambda: to_host(to_device(original, device)))
    return verdict(np.array_equal(original, back), f"16 MiB there and back in {1e3 * seconds:.1f} ms")


TWICE = """extern "C" __global__ void twice(float* a) { a[blockIdx.x * blockDim.x + threadIdx.x] *= 2; }"""


def launch(device: str) -> str:
    """Build a kernel on this machine, launch it, and check its result."""
    from minilocal.array import to_host
    from minilocal.device import device_namespace

    xp = device_namespace(device)
    a = xp.ones(1024, xp.float32)
    seconds, _ = timed(lambda: xp.RawKernel(TWICE, "twice")((4,), (256,), (a,)))
    return verdict(bool((to_host(a) == 2).all()), f"built and started in {1e3 * seconds:.1f} ms")


def graph(device: str) -> str:
    """Record the same kernel as a CUDA graph, launch the graph twice, and check the result."""
    from minilocal.array import to_host
    from minilocal.device import device_namespace

    xp = device_namespace(device)
    a, kernel = xp.ones(256, xp.float32), xp.RawKernel(TWICE, "twice")
    kernel((1,), (256,), (a,))  # built before the recording
    xp.cuda.Device().synchronize()
    stream = xp.cuda.Stream(non_blocking=True)  # the default stream cannot be recorded
    with stream:
        stream.begin_capture()
        kernel((1,), (256,), (a,))
        recorded = stream.end_capture()
        seconds, _ = timed(lambda: [recorded.launch(), recorded.launch()])
        stream.synchronize()
    return verdict(bool((to_host(a) == 8).all()), f"recorded, and started twice in {1e3 * seconds:.2f} ms")


def multiply(device: str) -> str:
    """Compare a float32 matrix product with float64 on the host."""
    import numpy as np

    from minilocal import streams
    from minilocal.array import to_host
    from minilocal.device import to_device
    from minilocal.ops import matmul

    x, W = streams.rng(0).standard_normal((2, SIDE, SIDE)).astype(np.float32)
    on = to_device(x, device), to_device(W, device)
    to_host(matmul(*on))  # the first call builds the kernel and loads libraries
    seconds, y = timed(lambda: to_host(matmul(*on)))
    exact = x.astype(np.float64) @ W
    worst = float(np.abs(y - exact).max() / np.abs(exact).max())
    copied = "" if device == "cpu" else ", copy to the host included"
    speed = f"{2 * SIDE**3 / seconds / 1e9:.0f} GFLOP/s, float32{copied}"
    return verdict(worst < 1e-5, f"{SIDE}×{SIDE}, {speed}; largest relative error {worst:.1e}")


def kernel(device: str) -> str:
    """Batch variance at a mean of 1000 deviations, where a one-pass float32 sum fails."""
    import numpy as np

    from minilocal import streams
    from minilocal.array import to_host
    from minilocal.device import to_device
    from minilocal.ops import batch_norm_stats

    z = (1000 + streams.rng(0).standard_normal((64, 16, 16, 16))).astype(np.float32)
    variance = to_host(batch_norm_stats(to_device(z, device), 1e-5).variance)
    exact = z.astype(np.float64).var(axis=(0, 1, 2))
    worst = float(np.abs(variance / exact - 1).max())
    return verdict(worst < 1e-2, f"batch norm's variance, largest relative error {worst:.1e}")


def step(device: str) -> str:
    """Compare the losses of one BackLink step of a small network with the host's."""
    import numpy as np

    seconds, result = timed(lambda: losses(device))
    worst = float(np.abs(result / losses("cpu") - 1).max())
    return verdict(worst < 1e-3, f"a BackLink step of ResNet-8 in {seconds:.2f} s; losses {np.round(result, 3)}")


def compiled() -> str:
    """Compare the losses of the same step by Numba's kernels with NumPy's; compiled code stays for later runs."""
    import numpy as np

    from minilocal.kernels.choice import using

    with using("numba"):
        from minilocal.kernels.numba.cache import FOLDER, TROUBLE

        losses("cpu")  # compiles
        seconds, result = timed(lambda: losses("cpu"))
    worst = float(np.abs(result / losses("cpu") - 1).max())
    kept = f"not kept: {FOLDER}: {TROUBLE}" if TROUBLE else f"kept in {FOLDER}"
    return verdict(worst < 1e-3, f"Numba's run (--kernels numba), the same step in {seconds:.2f} s; {kept}")


def losses(device: str) -> Any:
    """The losses of one BackLink step of a small network."""
    import numpy as np

    from minilocal import learner, nets, rules, streams
    from minilocal.array import to_host
    from minilocal.device import to_device

    x = streams.rng(1).standard_normal((32, 16, 16, 1)).astype(np.float32)
    y, rng = np.arange(32) % 10, streams.rng(0)
    net = nets.get("resnet8", classes=10, channels=1, size=16, rng=rng)
    small = learner.Learner(net, rules.backlink(), modules=2, rng=rng, device=device)
    return to_host(small.step(to_device(x, device), to_device(y, device), lr=0.1))


GPU_TRIALS = {"launch": launch, "transfer": transfer, "graph": graph}  # only on a GPU
TRIALS = {"product": multiply, "kernel": kernel, "training step": step}


def writable(folder: Path) -> str:
    """Write a temporary file where runs go, and report the free space."""
    import shutil
    import tempfile

    place = folder if folder.is_dir() else Path()
    with tempfile.TemporaryFile(dir=place) as file:
        file.write(b"x")
    return f"{place.resolve()} can be written, {shutil.disk_usage(place).free / 2**30:.1f} GiB free"


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds, result) of `work()`."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def verdict(right: bool, finding: str) -> str:
    """The finding.

    Raises: ArithmeticError, with the finding, where the result is wrong.
    """
    if not right:
        raise ArithmeticError(f"wrong result: {finding}")
    return finding
