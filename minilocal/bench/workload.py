"""Workloads: one step, evaluation or operation, run by minilocal or by PyTorch inside a worker process.

A `Workload` travels to a worker, which is asked to `setup` it, to `time` it, for its `peak_memory`, and to `teardown`
all that it has set up. Images are noise and the learning rate is tiny: neither changes what a step costs.

A step runs as users run it, eagerly or as a graph. An operation on a GPU is timed inside a graph of many runs
(captured.py), so that its seconds are the GPU's, and what the host takes to start one is a figure of its own.
"""

from __future__ import annotations

import gc
import math
import warnings
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from minilocal import nets, rules, streams
from minilocal.bench.captured import CapturedWork, NotCaptured, capture, capture_torch
from minilocal.bench.ops import op_benchmark
from minilocal.bench.timing import Clock, DeviceClock, Work, clock_of, enough, torch_clock
from minilocal.bench.torch_learner import TorchLearner, allow_tf32
from minilocal.boundaries.supply import NO_CONTEXT, ContextSupply
from minilocal.device import device_namespace, make_current, to_device, use_tf32
from minilocal.engine import RecordedSteps
from minilocal.kernels.cuda.conv import WIDE
from minilocal.kernels.threads import use_threads
from minilocal.learner import Learner
from minilocal.memory.meter import Meter, free_unused, held_bytes
from minilocal.nets import Net
from minilocal.ops.kinds import use_kernels
from minilocal.optim import SGD
from minilocal.rules import Rule

LR = 1e-4
EAGER = 0.005  # seconds that the runs of a graph take eagerly; even at a tenth of that, its launch, of µs, is 1 %
SETS = 8  # runs of a graph at least: as many sets of operands take turns
PRECISIONS = {"float32": "fp32", "float64": "fp64"}


@dataclass(frozen=True)
class Workload:
    """The operation named `op` (`ops.op_benchmarks`), or without one a training step of `rule`, and its engine.

    `cut` has the unit counts of modules that are not cut evenly. `kernels` is the kind that minilocal has on the host,
    `layout` PyTorch's memory format. `graph` (CUDA graphs) is of minilocal's steps, on a GPU; `tf32` is both engines'.
    With `evaluation`, the batch is classified in evaluation mode instead of trained on; of the rule its context alone
    matters then, which is part of the network.
    """

    engine: str = "minilocal"
    net: str = "resnet32"
    rule: str = "bp"
    options: dict[str, Any] = field(default_factory=dict, hash=False)
    modules: int = 4
    cut: tuple[int, ...] = ()
    batch: int = 128
    threads: int = 1
    kernels: str = "numpy"
    device: Any = "cpu"
    layout: str = "nchw"
    tf32: bool = False
    graph: bool = False
    dtype: str = "float32"
    op: str = ""
    evaluation: bool = False

    @property
    def label(self) -> str:
        """The engine and its settings, whatever it runs; on a GPU with the precision of its products."""
        layout = "" if self.engine == "minilocal" else {"nchw": " NCHW"}.get(self.layout, " channels last")
        if self.device == "cpu":
            return self.engine + layout + {"numpy": ""}.get(self.kernels, f" {self.kernels.title()}")
        started = "" if self.op else ", graph" if self.graph else ", eager"
        return self.engine + layout + started + (", TF32" if self.tf32 else f", {PRECISIONS[self.dtype]}")

    @property
    def what(self) -> str:
        """The operation or the rule, whichever engine runs it."""
        context = f", {self.context.mode}" * (self.context != NO_CONTEXT)
        if self.op or self.evaluation:
            return self.op or f"evaluation{context}"
        length, keep = self.options.get("length"), self.options.get("keep", "caches")
        words = (f" l={length}" if length is not None else "") + f", {keep} kept" * (keep != "caches")
        return self.rule + words + context

    @property
    def context(self) -> ContextSupply:
        """What crosses upward besides h, under the rule of the step."""
        return rules.get(self.rule, **self.options).context

    def row(self) -> dict[str, Any]:
        """Every field, the label and what is timed, as JSON can write them."""
        return {**asdict(self), "device": str(self.device), "label": self.label, "what": self.what}

    def learner(self) -> Learner:
        """The Learner of a step; on the host for PyTorch, which copies its weights.

        Raises: UserError where net, rule and modules do not fit.
        """
        net, rule, modules = self.recipe()
        on_device: dict[str, Any] = {}
        if self.engine == "minilocal":
            on_device = {"device": self.device, "cuda_graph": self.graph}
        with warnings.catch_warnings(action="ignore"):  # lengths beyond a module's first unit are measured too
            optimizer = SGD(momentum=0.9, weight_decay=1e-4)
            return Learner(net, rule, modules, rng=streams.rng(0), dtype=self.dtype, optimizer=optimizer, **on_device)

    def recipe(self) -> tuple[Net, Rule, int | tuple[int, ...]]:
        """The network, the rule and the modules of a step."""
        net, rule = nets.get(self.net, rng=streams.rng(0)), rules.get(self.rule, **self.options)
        return net, rule, self.cut or self.modules

    @property
    def uses_tf32(self) -> bool:
        """Whether minilocal has a product in this step that TF32 changes: kernels/cuda/conv.py says which."""
        arrays = replace(self, device="cpu", graph=False).learner().parameters().values()
        wide = (a.shape[-1] > WIDE if a.ndim == 4 else a.ndim == 2 and max(a.shape) > WIDE for a in arrays)
        return self.dtype == "float32" and any(wide)


