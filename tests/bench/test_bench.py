"""Plans, comparisons and reports: in this process in the place of workers, and with tiny sizes."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.bench import device_memory, harness, plan, report, roofline, workload
from minilocal.bench.captured import CapturedWork
from minilocal.bench.ops import op_benchmark, op_benchmarks
from minilocal.bench.torch_learner import available
from minilocal.bench.worker import WorkerError, resolve
from minilocal.bench.workload import Workload
from minilocal.kernels.cuda.last_block import counters_of
from minilocal.memory import GPU, estimate
from minilocal.memory.abstract_array import AbstractArray, AbstractNamespace
from minilocal.ops import kinds as kernel_kinds
from minilocal.ops.kinds import kernels
from minilocal.summary import network_size
from tests.fake.device import counting, fake

TINY = plan.Plan(("steps",), nets=("mlp",), batches=(4,), modules=(2,), rounds=2, quick=True)


class _InProcess:
    """A pool and its one worker, which calls functions in this process."""

    def __init__(self):
        self.closed = 0

    def worker(self, key, threads=1, environ=None):
        return self

    def ask(self, function, timeout=0.0, **arguments):
        try:
            return resolve(function)(**arguments)
        except Exception as error:
            raise WorkerError(f"{type(error).__name__}: {error}") from None

    def close(self, at_once=False):
        self.closed += 1


InProcess: Any = _InProcess  # where a WorkerPool is asked for


@pytest.fixture(autouse=True)
def _threads_as_before():
    from minilocal.kernels import threads

    before = threads._threads, kernel_kinds.kernels()
    yield
    ml.use_threads(before[0])
    ml.use_kernels(before[1])


def test_a_step_is_measured_on_every_engine_that_its_device_has():
    labels = [w.label for w in plan.on_every_engine(Workload(), with_torch=True)]
    assert labels == ["minilocal", "torch NCHW", "torch channels last"]
    assert [w.label for w in plan.on_every_engine(Workload(), with_torch=False)] == ["minilocal"]
    on_gpu = plan.on_every_engine(Workload(device="cuda"), with_torch=True)
    assert [w.label for w in on_gpu] == [
        "minilocal, eager, fp32", "minilocal, graph, fp32",
        "torch NCHW, eager, fp32", "torch channels last, eager, fp32", "torch channels last, eager, TF32",
    ]  # fmt: skip


def test_minilocal_with_another_kind_of_kernels_is_an_engine_of_its_own():
    both = plan.on_every_engine(Workload(), with_torch=True, kinds=("numpy", "numba"))
    labels = ["minilocal", "minilocal Numba", "torch NCHW", "torch channels last"]
    assert [w.label for w in both] == labels and [w.kernels for w in both] == ["numpy", "numba", "numpy", "numpy"]
    started: list[Any] = []
    pool: Any = SimpleNamespace(worker=lambda key, threads, environ: started.append(key))
    for engine in both:
        harness.worker_for(engine, pool)
    assert len(set(started)) == 4


@pytest.mark.parametrize("installed, asked, kinds", [
    (False, ("numpy",), ("numpy",)), (False, ("auto",), ("numpy",)), (True, ("auto", "numba"), ("numba",)),
    (True, ("numpy", "numba"), ("numpy", "numba")), (False, ("numpy", "auto"), ("numpy",)),
])  # fmt: skip
def test_kinds_of_kernels_are_what_they_become_each_once(monkeypatch, installed, asked, kinds):
    monkeypatch.setattr(kernel_kinds, "find_spec", lambda name: SimpleNamespace() if installed else None)
    planned = plan.Plan(("steps", "layers", "growth"), ("mlp",), batches=(4,), modules=(2,), kernels=asked, quick=True)
    planned.check()
    assert planned.kinds == kinds
    for comparison in plan.comparisons(planned, with_torch=False):
        assert tuple(dict.fromkeys(w.kernels for w in comparison.workloads)) == kinds
        alone = plan.comparisons(replace(planned, kernels=("numpy",)), with_torch=False)
        (same,) = (c for c in alone if c.title == comparison.title)
        assert len(comparison.workloads) == len(kinds) * len(same.workloads)


def test_kernels_that_cannot_run_are_refused(monkeypatch):
    monkeypatch.setattr(kernel_kinds, "find_spec", lambda name: None)
    with pytest.raises(ml.UserError, match="--kernels = 'numba': Numba is not installed"):
        plan.Plan(kernels=("numba",)).check()
    monkeypatch.setattr(kernel_kinds, "find_spec", lambda name: SimpleNamespace())
    with pytest.raises(ml.UserError, match="--kernels met --device cuda: they are the CPU's"):
        plan.Plan(kernels=("numpy", "numba"), device="cuda").check()


def test_every_kind_of_kernels_is_timed_beside_numpys(monkeypatch):
    """The kinds are numpy and another that the worker is told of; both run NumPy's forms here."""
    used: list[str] = []
    monkeypatch.setattr(workload, "use_kernels", used.append)
    workloads = [Workload(net="mlp", rule=rule, modules=2, batch=4, kernels=kind)
                 for rule in ("bp", "gll") for kind in ("numpy", "numba")]  # fmt: skip
    steps = harness.run_comparison(plan.Comparison("steps", "t", workloads), InProcess(), 2)
    assert used == ["numpy", "numba"] * 2 and [row["kernels"] for row in steps] == used
    for row in steps:
        row["seconds"] = [2.0, 2.0] if row["kernels"] == "numpy" else [1.0, 1.0]
    growth = [{**row, "comparison": "K grows: t"} for row in steps]
    text = report.markdown({"steps": steps, "growth": growth})
    heads, _, *cells = (line.split(" | ") for line in text.splitlines() if line.startswith("|"))
    column = [head.strip() for head in heads].index("over NumPy's kernels")
    assert [row[column].strip() for row in cells[:4]] == ["1", "0.50", "1", "0.50"]
    assert text.count("over NumPy's kernels") == 2 and text.count("| minilocal Numba") == 4
    grown = [line.split(" | ") for line in text.partition("## Growth")[2].splitlines() if "minilocal Numba" in line]
    assert [row[-1].strip(" |") for row in grown] == ["0.50", "0.50"]
    assert "over NumPy's kernels" not in report.markdown({"steps": steps[::2], "growth": growth[::2]})


