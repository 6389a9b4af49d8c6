"""What keeps a GPU from being used, one by one, in a CuPy that is played: one line each, with what mends it."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import os
import re
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minilocal import UserError, device
from minilocal.device import DeviceNotFound, device_namespace, gpu_remedy, tf32, use_tf32


class CUDARuntimeError(RuntimeError):
    """As `cupy.cuda.runtime.CUDARuntimeError`."""


class DynamicLibNotFoundError(RuntimeError):
    """As cuda-pathfinder's, which CuPy 14 asks for CUDA's libraries."""


class CompileException(Exception):
    """As `cupy.cuda.compiler.CompileException`."""


NVRTC = DynamicLibNotFoundError('Failure finding "libnvrtc.so.13 or libnvrtc.so.12": No such file: libnvrtc.so.13\n')
HEADERS = CompileException(
    '/tmp/x.cu(3): catastrophic error: cannot open source file "vector_types.h"\n1 error detected'
)
NO_HEADERS = RuntimeError(
    "Failed to find CUDA headers. Please install CUDA toolkit headers (e.g., pip install cupy-cuda12x[ctk]) or specify "
    "CUDA_PATH environment variable."
)
NO_DEVICE = CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")


def played(driver=13000, built=13020, gpus=2, capability="90", fails=None, numbers=(0, 2, 4, 6), version="14.2.0"):
    """A `cupy` of these properties: its first kernel raises `fails`, or gives `numbers`."""
    cupy: Any = ModuleType("cupy")
    cupy.__version__, cupy.kernels, cupy.current, cupy.tried = version, 0, [0], []

    def count():
        if isinstance(gpus, Exception):
            raise gpus
        return gpus

    class Ramp:
        def __mul__(self, two):
            cupy.kernels += 1
            cupy.tried.append(cupy.current[-1])
            if fails is not None:
                raise fails
            return SimpleNamespace(get=lambda: np.array(numbers, "f4"))

    class Device:
        def __init__(self, number=0):
            self.number, self.compute_capability = number, capability

        def __enter__(self):
            cupy.current.append(self.number)

        def __exit__(self, *error):
            cupy.current.pop()

    cupy.arange = lambda n, dtype: Ramp()
    versions = {"driverGetVersion": lambda: driver, "runtimeGetVersion": lambda: built}
    cupy.cuda = SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=count, **versions), Device=Device)
    return cupy


@pytest.fixture
def install(monkeypatch):
    """Installs a played CuPy as a package of these names, with none tried before."""

    def install(cupy, *packages):
        versions = dict.fromkeys(packages or ("cupy-cuda13x",), "14.2.0")

        def version(name):
            if name not in versions:
                raise importlib.metadata.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(importlib.metadata, "version", version)
        monkeypatch.setattr(device, "_sound", {})
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        monkeypatch.setitem(sys.modules, "cupy._core", cupy and ModuleType("cupy._core"))
        return cupy

    return install


def refused(device="cuda", kind=UserError):
    """The one line that a device is refused with."""
    with pytest.raises(kind) as caught:
        device_namespace(device)
    assert "\n" not in str(caught.value) and type(caught.value) is kind
    return str(caught.value)


def test_a_gpu_that_works_is_tried_once_and_then_costs_nothing(install):
    cupy = install(played())
    assert device_namespace("cuda") is cupy and cupy.kernels == 1
    cupy.cuda.runtime = None  # nobody asks the driver again
    assert device_namespace("cuda") is cupy and cupy.kernels == 1


def test_each_gpu_is_tried_once_and_the_current_one_stays(install):
    cupy = install(played())
    for _ in range(2):
        assert device_namespace("cuda:1") is cupy and device_namespace("cuda:0") is cupy
    assert cupy.tried == [1, 0] and cupy.current == [0]


def test_another_cupy_is_tried_anew(install, monkeypatch):
    install(played())
    device_namespace("cuda")
    monkeypatch.setitem(sys.modules, "cupy", played(fails=NVRTC))
    assert "first kernel failed" in refused()


def test_no_cupy(install):
    install(None, "none")
    line = refused(kind=DeviceNotFound)
    assert "which is not installed: pip install -e '.[cuda12]'" in line and "--device cpu" in line


def test_a_folder_called_cupy_is_no_cupy(install, monkeypatch):
    install(ModuleType("cupy"), "none")
    monkeypatch.setitem(sys.modules, "cupy._core", None)
    assert "which is not installed" in refused(kind=DeviceNotFound)


def test_two_cupy_packages_at_once(install):
    install(played(), "cupy-cuda12x", "cupy-cuda13x")
    line = refused()
    assert "as cupy-cuda12x 14.2.0 and cupy-cuda13x 14.2.0" in line
    assert "pip uninstall -y cupy-cuda12x cupy-cuda13x, then pip install -e '.[cuda12]'" in line


@pytest.mark.parametrize("other", ["cupy-rocm-7-1", "cupy-rocm-7-14", "amd-cupy"])
def test_every_package_that_is_a_cupy_counts(install, other):
    install(played(), "cupy-cuda13x", other)
    assert "installed more than once" in refused()


def test_a_cupy_that_cannot_be_imported(install, monkeypatch):
    install(None, "cupy-cuda13x")
    page = "\n====\nFailed to import CuPy.\n\nOriginal error:\n  ImportError: libcuda.so.1: not found\n====\n"

    def fail(name):
        raise ImportError(page)

    monkeypatch.setattr(importlib, "import_module", fail)
    line = refused()
    assert "cupy-cuda13x 14.2.0 cannot be imported (ImportError: libcuda.so.1: not found)" in line
    assert "pip install --force-reinstall cupy-cuda13x" in line


def test_a_cupy_that_is_too_old(install):
    install(played(version="13.6.0"))
    assert "needs CuPy 14 or later, and this is 13.6.0: pip install -U -e '.[cuda12]'" in refused()


def test_no_driver(install):
    install(played(driver=0, gpus=CUDARuntimeError("cudaErrorInsufficientDriver")))
    assert "no NVIDIA driver is loaded" in refused(kind=DeviceNotFound)


@pytest.mark.parametrize("driver, knows, mends", [
    (12040, "12.4", "pip uninstall -y cupy-cuda13x, then pip install -e '.[cuda12]', or update the driver"),
    (11080, "11.8", "update it"),
])  # fmt: skip
def test_a_driver_that_is_too_old(install, driver, knows, mends):
    install(played(driver=driver, gpus=CUDARuntimeError("cudaErrorInsufficientDriver")))
    line = refused()
    assert f"knows CUDA {knows}, and this CuPy is built for CUDA 13.2: {mends}" in line


@pytest.mark.parametrize("driver, built", [(12040, 12090), (13000, 12090), (13000, 13020)])
def test_a_driver_of_the_same_or_a_later_first_number_will_do(install, driver, built):
    cupy = install(played(driver=driver, built=built))
    assert device_namespace("cuda") is cupy


@pytest.mark.parametrize("gpus", [0, NO_DEVICE])
def test_no_gpu(install, gpus, monkeypatch):
    install(played(gpus=gpus))
    line = refused(kind=DeviceNotFound)
    assert "shows no GPU" in line and "CUDA_VISIBLE" not in line
    assert gpus == 0 or "cudaErrorNoDevice: no CUDA-capable device" in line
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert "CUDA_VISIBLE_DEVICES='-1' hides them" in refused(kind=DeviceNotFound)


@pytest.mark.parametrize("device", ["cuda:2", "cuda:16"])
def test_a_gpu_that_is_not_there(install, device):
    cupy = install(played())
    assert f"{device!r} was asked for, but there are 2 GPUs: cuda:0 to cuda:1." in refused(device)
    assert cupy.kernels == 0


def test_a_second_gpu_where_there_is_one(install):
    install(played(gpus=1))
    assert refused("cuda:1") == "device 'cuda:1' was asked for, but there is 1 GPU: cuda:0."


@pytest.mark.parametrize("built, extra", [(12090, "cuda12"), (13020, "cuda13")])
@pytest.mark.parametrize("fails", [NVRTC, HEADERS, NO_HEADERS])
def test_missing_headers_and_libraries(install, fails, built, extra):
    install(played(built=built, fails=fails))
    line = refused()
    assert "a first kernel failed" in line and type(fails).__name__ in line
    assert f"CUDA's headers or libraries are missing: pip install -e '.[{extra}]' brings them." in line


def test_a_gpu_too_old_for_this_cuda(install):
    install(played(capability="70", fails=CompileException("nvrtc: error: invalid value for --gpu-architecture")))
    line = refused()
    assert (
        "compute capability, 7.0, is below the 7.5 of CUDA 13: pip uninstall -y cupy-cuda13x, then pip install" in line
    )
    assert "-e '.[cuda12]'" in line


def test_a_full_gpu(install):
    install(played(fails=MemoryError("Out of memory allocating 512 bytes (allocated so far: 0 bytes).")))
    assert "the GPU's memory is full; nvidia-smi tells who holds it" in refused()


def test_anything_else_that_a_first_kernel_says(install):
    install(played(fails=CUDARuntimeError("cudaErrorLaunchFailure: unspecified launch failure\nmore")))
    line = refused()
    assert "cudaErrorLaunchFailure: unspecified launch failure)" in line and "see minilocal doctor" in line
    assert gpu_remedy(CUDARuntimeError("?"), played()) == ""


def test_a_gpu_that_is_too_full_for_a_context(install):
    install(played(fails=CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")))
    assert "the GPU's memory is full; nvidia-smi tells who holds it" in refused()


def test_wrong_numbers(install):
    install(played(numbers=(0, 2, 4, 0)))
    assert "gave [0.0, 2.0, 4.0, 0.0], not [0, 2, 4, 6]" in refused()


def test_a_refusal_is_not_remembered(install):
    cupy = install(played(gpus=0))
    refused(kind=DeviceNotFound)
    cupy.cuda.runtime.getDeviceCount = lambda: 1
    assert device_namespace("cuda") is cupy


def test_an_array_that_does_not_fit(install):
    cupy = install(played())

    def full(a):
        raise MemoryError("Out of memory allocating 4,096 bytes (allocated so far: 0 bytes).")

    cupy.asarray = full
    with pytest.raises(
        UserError, match=r"no room on cuda for an array of \(32, 32\) float32, 0\.0 MB \(MemoryError: Out"
    ):
        device.to_device(np.zeros((32, 32), "f4"), "cuda")


# ------------------------------------------------------------------ TF32


def with_switch(**properties):
    cupy, set_to = played(**properties), []
    kinds = SimpleNamespace(COMPUTE_TYPE_TF32=7, COMPUTE_TYPE_FP32=4)
    cupy._core = SimpleNamespace(set_compute_type=lambda *what: set_to.append(what), _routines_linalg=kinds)
    return cupy, set_to


def test_tf32_is_switched_on_and_off():
    cupy, set_to = with_switch(capability="80")
    use_tf32(cupy, True)
    assert tf32()
    use_tf32(cupy, False)
    assert set_to == [(np.float32, 7), (np.float32, 4)] and not tf32()


def test_tf32_is_refused_by_an_older_gpu_which_can_be_told_not_to_use_it():
    cupy, set_to = with_switch(capability="75")
    with pytest.raises(UserError, match=r"capability 8\.0 \(Ampere\) or later, and this one has 7\.5"):
        use_tf32(cupy, True)
    use_tf32(cupy, False)
    assert set_to == [(np.float32, 4)] and not tf32()


@pytest.mark.parametrize("library", [np, played()])
def test_without_a_switch_tf32_is_off(library):
    use_tf32(library, False)
    with pytest.raises(UserError, match="has no such switch"):
        use_tf32(library, True)


def test_what_the_real_cupy_says_without_headers_has_our_remedy(monkeypatch):
    cupy = pytest.importorskip("cupy")
    monkeypatch.setattr("cuda.pathfinder.find_nvidia_header_directory", lambda *names: None)
    monkeypatch.delenv("CUDA_PATH", raising=False)
    with pytest.raises(RuntimeError) as caught:
        cupy._core.core.compile_with_cache("", (), "90")
    assert "headers or libraries are missing: pip install" in gpu_remedy(caught.value, cupy)


def test_every_package_that_the_real_cupy_knows_is_known_here():
    """But those for a CUDA or a ROCm before the first that minilocal's CuPy has."""
    pytest.importorskip("cupy")
    source = inspect.getsource(importlib.import_module("cupy._environment")._detect_duplicate_installation)
    known = set(re.findall(r"'((?:amd-)?cupy[a-z0-9-]*)'", source.partition("EOL - latest Python supported: 3.12")[0]))
    assert known - set(device.CUPY) == set()


def test_the_real_cupy_has_the_switch_that_is_used():
    cupy = pytest.importorskip("cupy")
    kinds = cupy._core._routines_linalg
    assert callable(cupy._core.set_compute_type) and kinds.COMPUTE_TYPE_TF32 != kinds.COMPUTE_TYPE_FP32


@pytest.mark.parametrize("shared", [False, True])
def test_kernels_stay_in_memory_where_others_can_write_in_cupys_folder(install, monkeypatch, tmp_path, capsys, shared):
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setenv(device.IN_MEMORY, "0")
    tmp_path.chmod(0o777 if shared else 0o700)
    install(played())
    device_namespace("cuda")
    why = f"others may write in {tmp_path} (mode 0777): chmod go-w {tmp_path}"
    line = f"minilocal: CUDA kernels are built anew in each process: {why}\n"
    assert capsys.readouterr().err == (line if shared else "")
    assert os.environ[device.IN_MEMORY] == ("1" if shared else "0")
