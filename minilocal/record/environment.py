"""The environment of a run: versions, machine, threads, kernels, and the commit of the code."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from minilocal.device import device_namespace, on_device
from minilocal.kernels.threads import available, threads
from minilocal.ops.kinds import kernels
from minilocal.record import commit

PACKAGES = ("numpy", "cupy", "cupy-cuda12x", "cupy-cuda13x", "msgspec", "threadpoolctl", "jax", "numba", "llvmlite")


def current_environment() -> dict[str, Any]:
    """The environment of this process, as JSON can write it. Unknown facts are null."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "minilocal": version("minilocal"),
        "git": commit.git_commit(),
        "python": platform.python_version(),
        "packages": {name: number for name in PACKAGES if (number := version(name))},
        "blas": blas(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "processor": processor(),
        "cores": available(),
        "threads": threads(),
        "kernels": kernels(),
        "thread_settings": {name: os.environ[name] for name in sorted(os.environ) if name.endswith("_NUM_THREADS")},
    }


def device_facts(device: Any) -> dict[str, Any]:
    """The device, its properties, its driver and its library, as JSON can write it.

    Raises: UserError where the device cannot be had.
    """
    xp = device_namespace(device)
    facts: dict[str, Any] = {"device": str(device), "library": f"{xp.__name__} {xp.__version__}"}
    runtime = getattr(getattr(xp, "cuda", None), "runtime", None)
    if runtime is None:  # the host
        return facts
    with on_device(device):
        properties = runtime.getDeviceProperties(xp.cuda.Device().id)
        facts |= {"name": properties["name"].decode(), "memory": int(runtime.memGetInfo()[1])}
    counts = {"multiprocessors": "multiProcessorCount", "cache": "l2CacheSize"}
    facts |= {name: int(properties[key]) for name, key in counts.items() if key in properties}
    versions = {"driver": "driverGetVersion", "cuda": "runtimeGetVersion"}
    return facts | {name: int(getattr(runtime, get)()) for name, get in versions.items() if hasattr(runtime, get)}


def version(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def blas() -> list[dict[str, Any]] | None:
    """The BLAS libraries in this process: name, version, architecture, threads. None without threadpoolctl."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    return [
        {
            "library": pool["internal_api"],
            "version": pool["version"],
            "architecture": pool.get("architecture"),
            "threads": pool["num_threads"],
        }
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]


def processor() -> str | None:
    """The processor's name, as Linux or macOS gives it."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = [platform.processor()]
    return names[0] if names and names[0] else None