@pytest.mark.skipif(find_spec("numba") is None, reason="Numba is not installed (extra `fast`)")
def test_numbas_kernels_are_timed_in_a_process_of_their_own():
    planned = replace(TINY, kernels=("numpy", "numba"), rules=("gll",), rounds=1)
    results = harness.run(planned)
    ours = [row for row in results["steps"] if row["engine"] == "minilocal"]
    assert [row["kernels"] for row in ours] == ["numpy", "numba"] * 2 and not report.failures(results)
    assert "numba" not in sys.modules or kernels() == "numpy"  # this process has none of it


def test_each_kind_of_kernels_has_a_line_in_the_table_of_operations():
    def row(label, kernels, engine, seconds):
        costs = {"flops": 4e9, "moved": 1e9, "threads": 1, "batch": 8, "comparison": "o", "engine": engine}
        return {**costs, "what": "o", "label": label, "kernels": kernels, "seconds": [seconds] * 2, "median": seconds}

    ours = [row("minilocal", "numpy", "minilocal", 2.0), row("minilocal Numba", "numba", "minilocal", 1.0)]
    torch = [row("torch NCHW", "numpy", "torch", 4.0)]
    text = report.markdown({"layers": ours + torch})
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert table[0][:6] == ["operation", "engine", "a run", "torch NCHW", "over torch NCHW", "over NumPy's kernels"]
    assert table[2][1:6] == ["minilocal", "2 s", "4 s", "0.50", "1"] and table[2][6] == "2"
    assert table[3][1:6] == ["minilocal Numba", "1 s", "4 s", "0.25", "0.50"] and table[3][6] == "4"
    alone = report.markdown({"layers": ours[1:] + torch})
    assert "| minilocal Numba | torch NCHW | over torch NCHW | GFLOP/s" in alone


