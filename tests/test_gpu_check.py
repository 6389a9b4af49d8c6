"""docs/benchmarks/gpu_check.py, on the CPU and quickly: what it writes, its screen, and what its exit status says."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minilocal
from minilocal.bench.worker import Worker, WorkerError

SCRIPT = Path(minilocal.__file__).parents[1] / "docs" / "benchmarks" / "gpu_check.py"


@pytest.fixture
def check(monkeypatch):
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "KINDS", ("losses", "data"))
    monkeypatch.setattr(module, "TRAINED", ("backlink",))
    return module


def run(check, tmp_path, *words):
    status = check.main([*words, "--device", "cpu", "--quick", "--epochs", "1", "--out", str(tmp_path)])
    (written,) = tmp_path.glob("gpu-*.json")
    return status, json.loads(written.read_text()), written.with_suffix(".md").read_text()


def test_parity_is_written_with_an_epoch_of_training(check, tmp_path, capsys):
    status, results, page = run(check, tmp_path, "parity")
    assert status == 0, capsys.readouterr().out
    assert all(row["passed"] for row in results["parity"]["rows"]) and len(results["parity"]["rows"]) == 15
    (epoch,) = results["parity"]["training"][0]["rows"]
    assert 0 <= epoch["test_error"] <= 100 and epoch["seconds"] > 0
    assert "Everything passed." in page and "cross entropy, float32" in page and "| digits" in page
    assert "everything passed   (parity: 15 of 15 rows passed)" in capsys.readouterr().out


def test_both_parts_of_a_day_are_one_file_and_a_failure_is_told(check, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(check, "available", lambda: False)
    ask_worker = Worker.ask

    def ask(self, function, **arguments):
        if function.endswith(":train") or (function.endswith(":setup") and arguments["workload"].what == "gll"):
            raise WorkerError("the device fell off")
        return ask_worker(self, function, **arguments)

    monkeypatch.setattr(Worker, "ask", ask)
    assert run(check, tmp_path, "parity")[0] == 1
    status, results, page = run(check, tmp_path, "bench")
    assert status == 1 and {"parity", "bench", "environment", "device"} <= results.keys()
    assert "resnet8, batch 8, K = 2, 1 thread, gll, minilocal: the device fell off" in page
    assert "training, backlink: the device fell off" in page and "## Layers" in page and "## Limits" in page
    assert "\nFAILED: 2 " in capsys.readouterr().out.replace("GPU check", "\nGPU check")


def test_what_there_is_no_time_for_is_not_run_and_has_not_failed(check, tmp_path, capsys, monkeypatch):
    verified = check.verified
    monkeypatch.setattr(check, "verified", lambda kind, options, timeout: verified(kind, options, 0.01))
    status, results, page = run(check, tmp_path, "all", "--minutes", "0.001")
    assert status == 3 and not check.failures(results)
    rows, training = results["parity"]["rows"], results["parity"]["training"]
    assert [row["not run"] for row in rows] == [run["not run"] for run in training for _ in "12"] == [check.NO_TIME] * 2
    assert results["bench"]["not run"] and all(line.endswith(check.NO_TIME) for line in results["bench"]["not run"])
    assert "Passed as far as it ran" in page and "## Not run" in page and "| not run" in page
    assert "passed as far as it ran; not run for want of time" in capsys.readouterr().out


def test_a_check_that_takes_too_long_is_not_run_and_one_that_dies_has_failed(check):
    options = argparse.Namespace(device="cpu", quick=True)
    (slow,) = check.verified("data", options, timeout=0.01)
    assert check.state(slow) == "not run" and slow["not run"] == "no time was left"
    (dead,) = check.verified("nothing", options, timeout=60)
    assert check.state(dead) == "FAILED" and "kind of check 'nothing' is not known" in dead["worst"]


@pytest.mark.parametrize("left, what", [(600, "failed"), (1, "not run")])
def test_a_worker_without_an_answer_has_failed_unless_the_time_is_over(check, left, what):
    assert check.why("no answer within 120 s: its process was ended", check.Deadline(left / 60)).keys() == {what}
    assert check.why("its process ended: killed", check.Deadline(0)).keys() == {"failed"}


def test_a_kind_that_starts_late_has_only_what_is_left(check, monkeypatch):
    """All kinds together end before the training, however many wait for others."""
    timeouts, deadline = [], check.Deadline(8)

    def verified(kind, options, timeout):
        timeouts.append(timeout)
        deadline.end -= 300
        return []

    monkeypatch.setattr(check, "verified", verified)
    monkeypatch.setattr(check, "trained", lambda *args: [])
    monkeypatch.setattr(check, "TOGETHER", 1)
    check.parity(argparse.Namespace(quick=False), deadline)
    assert [round(t) for t in timeouts] == [390, 90]


def test_the_most_informative_comes_first(check):
    options = argparse.Namespace(device="cuda", quick=False)
    order = [
        (*plan.what, *(plan.nets if "steps" in plan.what else ()), *plan.batches)
        for plan in check.plans_of_bench(options)
    ]
    assert order == [
        ("steps", "resnet32", 512), ("steps", "resnet32", 128), ("steps", "resnet110", 128),
        ("limits", "layers", 512), ("steps", "resnet110", 512),
    ]  # fmt: skip


MISSING = ("msgspec", "tqdm", "matplotlib", "threadpoolctl")
BLOCK = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {MISSING}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Missing())
"""
RUN = """
import sys, gpu_check
gpu_check.KINDS, gpu_check.TRAINED, gpu_check.available = ("losses",), ("backlink",), lambda: False
sys.exit(gpu_check.main(sys.argv[1:]))
"""


