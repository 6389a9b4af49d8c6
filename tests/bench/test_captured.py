"""Operations on a GPU are timed inside a graph; one that cannot be captured is eager, and says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minilocal.bench import report
from minilocal.bench.captured import NotCaptured, capture, capture_torch
from minilocal.bench.workload import Instance, Workload
from tests.fake.cuda import MemoryPool
from tests.fake.device import counting, fake, fetch


def test_a_graph_runs_the_work_again_in_the_same_memory():
    x = fake.asarray(np.zeros(3, "float32"))

    def work() -> None:
        x[...] = x + 1

    captured = capture(fake, work, 5)
    assert fetch(x).tolist() == [0, 0, 0]  # a capture runs nothing
    with counting() as counts:
        captured.launch()
        captured.launch()
    assert fetch(x).tolist() == [10, 10, 10] and (counts.syncs, counts.uploads) == (0, 0)
    captured.release()
    assert not hasattr(captured, "graph")


def test_what_the_library_refuses_is_told_and_the_device_goes_on():
    x = fake.asarray(np.ones((2, 2), "float32"))
    with pytest.raises(NotCaptured, match="NotImplementedError: calling cuBLAS"):
        capture(fake, lambda: fake.matmul(x, x), 2)
    with pytest.raises(NotCaptured, match="cudaErrorStreamCapture"):
        capture(fake, lambda: float(x[0, 0]), 1)
    assert fetch(fake.matmul(x, x)).tolist() == [[2, 2], [2, 2]]


def test_its_memory_goes_back_after_its_graph(monkeypatch):
    freed = []

    class Pool(MemoryPool):
        def free_all_blocks(self, stream: Any = None) -> None:
            freed.append(hasattr(captured, "graph"))

    monkeypatch.setattr(fake.cuda, "MemoryPool", Pool)
    captured = capture(fake, lambda: None, 1)
    captured.release()
    assert freed == [False]


def test_an_operation_is_timed_by_launches_of_its_graph(monkeypatch):
    instance = Instance(Workload(op="ReLU", batch=1, device=fake))
    assert instance.started == "graph" and instance.captured is not None and instance.captured.runs >= 8
    assert instance.host is not None and instance.host > 0 and instance.refused == ""
    launched = []
    monkeypatch.setattr(instance.captured, "launch", lambda: launched.append(1))
    monkeypatch.setattr(instance, "work", lambda: pytest.fail("an eager run is timed"))
    seconds = instance.seconds(2 * instance.captured.runs + 1)
    assert len(launched) == 3 and 0 < seconds < 1


def test_an_operation_that_cannot_be_captured_is_eager_and_marked(monkeypatch):
    monkeypatch.setattr(fake, "kernels", False)  # plain forms: a product is the library's
    instance = Instance(Workload(op="product N×64 · 64×10", batch=1, device=fake))
    assert instance.started == "eager" and instance.captured is None and "cuBLAS" in instance.refused
    ran = []
    monkeypatch.setattr(instance, "work", lambda: ran.append(1))
    instance.seconds(3)
    assert len(ran) == 3
    row = {**instance.workload.row(), "comparison": "c", "seconds": [2e-6], "median": 2e-6, "started": "eager",
           "host": 7e-5, "flops": 1.0, "moved": 1.0}  # fmt: skip
    theirs = {**row, "engine": "torch", "label": "torch NCHW, fp32", "started": "graph"}
    line = next(
        line for line in report.markdown({"layers": [row, theirs]}).splitlines() if line.startswith("| product")
    )
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:5] == ["2 µs, eager", "2 µs", "-", "70 µs"]  # the GPU's time is not compared with the host's


class TorchCuda:
    """The calls of torch.cuda that a capture makes, noted."""

    def __init__(self, refuses: bool = False) -> None:
        self.log: list[str] = []
        self.refuses, self.cuda = refuses, self

    def current_stream(self) -> str:
        return "side stream"

    def CUDAGraph(self) -> Any:
        return SimpleNamespace(replay=lambda: self.log.append("replay"), reset=lambda: self.log.append("reset"))

    def graph(self, graph: Any, stream: str) -> Any:
        self.log.append(f"capture on the {stream}")
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        if self.refuses:
            raise RuntimeError("CUDA error: operation not permitted\nmore")


def test_pytorch_captures_on_the_current_stream():
    torch = TorchCuda()
    captured = capture_torch(torch, lambda: torch.log.append("run"), 2)
    captured.launch()
    captured.release()
    assert torch.log == ["capture on the side stream", "run", "run", "replay", "reset"]
    with pytest.raises(NotCaptured, match=r"RuntimeError: CUDA error: operation not permitted$"):
        capture_torch(TorchCuda(refuses=True), lambda: None, 1)