def test_with_tf32_a_step_is_measured_where_a_product_uses_it():
    wide = plan.on_every_engine(Workload(net="vgg16", device="cuda"), with_torch=False)
    assert [w.label for w in wide][-1] == "minilocal, graph, TF32" and len(wide) == 3
    evaluated = plan.on_every_engine(Workload(net="vgg16", device="cuda", evaluation=True), with_torch=False)
    assert [w.label for w in evaluated] == ["minilocal, eager, fp32", "minilocal, eager, TF32"]


@pytest.mark.parametrize("net, rule, options, wide", [
    ("resnet32", "bp", {}, False), ("resnet32", "gll", {}, None), ("resnet8", "backlink", {}, None),
    ("mlp", "bp", {}, True), ("vgg16", "bp", {}, True), ("alexnet", "gll", {}, True), ("wrn10-1", "bp", {}, False),
    ("resnet8", "gll", {"aux": "0c1f+flat"}, True),  # narrow outputs; an error of 16384 inputs
])  # fmt: skip
def test_a_workload_knows_whether_tf32_changes_a_product(monkeypatch, net, rule, options, wide):
    """Products of the library appear in a step on an abstract GPU only where TF32 is on and a layer is wide."""
    monkeypatch.setattr("minilocal.device._tf32", True)
    products, library = [], AbstractNamespace(gpu=True)
    as_ufunc = AbstractArray.__array_ufunc__

    def counting_products(self, ufunc, method, *inputs, **options):
        products.extend([1] * (ufunc is np.matmul))
        return as_ufunc(self, ufunc, method, *inputs, **options)

    monkeypatch.setattr(AbstractArray, "__array_ufunc__", counting_products)
    workload = Workload(net=net, rule=rule, options=options, modules=2, device=library)
    learner = workload.learner()
    x: Any = library.empty((2, *learner.net.shape), "float32")
    y: Any = library.empty((2,), int)
    learner.step(x, y, lr=0.0)
    assert workload.uses_tf32 == bool(products) and wide in (None, bool(products))
    assert not replace(workload, dtype="float64").uses_tf32


def test_every_combination_is_a_comparison_of_its_rules():
    asked = plan.Plan(("steps",), ("mlp", "resnet8"), batches=(4, 8), threads=(1, 2), modules=(2, 4), lengths=(0, 1, 2))
    compared = plan.comparisons(asked, with_torch=False)
    assert len(compared) == 16 and len({c.title for c in compared}) == 16
    links = ["backlink l=0", "backlink l=1", "backlink l=2"]
    assert [w.what for w in compared[0].workloads] == ["bp", "gll", *links, "evaluation"]


def test_modules_of_equal_cost_are_the_same_for_every_rule_and_engine():
    asked = plan.Plan(("steps", "growth"), ("resnet20",), modules=(2, 4), balance="memory", quick=True)
    steps, *growth = [
        c for c in plan.comparisons(asked, with_torch=True) if "K = 4" in c.title or c.section == "growth"
    ]
    assert steps.title == "resnet20, batch 128, K = 4 of 2, 1, 2, 5 units, 1 thread"
    assert {w.cut for w in steps.workloads} == {(2, 1, 2, 5)} and {w.engine for w in steps.workloads} == {
        "minilocal",
        "torch",
    }
    assert [len(m.units) for m in steps.workloads[0].learner().modules] == [2, 1, 2, 5]
    points = {(w.net, w.modules, sum(w.cut), len(w.cut)) for c in growth for w in c.workloads}
    assert points >= {("resnet8", 2, 4, 2), ("resnet14", 2, 7, 2), ("resnet20", 1, 10, 1), ("resnet20", 2, 10, 2)}


def test_backlink_is_compared_with_itself_by_what_its_linked_units_keep():
    asked = plan.Plan(("steps",), ("resnet8",), rules=("gll", "backlink"), keeps=("caches", "inputs"))
    (comparison,) = plan.comparisons(asked, with_torch=True)
    steps = [(workload.engine, workload.what) for workload in comparison.workloads]
    assert steps[0] == ("minilocal", "gll") and ("minilocal", "backlink l=1") in steps
    assert [engine for engine, what in steps if what == "backlink l=1, inputs kept"] == ["minilocal"]
    (kept,) = (w for w in comparison.workloads if w.what == "backlink l=1, inputs kept")
    assert kept.learner().rule.keep == "inputs"