class Instance:
    """A workload that is ready to run: each call of `work` does it once, and `clock` times it.

    captured    an operation's runs on a GPU as a graph, where it can be captured, and `refused` says why not
    host        seconds that the host takes to start an operation there; None elsewhere
    started     "graph" or "eager" on a GPU, what is timed; empty on the host
    """

    def __init__(self, workload: Workload) -> None:
        self.workload, self.free_before = workload, free_bytes(workload)
        make = _torch_work if workload.engine == "torch" else _minilocal_work
        self.work, self.clock, learner = make(workload)
        self.captured: CapturedWork | None = None
        self.host, self.refused = None, ""
        for _ in range(3):  # CUDA graphs are recorded in the second run
            self.warm = self.clock.seconds(self.work)
        if workload.graph and learner is not None and isinstance(learner.engine, RecordedSteps):
            self.refused = learner.engine.refused
        if workload.op and isinstance(self.clock, DeviceClock):
            self.host = self.clock.host_seconds(self.work, min(20, enough(self.warm, EAGER)))
            self._capture(max(SETS, enough(self.warm, EAGER)))
        recorded = bool(self.captured) or (workload.graph and not self.refused)
        self.started = "" if workload.device == "cpu" else "graph" if recorded else "eager"

    def _capture(self, runs: int) -> None:
        try:
            if self.workload.engine == "torch":
                import torch

                self.captured = capture_torch(torch, self.work, runs)
            else:
                self.captured = capture(device_namespace(self.workload.device), self.work, runs)
            self.warm = self.seconds()
        except NotCaptured as reason:
            self.refused = str(reason)

    def seconds(self, repeats: int = 1) -> float:
        """Mean seconds of a run, of at least `repeats` in a row."""
        if self.captured is None:
            return self.clock.seconds(self.work, repeats)
        launches = math.ceil(repeats / self.captured.runs)
        return self.clock.seconds(self.captured.launch, launches) / self.captured.runs

    def close(self) -> None:
        """Drop the graph of an operation and give its memory back."""
        if self.captured is not None:
            self.captured.release()


Ready = tuple[Work, Clock, Learner | None]


def _minilocal_work(workload: Workload) -> Ready:
    use_threads(workload.threads)
    use_kernels(workload.kernels)
    xp = make_current(workload.device)
    if xp is not np:
        use_tf32(xp, workload.tf32)
    if workload.op:
        return op_benchmark(workload.op, workload.batch).bind(xp, workload.dtype), clock_of(xp), None
    learner = workload.learner()
    x, y = (to_device(a, workload.device) for a in _batch(learner, workload))
    if workload.evaluation:
        return lambda: learner.predict(x), clock_of(xp), learner
    return lambda: learner.step(x, y, lr=LR), clock_of(xp), learner


