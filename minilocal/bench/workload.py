"""Workloads: one training step or one operation, run by minilocal or by PyTorch inside a worker process.

A `Workload` travels to a worker, which is asked to `setup` it, to `time` it, for its `peak_memory`, and to `teardown`
all that it has set up. Images are noise and the learning rate is tiny: neither changes what a step costs.
"""

from __future__ import annotations

import gc
import warnings
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from minilocal import nets, rules, streams
from minilocal.bench.ops import op_benchmark
from minilocal.bench.timing import Clock, Work, clock_of, torch_clock
from minilocal.bench.torch_learner import TorchLearner, allow_tf32
from minilocal.device import device_namespace, make_current, to_device, use_tf32
from minilocal.kernels.threads import use_threads
from minilocal.learner import Learner
from minilocal.memory.meter import Meter
from minilocal.optim import SGD

LR = 1e-4


@dataclass(frozen=True)
class Workload:
    """The operation named `op` (`ops.op_benchmarks`), or without one a training step of `rule`, and its engine.

    `cut` has the unit counts of modules that are not cut evenly. `layout` is PyTorch's memory format. `graph` (CUDA
    graphs) is minilocal's, on a GPU; `tf32` is both engines'.
    """

    engine: str = "minilocal"
    net: str = "resnet32"
    rule: str = "bp"
    options: dict[str, Any] = field(default_factory=dict, hash=False)
    modules: int = 4
    cut: tuple[int, ...] = ()
    batch: int = 128
    threads: int = 1
    device: Any = "cpu"
    layout: str = "nchw"
    tf32: bool = False
    graph: bool = False
    dtype: str = "float32"
    op: str = ""

    @property
    def label(self) -> str:
        """The engine and its settings, whatever it runs."""
        layout = "" if self.engine == "minilocal" else {"nchw": " NCHW"}.get(self.layout, " channels last")
        return self.engine + layout + ", graph" * self.graph + ", TF32" * self.tf32

    @property
    def what(self) -> str:
        """The operation or the rule, whichever engine runs it."""
        if self.op:
            return self.op
        length, keep = self.options.get("length"), self.options.get("keep", "caches")
        return self.rule + (f" l={length}" if length is not None else "") + f", {keep} kept" * (keep != "caches")

    def row(self) -> dict[str, Any]:
        """Every field, the label and what is timed, as JSON can write them."""
        return {**asdict(self), "device": str(self.device), "label": self.label, "what": self.what}

    def learner(self) -> Learner:
        """The Learner of a step; on the host for PyTorch, which copies its weights.

        Raises: UserError where net, rule and modules do not fit.
        """
        rng = streams.rng(0)
        net, rule = nets.get(self.net, rng=rng), rules.get(self.rule, **self.options)
        on_device: dict[str, Any] = {}
        if self.engine == "minilocal":
            on_device = {"device": self.device, "cuda_graph": self.graph}
        with warnings.catch_warnings(action="ignore"):  # lengths beyond a module's first unit are measured too
            optimizer = SGD(momentum=0.9, weight_decay=1e-4)
            return Learner(
                net, rule, self.cut or self.modules, rng=rng, dtype=self.dtype, optimizer=optimizer, **on_device
            )


class Instance:
    """A workload that is ready to run: each call of `work` does it once, and `clock` times it."""

    def __init__(self, workload: Workload) -> None:
        self.workload, self.free_before = workload, _free_bytes(workload)
        self.work, self.clock = _torch_work(workload) if workload.engine == "torch" else _minilocal_work(workload)
        for _ in range(3):  # CUDA graphs are recorded in the second run
            self.warm = self.clock.seconds(self.work)


def _minilocal_work(workload: Workload) -> tuple[Work, Clock]:
    use_threads(workload.threads)
    xp = make_current(workload.device)
    if xp is not np:
        use_tf32(xp, workload.tf32)
    if workload.op:
        return op_benchmark(workload.op, workload.batch).bind(xp, workload.dtype), clock_of(xp)
    learner = workload.learner()
    x, y = (to_device(a, workload.device) for a in _batch(learner, workload))
    return lambda: learner.step(x, y, lr=LR), clock_of(xp)


def _torch_work(workload: Workload) -> tuple[Work, Clock]:
    import torch

    torch.set_num_threads(workload.threads)
    device, layout, clock = workload.device, workload.layout, torch_clock(torch, workload.device)
    if workload.op:
        allow_tf32(torch, workload.tf32)
        torch.backends.cudnn.benchmark = True
        return op_benchmark(workload.op, workload.batch).bind_torch(torch, device, layout, workload.dtype), clock
    learner = workload.learner()
    torch_learner = TorchLearner(learner, device=device, layout=layout, tf32=workload.tf32)
    x, y = torch_learner.batch(*_batch(learner, workload))
    return lambda: torch_learner.step(x, y, lr=LR), clock


def _batch(learner: Learner, workload: Workload) -> tuple[np.ndarray, np.ndarray]:
    rng = streams.rng(1)
    x = rng.standard_normal((workload.batch, *learner.net.shape), dtype=np.float32)
    return x.astype(workload.dtype), rng.integers(learner.net.classes, size=workload.batch)


def _free_bytes(workload: Workload) -> int:
    """Free bytes of the device by its driver, which counts every process; 0 for the host."""
    if workload.device == "cpu":
        return 0
    if workload.engine == "torch":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    runtime = getattr(getattr(device_namespace(workload.device), "cuda", None), "runtime", None)
    return 0 if runtime is None else int(runtime.memGetInfo()[0])


# ---------------------------------------------------------------------- what a worker is asked

_instances: dict[str, Instance] = {}


def setup(key: str, workload: Workload) -> float:
    """Build the workload and run it three times; the seconds of the last run."""
    _instances[key] = Instance(workload)
    return _instances[key].warm


def time(key: str, repeats: int = 1) -> float:
    """Mean seconds of `repeats` runs in a row."""
    instance = _instances[key]
    return instance.clock.seconds(instance.work, repeats)


def peak_memory(key: str) -> dict[str, int]:
    """Bytes of one run: `peak`, above what is allocated between runs, and on a device also `process`.

    `peak` is what the library counts. PyTorch on the host counts nothing, and a CUDA graph allocates nothing when it
    runs; both have none. `process` is what the process has taken from the driver since before `setup`: memory pools,
    graphs and libraries included.
    """
    instance = _instances[key]
    workload, work = instance.workload, instance.work
    memory, on_host = {}, workload.device == "cpu"
    if workload.engine == "minilocal" and not workload.graph:
        with Meter(workload.device) as meter:
            work()
        memory["peak"] = meter.peak
    elif workload.engine == "torch" and not on_host:
        import torch

        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        between_runs = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        memory["peak"] = torch.cuda.max_memory_allocated() - between_runs
    return memory if on_host else {**memory, "process": instance.free_before - _free_bytes(workload)}


def teardown() -> None:
    """Drop every workload, and on a device the memory that its library holds for reuse."""
    on_devices = {(i.workload.engine, i.workload.device) for i in _instances.values() if i.workload.device != "cpu"}
    _instances.clear()
    gc.collect()
    for engine, device in on_devices:
        if engine == "torch":
            import torch

            torch.cuda.empty_cache()
            continue
        xp = device_namespace(device)
        if hasattr(xp, "get_default_memory_pool"):
            xp.get_default_memory_pool().free_all_blocks()