def test_growth_sweeps_batch_depth_modules_and_length():
    compared = plan.comparisons(plan.Plan(("growth",), nets=("resnet8",), modules=(2,)), with_torch=True)
    assert [c.title.partition(" ")[0] for c in compared] == ["batch", "depth", "K", "l"]
    batch, depth, K, l = ([(w.batch, w.net, w.modules, w.options) for w in c.workloads] for c in compared)
    assert {b[0] for b in batch} == {16, 32, 64, 128, 256} and {d[1] for d in depth} >= {"resnet8", "resnet110"}
    assert {k[2] for k in K} == {1, 2, 4} and [x[3].get("length") for x in l] == [None, 0, 1, 2, 3, 4]
    assert all(w.engine == "minilocal" for c in compared for w in c.workloads)


@pytest.mark.parametrize("wrong, says", [
    ({"nets": ("resnt8",)}, "did you mean 'resnet8'"), ({"modules": (9,), "nets": ("mlp",)}, "mlp, K = 9"),
    ({"rules": ("dgl",)}, "--rule"), ({"what": ("step",)}, "did you mean 'steps'"), ({"rounds": 0}, "--rounds 0"),
    ({"batches": (0,)}, "--batch-size 0"), ({"threads": (-1,)}, "--threads -1"), ({"lengths": (-1,)}, "--length -1"),
])  # fmt: skip
def test_a_plan_that_cannot_be_is_refused(wrong, says):
    with pytest.raises(ml.UserError, match=says):
        plan.Plan(**wrong).check()
    plan.Plan().check()


def test_a_comparison_gives_each_workloads_rounds_and_tears_all_down():
    calls = []
    comparison = plan.comparisons(TINY, with_torch=False)[0]
    rows = harness.run_comparison(comparison, InProcess(), 3, on_progress=lambda: calls.append(1))
    assert [row["what"] for row in rows] == ["bp", "gll", "backlink l=1", "evaluation"] and len(calls) == 12
    for row in rows:
        assert len(row["seconds"]) == 3 and min(row["seconds"]) > 0 and row["low"] <= row["median"] <= row["high"]
        assert "bytes" not in row
    assert not workload._instances
    json.dumps(rows)


def test_a_workload_that_cannot_be_set_up_has_a_row_that_says_why():
    wrong = Workload(net="mlp", modules=99, batch=4)
    right = Workload(net="mlp", modules=2, batch=4)
    rows = harness.run_comparison(plan.Comparison("steps", "t", [wrong, right]), InProcess(), 1)
    assert "UserError: K = 99" in rows[0]["failed"] and "median" in rows[1]
    text = report.markdown({"steps": rows})
    assert "## Failed" in text and "K = 99" in text


@pytest.fixture
def tiny_nets(monkeypatch):
    """Whatever network is asked for, a step is one of a small mlp."""
    small = SimpleNamespace(get=lambda name, rng: ml.nets.mlp((6, 5, 4), classes=3, size=4, rng=rng))
    monkeypatch.setattr(workload, "nets", small)


def test_a_step_on_a_device_has_its_bytes_and_graphs_are_asked_for(monkeypatch, tiny_nets):
    monkeypatch.setattr(workload, "Meter", _Meter)
    workloads = [Workload(net="mlp", modules=2, batch=4, device=fake, graph=graph) for graph in (False, True)]
    workloads.append(Workload(net="mlp", modules=2, batch=4, device=fake, evaluation=True))
    rows = harness.run_comparison(plan.Comparison("steps", "t", workloads), InProcess(), 1)
    assert not [row["failed"] for row in rows if "failed" in row]
    assert [row["bytes"].get("peak") for row in rows] == [12_300_000, None, 12_300_000]  # a graph allocates nothing
    assert ["held" in row["bytes"] for row in rows] == [True, False, True]
    assert all("process" in row["bytes"] for row in rows) and rows[0]["bytes"]["held"] > 0
    assert [row["label"] for row in rows] == ["minilocal, eager, fp32", "minilocal, graph, fp32", rows[0]["label"]]
    assert [row["started"] for row in rows] == ["eager", "graph", "eager"]
    text = report.markdown({"steps": rows})
    assert "used MB" in text and "held MB" in text and "| 12 " in text and "took turns" in text
    assert "minilocal, graph, fp32" in text and "| evaluation" in text and "Run eagerly" not in text


