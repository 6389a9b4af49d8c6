"""`minilocal doctor` on a GPU that is played: what it tries there, and what mends what fails."""

from __future__ import annotations

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from minilocal import UserError, cli, device, learner
from minilocal.cli import doctor
from minilocal.device import DeviceNotFound
from minilocal.ops.kinds import kernels
from minilocal.record import environment
from tests.fake import cuda_on_host
from tests.fake.device import fake

needs_kernels = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))
NVRTC = RuntimeError('DynamicLibNotFoundError: Failure finding "libnvrtc.so.13"')


@pytest.fixture(autouse=True)
def no_ranks(monkeypatch):
    """MPI's trial has its own test."""
    monkeypatch.setattr(doctor, "mpi", lambda: True)


@pytest.fixture
def gpu(monkeypatch):
    """The fake device as cuda:0, with CUDA 13."""
    real = device.device_namespace

    def device_namespace(device):
        return fake if str(device).startswith("cuda") else real(device)

    for module in (device, learner):
        monkeypatch.setattr(module, "device_namespace", device_namespace)
    monkeypatch.setattr(fake.cuda.runtime, "runtimeGetVersion", lambda: 13020, raising=False)
    monkeypatch.setattr(fake.cuda.Device, "compute_capability", "90", raising=False)
    monkeypatch.setattr(cuda_on_host, "checked", False)  # tests/kernels looks at every load and store
    return fake


def call(capsys):
    status = cli.main(["doctor"])
    return status, {line[:22].strip(): line[22:] for line in capsys.readouterr().out.splitlines()}


@needs_kernels
def test_a_gpu_is_tried_by_a_kernel_a_transfer_a_graph_a_product_and_a_step(gpu, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "SIDE", 64)
    status, report = call(capsys)
    assert status == 0 and "FAILED" not in "".join(report.values())
    assert "fake device, 8.0 of 8.0 GiB free" in report["gpu 0"]
    for trial in ("launch", "transfer", "graph", "product", "kernel", "training step"):
        assert f"cuda:0 {trial}" in report
    assert "started twice" in report["cuda:0 graph"] and "there and back" in report["cuda:0 transfer"]


def test_numbas_kernels_are_tried_where_it_is_installed(capsys, monkeypatch):
    tried: list[str] = []

    def compiled() -> str:
        tried.append("well")
        return tried[-1]

    monkeypatch.setattr(doctor, "compiled", compiled)
    for installed in (None, "0.64.0"):
        monkeypatch.setattr(environment, "version", lambda name, v=installed: v if name == "numba" else "1")
        status, report = call(capsys)
        assert status == 0 and ("numba (for --kernels numba)" in report.get("not installed", "")) == (installed is None)
        assert len(tried) == bool(installed) and report.get("cpu kernels") == (installed and "well")


@pytest.mark.skipif(find_spec("numba") is None, reason="Numba is not installed (extra `fast`)")
def test_a_step_by_numba_is_numpys():
    assert doctor.compiled().startswith("Numba's run") and kernels() == "numpy"


@pytest.mark.parametrize("trial", ["launch", "transfer", "graph", "product", "kernel", "training step"])
def test_what_fails_on_the_gpu_comes_with_the_line_that_mends_it(gpu, capsys, monkeypatch, trial):
    def broken(device):
        if device == "cuda:0":
            raise NVRTC
        return "well"

    tables = {"GPU_TRIALS": ("launch", "transfer", "graph"), "TRIALS": ("product", "kernel", "training step")}
    for table, names in tables.items():
        well = {name: broken if name == trial else lambda device: "well" for name in names}
        monkeypatch.setattr(doctor, table, well)
    status, report = call(capsys)
    line = report[f"cuda:0 {trial}"]
    assert status == 1 and line.startswith("FAILED: RuntimeError: DynamicLibNotFoundError")
    assert line.endswith("pip install -e '.[cuda13]' brings them.")
    assert sum("FAILED" in text for text in report.values()) == 1 and report.get(f"cpu {trial}", "well") == "well"


@needs_kernels
@pytest.mark.parametrize("trial", [doctor.launch, doctor.graph])
def test_a_kernel_with_wrong_numbers_is_seen(gpu, monkeypatch, trial):
    monkeypatch.setattr(doctor, "TWICE", doctor.TWICE.replace("*= 2", "*= 3"))
    with pytest.raises(ArithmeticError, match="wrong result"):
        trial("cuda:0")


@needs_kernels
def test_a_graph_that_forgets_a_launch_is_seen(gpu, monkeypatch):
    monkeypatch.setattr(fake.cuda.Graph, "launch", lambda self, stream=None: None)
    with pytest.raises(ArithmeticError, match="wrong result"):
        doctor.graph("cuda:0")


@pytest.mark.parametrize(
    "reason, status", [(DeviceNotFound("no GPU here"), 0), (UserError("the driver is too old"), 1)]
)
def test_no_gpu_is_well_and_one_that_cannot_be_used_is_not(capsys, monkeypatch, reason, status):
    def refuse(device):
        raise reason

    real = device.device_namespace
    monkeypatch.setattr(device, "device_namespace", lambda d: refuse(d) if str(d).startswith("cuda") else real(d))
    exit_status, report = call(capsys)
    assert exit_status == status and report["gpu"] == ("FAILED: " if status else "") + str(reason)


def without(monkeypatch, *absent):
    """`version` as it is where the packages `absent` are not installed."""
    real = environment.version
    monkeypatch.setattr(environment, "version", lambda name: None if name in absent else real(name))


def test_what_is_optional_may_be_absent(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "TRIALS", {})
    without(monkeypatch, *doctor.OPTIONAL)
    status, report = call(capsys)
    assert status == 0 and "FAILED" not in "".join(report.values())
    assert report["not installed"].startswith("jax (for minilocal verify), torch (for ")
    assert "numpy 2" in report["packages"] and "matplotlib" in report["packages"] and "jax" not in report["packages"]


def test_what_is_needed_may_not(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "TRIALS", {})
    without(monkeypatch, "tqdm")
    status, report = call(capsys)
    assert status == 1 and report["tqdm"].startswith("FAILED: it is not installed") and "tqdm" not in report["packages"]


def test_the_packages_that_are_needed_are_those_of_the_project():
    file = Path(__file__).parents[2] / "pyproject.toml"
    needed = tomllib.loads(file.read_text())["project"]["dependencies"]
    assert set(doctor.REQUIRED) == {re.split(r"[^a-z]", each)[0] for each in needed}


def test_a_line_that_cannot_be_printed_is_no_fault_of_what_was_tried(monkeypatch):
    def refuse(name, finding):
        assert "FAILED" not in finding
        raise UnicodeEncodeError("ascii", "×", 0, 1, "ordinal not in range")

    monkeypatch.setattr(doctor, "line", refuse)
    with pytest.raises(UnicodeEncodeError):
        doctor.attempt("cpu product", lambda: "1024×1024")


def test_a_data_set_is_fetched_to_where_it_was_looked_for(capsys):
    from minilocal.cli.data import states

    state = dict(states("my data"))["cifar10"]
    assert state == "not in my data; fetch it: minilocal data cifar10 --data-dir 'my data'"