def _torch_work(workload: Workload) -> Ready:
    import torch

    torch.set_num_threads(workload.threads)
    device, layout, clock = workload.device, workload.layout, torch_clock(torch, workload.device)
    if workload.op:
        allow_tf32(torch, workload.tf32)
        torch.backends.cudnn.benchmark = True
        if device != "cpu":  # a backward runs on its forward's stream, and the default one cannot be captured
            torch.cuda.set_stream(torch.cuda.Stream(device))
        return op_benchmark(workload.op, workload.batch).bind_torch(torch, device, layout, workload.dtype), clock, None
    learner = workload.learner()
    torch_learner = TorchLearner(learner, device=device, layout=layout, tf32=workload.tf32)
    x, y = torch_learner.batch(*_batch(learner, workload))
    if workload.evaluation:
        return lambda: torch_learner.predict(x), clock, None
    return lambda: torch_learner.step(x, y, lr=LR), clock, None


def _batch(learner: Learner, workload: Workload) -> tuple[np.ndarray, np.ndarray]:
    rng = streams.rng(1)
    x = rng.standard_normal((workload.batch, *learner.net.shape), dtype=np.float32)
    return x.astype(workload.dtype), rng.integers(learner.net.classes, size=workload.batch)


def free_bytes(workload: Workload) -> int:
    """Free bytes of the workload's device by its driver, which counts every process; 0 for the host.

    The workload's engine asks it, so no library of another engine is imported.
    """
    if workload.device == "cpu":
        return 0
    if workload.engine == "torch":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    runtime = getattr(getattr(device_namespace(workload.device), "cuda", None), "runtime", None)
    return 0 if runtime is None else int(runtime.memGetInfo()[0])


# ---------------------------------------------------------------------- what a worker is asked

_instances: dict[str, Instance] = {}


def setup(key: str, workload: Workload) -> dict[str, Any]:
    """Build the workload and run it some times.

    Returns `warm`, the seconds of the last run, and `started`, `refused` and `host` of the Instance.
    """
    instance = _instances[key] = Instance(workload)
    return {name: getattr(instance, name) for name in ("warm", "started", "refused", "host")}


def time(key: str, repeats: int = 1) -> float:
    """Mean seconds of `repeats` runs in a row."""
    return _instances[key].seconds(repeats)


def peak_memory(key: str) -> dict[str, int]:
    """Bytes of one run: `peak`, above what is allocated between runs, and on a device also `held` and `process`.

    `peak` is what the library counts, and `held` what its memory pool then holds. PyTorch on the host counts nothing,
    and a CUDA graph allocates nothing when it runs: both have neither. `process` is what the process has taken from
    the driver since before `setup`: memory pools, graphs, and the libraries that it loaded.
    """
    instance = _instances[key]
    workload, work = instance.workload, instance.work
    memory, on_host = {}, workload.device == "cpu"
    if workload.engine == "minilocal" and instance.started != "graph":
        with Meter(workload.device) as meter:
            work()
        memory["peak"] = meter.peak
        if not on_host:
            memory["held"] = held_bytes(workload.device)
    elif workload.engine == "torch" and not on_host:
        import torch

        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        between_runs = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        memory["peak"] = torch.cuda.max_memory_allocated() - between_runs
        memory["held"] = torch.cuda.memory_reserved()
    return memory if on_host else {**memory, "process": instance.free_before - free_bytes(workload)}


def teardown() -> None:
    """Drop every workload, and on a device the memory that its library holds for reuse."""
    on_devices = {(i.workload.engine, i.workload.device) for i in _instances.values() if i.workload.device != "cpu"}
    for instance in _instances.values():
        instance.close()
    _instances.clear()
    gc.collect()  # graphs of steps give their memory back when they go
    for engine, device in on_devices:
        if engine == "torch":
            import torch

            torch.cuda.empty_cache()
        else:
            free_unused(device)