def test_an_engine_on_a_device_imports_no_other_one(monkeypatch, tiny_nets):
    class NoTorch:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "torch":
                raise AssertionError("PyTorch is imported for the bytes of minilocal")

    monkeypatch.setattr(sys, "meta_path", [NoTorch(), *sys.meta_path])
    monkeypatch.setattr(workload, "Meter", _Meter)
    for graph in (False, True):
        asked = Workload(net="mlp", modules=2, batch=4, device=fake, graph=graph)
        (row,) = harness.run_comparison(plan.Comparison("steps", "t", [asked]), InProcess(), 1)
        assert "failed" not in row and "failed" not in row["bytes"], row


def test_a_graph_that_is_refused_is_said_to_run_eagerly(monkeypatch, tiny_nets):
    monkeypatch.setattr(workload, "Meter", _Meter)
    monkeypatch.setattr(fake, "kernels", False)  # plain forms: products are the library's
    asked = Workload(net="mlp", modules=2, batch=4, device=fake, graph=True)
    (row,) = harness.run_comparison(plan.Comparison("steps", "t", [asked]), InProcess(), 1)
    text = report.markdown({"steps": [{"bytes": {}, **row}]})
    assert row["started"] == "eager" and "cuBLAS" in row["refused"]
    assert row["bytes"]["peak"] == _Meter.peak  # an eager step has one
    assert "minilocal, eager, fp32" in text and "graph, fp32" not in text
    assert "Run eagerly where a graph was asked for: " in text


def test_what_does_not_fit_at_once_has_the_device_for_itself(monkeypatch, tiny_nets):
    monkeypatch.setattr(workload, "Meter", _Meter)
    alive: list[int] = []
    setup = workload.setup
    monkeypatch.setattr(workload, "setup", lambda key, workload: _noting(alive, setup(key, workload)))
    asked = [Workload(net="mlp", rule=rule, modules=2, batch=4, device=fake, graph=g) for rule in ("bp", "gll")
             for g in (False, True)]  # fmt: skip
    comparison = plan.Comparison("steps", "t", asked)
    in_turns = harness.run_comparison(comparison, InProcess(), 2)
    assert max(alive) == 4 and all(row["memory"]["fits"] for row in in_turns)
    alive.clear()
    monkeypatch.setattr(harness, "bytes_needed", lambda workloads: 10**15)
    pool = InProcess()
    rows = harness.run_comparison(comparison, pool, 2)
    assert max(alive) == 1 and pool.closed == 2  # a process for each engine and setting
    assert [(r["what"], r["label"]) for r in rows] == [(r["what"], r["label"]) for r in in_turns]
    assert not [r for r in rows if "failed" in r] and all(len(r["seconds"]) == 2 for r in rows)
    text = report.markdown({"steps": rows})
    assert "One at a time" in text and "1000000.0 GB" in text and "took turns" not in text


def test_nothing_is_left_on_the_device_after_teardown(monkeypatch, tiny_nets):
    released, release = [], CapturedWork.release

    def noting(self):
        released.append(self.runs)
        release(self)

    monkeypatch.setattr(CapturedWork, "release", noting)
    counters_of(fake)  # a stream keeps them
    with counting() as counts:
        workload.setup("a", Workload(net="mlp", modules=2, batch=4, device=fake, graph=True))
        workload.setup("b", Workload(op="ReLU", batch=1, device=fake))
        assert counts.live > 0
        workload.teardown()
        assert counts.live == 0 and len(released) == 1  # its pool, which no collector empties


def _noting(alive, facts):
    alive.append(len(workload._instances))
    return facts