def test_it_and_all_that_it_starts_need_no_package_beyond_numpy_and_jax(tmp_path):
    """In every process of the run, these packages cannot be imported."""
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(SCRIPT.parent), str(SCRIPT.parents[2])])}
    words = ["all", "--device", "cpu", "--quick", "--epochs", "1", "--out", str(tmp_path / "out")]
    blocked = subprocess.run([sys.executable, "-c", "import tqdm"], env=environ, capture_output=True, text=True)
    assert "ModuleNotFoundError" in blocked.stderr
    done = subprocess.run([sys.executable, "-c", RUN, *words], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything passed" in done.stdout and "training digits, resnet8, backlink" in done.stdout


def test_without_the_device_it_says_so_in_a_line(check, tmp_path, capsys):
    assert check.main(["bench", "--device", "tpu", "--out", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err == "gpu-check: device 'tpu' is not known. Known: cpu, cuda, cuda:N.\n" and not list(tmp_path.iterdir())


@pytest.mark.parametrize("words, says", [
    ("every", "invalid choice: 'every'"), ("bench --minutes x", "invalid float value: 'x'"), ("bench --minutes 0", "0"),
    ("bench --minutes nan", "more than 0"), ("parity --epochs 0", "more than 0"), ("", "required: part"),
])  # fmt: skip
def test_a_wrong_flag_is_one_line(check, capsys, words, says):
    with pytest.raises(SystemExit) as ended:
        check.main(words.split())
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and line.startswith("gpu-check: ") and says in line


def test_a_folder_without_cifar10_is_refused_before_anything_is_run(check, tmp_path):
    with pytest.raises(minilocal.UserError, match="cifar"):
        check.main(["parity", "--device", "tpu", "--data-dir", str(tmp_path)])


@pytest.mark.parametrize("left, what", [(600, "failed"), (1, "not run")])
def test_limits_that_take_too_long_are_not_run(check, monkeypatch, left, what):
    def ask(self, function, **arguments):
        raise WorkerError(f"no answer within {arguments['timeout']:.0f} s: its process was ended")

    monkeypatch.setattr(Worker, "ask", ask)
    monkeypatch.setattr(check, "comparisons", lambda *args: [])
    results = check.bench(argparse.Namespace(quick=True, device="cpu"), check.Deadline(left / 60))
    (line,) = results[what]
    assert line.startswith("limits: ")


# ---------------------------------------------------------------------- the screen


ENGINES = [  # engine, layout, graph, tf32
    ("minilocal", "nchw", False, False), ("minilocal", "nchw", True, False), ("minilocal", "nchw", True, True),
    ("torch", "nchw", False, False), ("torch", "channels_last", False, False), ("torch", "channels_last", False, True),
]  # fmt: skip


def made_up(failed=0, missing=0):
    """Results as a GPU would give them, as many lines as there can be."""
    steps = [
        {"comparison": "steps", "label": "", "net": net, "batch": batch, "what": rule, "engine": engine,
         "layout": layout, "graph": graph, "tf32": tf32, "median": 0.01234 * (1 + number), "seconds": [0.01],
         "bytes": {"process": 9e9, **({} if graph else {"peak": 12_345_678_901})}}
        for net, batch in (("resnet32", 512), ("resnet32", 128), ("resnet110", 128), ("resnet110", 512))
        for rule in ("bp", "gll", "backlink l=1")
        for number, (engine, layout, graph, tf32) in enumerate(ENGINES)
    ]  # fmt: skip
    kernels = [("convolution 16 → 16", 8e9, 1e6, 3e-4), ("batch norm 8×8×64", 1e6, 1e9, 1e-3), ("copy", 0, 1e9, 4e-4)]
    layers = [
        {"comparison": "layers", "label": "minilocal", "engine": "minilocal", "what": what, "flops": flops,
         "moved": moved, "median": median} for what, flops, moved, median in kernels
    ]  # fmt: skip
    limits = [
        {"what": "product", "unit": "GFLOP/s", "median": 50000.0, "tf32": False},
        {"what": "product, TF32", "unit": "GFLOP/s", "median": 400000.0, "tf32": True},
        {"what": "copy", "unit": "GB/s", "median": 2800.0, "tf32": False},
    ]
    rows = [{"kind": "device nets", "name": f"net {i}", "passed": i >= failed, "worst": "W " * 80} for i in range(99)]
    rows += [{"kind": "device rules", "name": f"rule {i}", "not run": "no time was left"} for i in range(missing)]
    epochs = [{"epoch": e, "seconds": 5.0 - e, "test_error": 60.0 - 10 * e} for e in range(3)]
    cifar = {"data": "cifar10", "net": "resnet32", "K": 4, "batch": 128, "rows": epochs}
    training = [{"rule": rule, **cifar} for rule in ("backlink", "bp")] + [{"rule": "gll", "failed": "x", "rows": []}]
    device = {
        "device": "cuda",
        "library": "cupy 14.2.0",
        "name": "NVIDIA H100 80GB HBM3",
        "cuda": 12090,
        "torch": "2.9.1",
    }
    return {
        "date": "2026-11-27", "device": device | {"torch": "2.9.1"}, "parity": {"rows": rows, "training": training},
        "bench": {"steps": steps, "layers": layers, "limits": limits, "failed": [], "not run": []},
    }  # fmt: skip


@pytest.mark.parametrize("failed, missing, status, words", [
    (0, 0, 1, "FAILED: 1"), (50, 0, 1, "FAILED: 51"), (50, 9, 1, "FAILED: 51; not run for want of time: 9"),
])  # fmt: skip
def test_the_screen_holds_everything_that_a_reader_needs(check, failed, missing, status, words):
    results = made_up(failed, missing)
    assert check.verdict(results) == (status, words)
    problems = check.failures(results) + check.not_run(results)
    text = check.gpu_screen.text(results, words, problems, Path("gpu.md"))
    lines = text.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 100
    assert lines[0] == "GPU check 2026-11-27: NVIDIA H100 80GB HBM3, cupy 14.2.0, CUDA 12.9, PyTorch 2.9.1"
    assert lines[1] == f"{words}   (parity: {99 - failed} of {99 + missing} rows passed)"
    heads = next(i for i, line in enumerate(lines) if line.startswith("ms a step"))
    assert [" ".join(line.split()) for line in lines[heads : heads + 4]] == [
        "ms a step minilocal minilocal minilocal PyTorch PyTorch PyTorch peak peak",
        "eager graph graph NCHW NHWC NHWC MB MB",
        "fp32 fp32 TF32 fp32 fp32 TF32 ours torch",
        "resnet32 512 bp 12.34 24.68 37.02 49.36 61.7 74.04 12346 12346",
    ]
    assert "of the rate of copies, 2800 GB/s: 2 kernels, median 89%" in text and "batch norm 8×8×64 36%" in text
    assert "of the rate of fp32 products, 50000 GFLOP/s: 1 kernel, median 53%" in text
    assert "training cifar10, resnet32, bp, K = 4, batch 128: 3 epochs, 3.00 s the last, test error 40.00 %" in text
    assert "training, gll: x" in text and lines[-1] == "everything: gpu.md"


def test_a_graph_that_was_refused_stands_under_eager(check):
    """TF32's products cannot be recorded, so no column may say so."""
    results = made_up()
    for row in results["bench"]["steps"]:
        row["started"] = "eager" if row["tf32"] or not row["graph"] else "graph"
    text = check.gpu_screen.text(results, "", [], Path("p"))
    heads = next(i for i, line in enumerate(text.splitlines()) if line.startswith("ms a step"))
    assert text.splitlines()[heads + 1].split()[:3] == ["eager", "graph", "eager"]


def test_the_screen_of_one_part_says_what_is_missing(check):
    results = made_up()
    text = check.gpu_screen.text(
        {**results, "parity": {"rows": [], "training": []}}, "everything passed", [], Path("p")
    )
    assert "everything passed   (parity: not in this file)" in text and "ms a step" in text
    results["bench"]["steps"][0] = {**results["bench"]["steps"][0], "failed": "out of memory"}
    del results["bench"]["steps"][0]["median"]
    assert "resnet32 512 bp" + "-".rjust(21) in check.gpu_screen.text(results, "", [], Path("p"))
