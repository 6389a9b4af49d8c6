"""Contestants: one training step, or one piece of it, by the engine or by PyTorch; what a worker holds and times.

An `Entry` says what is to be timed and travels to a worker; `enter`, `time`, `peak` and `leave` are what a worker is
asked to do with it. Images are noise and the learning rate is tiny: what a step costs does not depend on either.
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
from minilocal.device import device_namespace, to_device, use_tf32
from minilocal.kernels.threads import use_threads
from minilocal.learner import Learner
from minilocal.memory.meter import Meter
from minilocal.optim import SGD

LR = 1e-4
ENGINES = ("minilocal", "torch")


@dataclass(frozen=True)
class Workload:
    """A contestant. `op` names an operation of a step (`pieces.NAMES`); without one it is a step of `rule`.

    `layout` and `tf32` are PyTorch's; `tf32` and `graph` (CUDA graphs) are the engine's on a GPU.
    """

    engine: str = "minilocal"
    net: str = "resnet32"
    rule: str = "bp"
    options: dict[str, Any] = field(default_factory=dict, hash=False)
    modules: int = 4
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
        """Who it is, whatever is timed."""
        layout = "" if self.engine == "minilocal" else {"nchw": " NCHW"}.get(self.layout, " channels last")
        return self.engine + layout + ", graph" * self.graph + ", TF32" * self.tf32

    @property
    def what(self) -> str:
        """What is timed, whoever does it."""
        if self.op:
            return self.op
        length, kept = self.options.get("length"), self.options.get("keep", "caches")
        return self.rule + (f" l={length}" if length is not None else "") + f", {kept} kept" * (kept != "caches")

    def row(self) -> dict[str, Any]:
        """As JSON can write it, nothing left out."""
        return {**asdict(self), "device": str(self.device), "label": self.label, "what": self.what}

    def learner(self) -> Learner:
        """The Learner of a step, on the host for PyTorch's sake.

        Raises: UserError where net, rule and modules do not fit.
        """
        rng = streams.rng(0)
        net, rule = nets.get(self.net, rng=rng), rules.get(self.rule, **self.options)
        there: dict[str, Any] = {}
        if self.engine == "minilocal":
            there = {"device": self.device, "cuda_graph": self.graph}
        with warnings.catch_warnings(action="ignore"):  # of lengths past a module's floor
            optimizer = SGD(momentum=0.9, weight_decay=1e-4)
            return Learner(net, rule, self.modules, rng=rng, dtype=self.dtype, optimizer=optimizer, **there)


class Instance:
    """An Entry at its place: `work` is done once a call, and `clock` tells how long it took."""

    def __init__(self, entry: Workload) -> None:
        self.entry, self.free = entry, _free(entry)
        self.work, self.clock = _by_torch(entry) if entry.engine == "torch" else _by_engine(entry)
        self.warm = [self.clock.seconds(self.work) for _ in range(3)][
            -1
        ]  # the second step is where graphs are recorded


def _by_engine(entry: Workload) -> tuple[Work, Clock]:
    use_threads(entry.threads)
    xp = device_namespace(entry.device)
    if xp is not np:
        use_tf32(xp, entry.tf32)
    if entry.op:
        return op_benchmark(entry.op, entry.batch).engine(xp, entry.dtype), clock_of(xp)
    made = entry.learner()
    x, y = (to_device(a, entry.device) for a in _batch(made, entry))
    return lambda: made.step(x, y, lr=LR), clock_of(xp)


def _by_torch(entry: Workload) -> tuple[Work, Clock]:
    import torch

    torch.set_num_threads(entry.threads)
    clock = torch_clock(torch, entry.device)
    if entry.op:
        allow_tf32(torch, entry.tf32)
        torch.backends.cudnn.benchmark = True
        return op_benchmark(entry.op, entry.batch).torch(torch, entry.device, entry.layout, entry.dtype), clock
    made = entry.learner()
    peer = TorchLearner(made, device=entry.device, layout=entry.layout, tf32=entry.tf32)
    x, y = peer.batch(*_batch(made, entry))
    return lambda: peer.step(x, y, lr=LR), clock


def _batch(made: Learner, entry: Workload) -> tuple[np.ndarray, np.ndarray]:
    rng = streams.rng(1)
    x = rng.standard_normal((entry.batch, *made.net.shape), dtype=np.float32)
    return x.astype(entry.dtype), rng.integers(made.net.classes, size=entry.batch)


def _free(entry: Workload) -> int:
    """Bytes that are free on the device: what the driver says, all processes counted."""
    if entry.device == "cpu":
        return 0
    if entry.engine == "torch":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    xp = device_namespace(entry.device)
    runtime = getattr(getattr(xp, "cuda", None), "runtime", None)
    return 0 if runtime is None else int(runtime.memGetInfo()[0])


# ---------------------------------------------------------------------- what a worker is asked

_held: dict[str, Instance] = {}


def setup(key: str, entry: Workload) -> float:
    """Builds the contestant and runs it three times; the seconds of the last."""
    _held[key] = Instance(entry)
    return _held[key].warm


def time(key: str, number: int = 1) -> float:
    """Seconds of one of `number` runs in a row."""
    it = _held[key]
    return it.clock.seconds(it.work, number)


def peak_memory(key: str) -> dict[str, int]:
    """Bytes: `above`, of one run above what is there between runs; on a device also `taken`, since it entered.

    `above` is what the library counts: it cannot be told for PyTorch on the host, nor for a graph, which allocates
    nothing when it runs. `taken` is what the driver counts, pools and graphs and libraries included.
    """
    it = _held[key]
    found, on_host = {}, it.entry.device == "cpu"
    if it.entry.engine == "minilocal" and not it.entry.graph:
        with Meter(it.entry.device) as meter:
            it.work()
        found["above"] = meter.peak
    elif not on_host:
        import torch

        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        base = torch.cuda.memory_allocated()
        it.work()
        torch.cuda.synchronize()
        found["above"] = torch.cuda.max_memory_allocated() - base
    return found if on_host else {**found, "taken": it.free - _free(it.entry)}


def teardown() -> None:
    """Lets every contestant go, and on a device the memory that its library kept for later."""
    entries = [it.entry for it in _held.values()]
    _held.clear()
    gc.collect()
    for engine, device in {(entry.engine, entry.device) for entry in entries if entry.device != "cpu"}:
        if engine == "torch":
            import torch

            torch.cuda.empty_cache()
            continue
        xp = device_namespace(device)
        if hasattr(xp, "get_default_memory_pool"):
            xp.get_default_memory_pool().free_all_blocks()