def test_the_bytes_that_workloads_need_are_predicted():
    step = Workload(net="resnet8", modules=2, batch=64, device="cuda")
    alone = device_memory.predicted_bytes(step)
    net, rule, modules = step.recipe()
    images = 64 * 32 * 32 * 3 * 4 + 64 * 8
    optimizer = ml.optim.SGD(momentum=0.9, weight_decay=1e-4)
    whole = estimate(net, rule, modules, 64, optimizer=optimizer, machine=GPU()).total + images
    assert alone == pytest.approx(whole, rel=0.01)  # the first step has no velocity before its end
    assert device_memory.predicted_bytes(replace(step, engine="torch")) == alone
    assert device_memory.predicted_bytes(replace(step, evaluation=True)) < alone / 2
    assert device_memory.predicted_bytes(Workload(op="ReLU", device="cuda")) == 0
    assert device_memory.bytes_needed([step]) == pytest.approx(0.6e9 + 1.25 * alone)
    assert device_memory.bytes_needed([step] * 2) == pytest.approx(0.6e9 + 2.5 * alone)
    assert device_memory.bytes_needed([step, replace(step, graph=True)]) == pytest.approx(1.2e9 + 2.5 * alone)


class _Meter:
    peak = 12_300_000

    def __init__(self, device):
        assert device is fake

    def __enter__(self):
        return self

    def __exit__(self, *why):
        pass


@pytest.mark.parametrize("started, compared", [("graph", True), ("eager", False)])
def test_operations_that_were_not_captured_are_compared_with_no_other(started, compared):
    """An eager time may be the host's."""
    common = {"what": "copy", "threads": 1, "batch": 8, "device": "cuda", "started": started, "flops": 1, "moved": 1}
    rows = [
        {**common, "label": label, "engine": label[:5], "median": t, "low": t, "high": t, "seconds": [t]}
        for label, t in (("minilocal, fp32", 2e-3), ("torch NCHW, fp32", 1e-3))
    ]
    text = report.markdown({"layers": rows})
    line = next(line for line in text.splitlines() if line.startswith("| copy"))
    assert ("2.00" in line.split("|")[4]) == compared and (line.split("|")[4].strip() == "-") != compared


def test_once_the_time_is_over_no_workload_is_asked_for():
    asked = []

    class Pool(_InProcess):
        def ask(self, function, timeout=0.0, **arguments):
            asked.append(function)

    pool: Any = Pool()
    comparison = plan.Comparison("steps", "t", [Workload(net="mlp", batch=4, modules=2, device=fake)])
    (row,) = harness.run_comparison(comparison, pool, 1, until=time.monotonic())
    assert "no answer within 0 s" in row["failed"] and asked == [harness.TEARDOWN]


def test_an_answer_has_no_longer_than_is_left():
    timeouts = {}

    class Pool(_InProcess):
        def ask(self, function, timeout=0.0, **arguments):
            timeouts[function] = timeout
            return super().ask(function, **arguments)

    pool: Any = Pool()
    comparison = plan.comparisons(TINY, with_torch=False)[0]
    harness.run_comparison(comparison, pool, 1, timeout=500.0, until=time.monotonic() + 100)
    assert timeouts.pop(harness.TEARDOWN) == 500 and all(90 < timeout <= 100 for timeout in timeouts.values())


def test_after_a_failure_on_a_device_its_worker_is_not_used_again():
    pool = InProcess()
    harness.run_comparison(plan.Comparison("steps", "t", [Workload(net="mlp", modules=99, device=fake)]), pool, 1)
    assert pool.closed == 1


@pytest.mark.parametrize("name", op_benchmarks(2))
def test_every_operation_runs_and_has_work_to_count(name):
    op = op_benchmark(name, 2)
    op.bind(np)()
    assert op.elements > 0 and op.flops >= 0
    assert isinstance(op.bind(np, "float64")(), object)


def test_operations_run_on_a_device():
    names = ["norm + shortcut + ReLU 8×8×64", "dropout mask", "crops of raw images", "ReLU"]
    workloads = [Workload(op=name, batch=2, device=fake) for name in names]
    rows = harness.run_comparison(plan.Comparison("layers", "t", workloads), InProcess(), 1)
    assert not [row["failed"] for row in rows if "failed" in row] and all(row["moved"] > 0 for row in rows)
    assert all(row["host"] > 0 and row["started"] == "graph" for row in rows if row["what"] != "dropout mask")
    text = report.markdown({"layers": rows})
    assert "| host " in text and "many runs in one CUDA graph" in text


@pytest.mark.parametrize("dtype, at_best", [("float32", 4), ("float64", 8)])
def test_no_operation_moves_less_than_its_count(dtype, at_best):
    """Its floor is at most what the engine's own kernels are given, on abstract arrays of the same shapes."""
    for name, op in op_benchmarks(2).items():
        library = AbstractNamespace(gpu=True)
        if name == "dropout mask" or name.startswith("SGD"):  # no abstract random bits; addresses in a table
            continue
        operands = {n: library.asarray(a.astype(dtype) if a.dtype.kind == "f" else a) for n, a in op.operands().items()}
        if name == "crops of raw images":  # of four times as many, not all
            operands["images"] = operands["images"][:2]
        before = library.moved
        op.minilocal(operands)
        slack = 1.0 if dtype == "float32" else 1.1  # whole numbers do not grow
        assert op.elements * at_best <= slack * (library.moved - before), name


def test_a_window_that_skips_pixels_reads_a_quarter_of_them():
    x, z, W = 2 * 32 * 32 * 16, 2 * 16 * 16 * 32, 16 * 32
    name = "convolution 1×1 32×32×16 → 32, stride 2"
    assert op_benchmark(name, 2).elements == x / 4 + W + z
    assert op_benchmark(f"{name}, backward", 2).elements == z + W + x / 4 + x + W
    assert op_benchmark("convolution 3×3 32×32×16 → 32, stride 2", 2).elements == x + 9 * W + z


def test_batch_norm_backward_has_seven_passes():
    z = 2 * 8 * 8 * 64
    assert op_benchmark("norm + shortcut + ReLU 8×8×64, backward", 2).elements == 7 * z
    library = AbstractNamespace(gpu=True)
    op = op_benchmark("norm + shortcut + ReLU 8×8×64, backward", 2)
    operands = {n: library.asarray(a) for n, a in op.operands().items()}
    before = library.moved
    op.minilocal(operands)
    assert round((library.moved - before) / (4 * z), 0) == 7  # what our kernels move, beside small sums


@pytest.mark.skipif(not available(), reason="PyTorch is only in the bench extra")
@pytest.mark.parametrize("layout", ["nchw", "channels_last"])
@pytest.mark.parametrize("name", [n for n, op in op_benchmarks(2).items() if op.torch])
def test_pytorch_does_the_same_operation(name, layout):
    """Where both results can be compared: not SGD, which updates in place, nor a norm's backward."""
    import torch

    op = op_benchmark(name, 2)
    ours, theirs = op.bind(np, "float64")(), op.bind_torch(torch, "cpu", layout, "float64")()
    if "SGD" in name or name.endswith("ReLU 32×32×16, backward") or ("norm" in name and "backward" in name):
        return
    ours, theirs = ours if isinstance(ours, tuple) else (ours,), theirs if isinstance(theirs, tuple) else (theirs,)
    ours = ours[1:] if "entropy" in name else ours
    for a, b in zip(ours, theirs, strict=False):
        b = b.detach().numpy()
        if b.ndim == 4:
            b = (
                b.transpose(2, 3, 1, 0)
                if a.shape[0] in (1, 3) and a.shape[0] == a.shape[1]
                else b.transpose(0, 2, 3, 1)
            )
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_the_layouts_differ_in_memory_only():
    torch = pytest.importorskip("torch")
    y = op_benchmark("convolution 3×3 8×8×64", 2).bind_torch(torch, "cpu", "channels_last")()
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_peak_rates_are_measured_for_products_and_copies():
    rows = roofline.measure(batch=2, quick=True)
    assert {row["unit"] for row in rows} == {"GFLOP/s", "GB/s"} and all(0 < r["median"] <= r["best"] for r in rows)
    assert roofline.peak_rate(rows, "GB/s") == 1e9 * max(r["median"] for r in rows if r["unit"] == "GB/s")
    assert roofline.peak_rate([], "GB/s") != roofline.peak_rate([], "GB/s")  # not a number


def test_blocks_give_the_product():
    rng = ml.rng(0)
    x, W = rng.standard_normal((5000, 40)), rng.standard_normal((40, 7))
    z = np.empty((5000, 7))
    roofline._in_blocks(x, W, z)
    np.testing.assert_allclose(z, x @ W)


@pytest.mark.parametrize("net, millions", [("resnet32", 69.124736), ("resnet110", 253.149824), ("mlp", 0.920064)])
def test_multiplications_are_counted(net, millions):
    assert ml.nets.get(net, rng=ml.rng(0)).macs == millions * 1e6


def test_those_of_blocks_with_a_shortcut_too():
    net = ml.nets.wrn(10, 1, size=8, rng=ml.rng(0))
    first, blocks = 8 * 8 * 9 * 3 * 16, [(16, 16, 8, 8), (16, 32, 8, 4), (32, 64, 4, 2)]
    each = [h * h * 9 * i * o + p * p * 9 * o * o + (p * p * i * o if i != o else 0) for i, o, h, p in blocks]
    assert net.macs == first + sum(each) + 64 * 10


def test_everything_is_saved_and_reported(tmp_path, monkeypatch, tiny_nets):
    monkeypatch.setattr(harness, "WorkerPool", lambda: _Pool())
    monkeypatch.setattr(harness, "available", lambda: False)
    saved = []
    asked = plan.Plan(plan.WHAT, ("mlp",), batches=(4,), modules=(2,), rounds=1, quick=True)
    results = harness.run(asked, save=lambda results: saved.append(json.dumps(results)))
    assert len(saved) == len(plan.comparisons(asked, False)) + 1 and json.loads(saved[-1]).keys() >= set(plan.WHAT)
    text = report.markdown(results)
    for head in ("## Limits", "## Steps", "## Layers", "## Growth", "before and after", "of the limit", "l grows"):
        assert head in text


class _Pool(_InProcess):
    def __enter__(self):
        return self

    def __exit__(self, *why):
        pass


def test_the_tables_compare_round_by_round_and_like_with_like():
    def row(label, engine, layout, seconds, **fields):
        workload = Workload(engine=engine, layout=layout, **fields).row()
        return {**workload, "comparison": "c", "seconds": seconds, "median": float(np.median(seconds))}

    rows = [
        row("minilocal", "minilocal", "nchw", [1.0, 4.0]), row("torch", "torch", "nchw", [2.0, 8.0]),
        row("x", "minilocal", "nchw", [1.0, 1.0], tf32=True), row("y", "torch", "nchw", [4.0, 4.0], tf32=True),
    ]  # fmt: skip
    lines = report.markdown({"steps": rows}).splitlines()
    ours, theirs, fast, _ = (line.split("|")[4].strip() for line in lines if line.startswith("| bp"))
    assert ours == "0.50" and theirs == "1" and fast == "0.25"
    assert (
        report.seconds(2.5) == "2.5 s" and report.seconds(0.0123) == "12.3 ms" and report.seconds(4.56e-5) == "45.6 µs"
    )


def test_beside_a_rule_with_contexts_stands_bp_on_its_network():
    """Steps and evaluations of both networks; PyTorch has the plain one alone."""
    chosen = plan.Plan(what=("steps",), nets=("resnet8",), rules=("bp", "contsup"), modules=(2,))
    (compared,) = plan.comparisons(chosen, with_torch=True)
    ours = [workload.what for workload in compared.workloads if workload.engine == "minilocal"]
    assert ours == ["bp", "contsup, E", "bp, E", "evaluation", "evaluation, E"]
    assert {workload.what for workload in compared.workloads if workload.engine == "torch"} == {"bp", "evaluation"}
    sizes = [network_size(workload.learner()) for workload in compared.workloads if workload.engine == "minilocal"]
    assert sizes[0] == sizes[3] and sizes[1] == sizes[2] == sizes[4] != sizes[0]
