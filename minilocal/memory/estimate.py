"""The bytes of a training step, from shapes: the same engine, rules, layers and kernels, run on ghosts.

Which caches live when is the engine's doing, so the engine is run, on arrays without memory (`ghost`). Kernels take
scratch and partial sums of their own, which make a step's workspace, so they are run too. Those of the GPU allocate
through the library and start kernels that do nothing. Those of the CPU call NumPy: their modules are loaded a second
time, with ghosts in its place, and what one thread takes is counted for each thread.
"""

from __future__ import annotations

import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from math import prod
from types import FunctionType, ModuleType
from typing import Any, Union

import numpy as np

from minilocal import streams
from minilocal.kernels import cpu, threads, workspace
from minilocal.learner import Learner
from minilocal.memory.abstract_array import AbstractArray, AbstractNamespace
from minilocal.memory.profile import MemoryProfile, profile
from minilocal.nets import Net
from minilocal.optim import Optimizer
from minilocal.rules import Rule

Machine = Union["CPU", "GPU"]
Make = Callable[[tuple[Any, ...], AbstractNamespace], Any]  # (arguments, library) → a result


def estimate(
    net: Net,
    rule: Rule,
    modules: int | Sequence[int],
    images: int,
    *,
    dtype: str = "float32",
    optimizer: Optimizer | None = None,
    epoch: int = 0,
    machine: Machine | None = None,
) -> MemoryProfile:
    """What a step of `images` images in this epoch takes, by `usage`. Nothing of that size is allocated.

    `machine` is `Host()`, the CPU, or `Device()`, a GPU. It remembers what kernels take: give the same one to several
    predictions, and all but the first are quick.
    """
    machine = machine or CPU()
    library = machine.library
    learner = Learner(net, rule, modules, rng=streams.rng(0), device=library, dtype=dtype, optimizer=optimizer)
    learner.epoch = epoch
    machine.prepare(learner)
    batch: tuple[Any, Any] = library.empty((images, *net.shape), dtype), library.empty((images,), int)
    return profile(learner, *batch)


class GPU:
    """A GPU as ghosts see it. Steps are not recorded as a graph, whose memory would be that of the recorded step."""

    def __init__(self) -> None:
        self.library = AbstractNamespace(gpu=True)  # it has `RawKernel`, so operations run their CUDA forms

    def prepare(self, learner: Learner) -> None:
        """A Learner takes any library but NumPy for a GPU's."""


class CPU:
    """The CPU as ghosts see it: a library, and the kernels of `kernels/cpu` run over it, `threads` at a time."""

    def __init__(self, workers: int | None = None) -> None:
        self.library, self.workers = AbstractNamespace(), workers or threads.threads()
        self.scratch: dict[Hashable, AbstractArray] = {}
        self.asked: dict[tuple[Any, ...], None] = {}  # the scratch that the kernel which runs has asked for
        self.seen: dict[Hashable, tuple[int, Make, list[tuple[Any, ...]]]] = {}
        self.forms = self._traced_kernels()
        self.library.fast_ops = {name: partial(self._remembered, name, form) for name, form in self.forms.items()}

    def prepare(self, learner: Learner) -> None:
        """Scratch is empty at first."""
        self.scratch.clear()
        self.library.scratch = 0

    def _traced_kernels(self) -> dict[str, Callable[..., Any]]:
        """The functions of `kernels/cpu`, in modules of their own that know ghosts where they knew NumPy."""
        copies: dict[str, ModuleType] = {}
        for found in pkgutil.iter_modules(cpu.__path__, f"{cpu.__name__}."):
            spec = importlib.util.find_spec(found.name)
            assert spec is not None and spec.loader is not None
            copies[found.name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(copies[found.name])
        ours = {
            np: self.library,
            workspace.scratch: self._scratch,
            workspace.workspace: self._workspace,
            threads.parallel_map: self._spread,
        }
        for module in copies.values():
            for name, thing in list(vars(module).items()):
                if isinstance(thing, ModuleType) and thing.__name__ in copies:
                    setattr(module, name, copies[thing.__name__])
                elif isinstance(thing, (ModuleType, FunctionType)) and thing in ours:
                    setattr(module, name, ours[thing])
                elif isinstance(thing, FunctionType) and thing.__module__ in copies.keys() - {module.__name__}:
                    setattr(module, name, getattr(copies[thing.__module__], name))
        return {name: getattr(copies[form.__module__], name) for name, form in cpu.FORMS.items()}

    def _scratch(self, name: Hashable, shape: tuple[int, ...], dtype: Any) -> AbstractArray:
        """As `workspace.scratch`, of all threads together."""
        self.asked[self._scratch, name, shape, dtype] = None
        where = (name, shape, str(dtype))
        if where not in self.scratch:
            self._hold(where, shape, dtype)
        return self.scratch[where]

    def _workspace(self, name: Hashable, shape: tuple[int, ...], dtype: Any) -> AbstractArray:
        """As `workspace.workspace`."""
        self.asked[self._workspace, name, shape, dtype] = None
        where = (name, str(dtype))
        if where not in self.scratch or self.scratch[where].size < prod(shape):
            self._hold(where, (prod(shape),), dtype)
        return self.scratch[where][: prod(shape)].reshape(shape)

    def _hold(self, where: Hashable, shape: tuple[int, ...], dtype: Any) -> None:
        if sum(b.nbytes for b in self.scratch.values()) > workspace.SCRATCH_LIMIT:
            self.scratch.clear()
        self.scratch[where] = self.library.empty(shape, dtype, times=self.workers)
        self.library.scratch = sum(b.held for b in self.scratch.values())

    def _spread(self, work: Callable[[int, int], Any], parts: list[tuple[int, int]]) -> list[Any]:
        """As `threads.parallel_map`, one part after the other; the temporaries of one part count for each thread."""
        library, results, most = self.library, [], 0
        for part in parts:
            before, peak = library.live, library.peak
            library.reset_peak()
            results.append(work(*part))
            most, library.peak = max(most, library.peak - max(before, library.live)), max(peak, library.peak)
        at_once = min(self.workers, len(parts)) - 1
        library.peak = max(library.peak, library.live + at_once * most)
        return results

    def _remembered(self, kernel: str, run: Callable[..., Any], *given: Any, **options: Any) -> Any:
        """What `run(*given, **options)` returns; run once for these shapes, and what it takes is remembered."""
        given = inspect.signature(run).bind(*given, **options).args if options else given
        library, where = self.library, {id(a): i for i, a in reversed(list(enumerate(given)))}
        key = kernel, _signature(given, where)
        if key not in self.seen:
            self.asked.clear()
            run(*given)  # after that its scratch is there
            before, peak = library.live, library.peak
            library.reset_peak()
            result = run(*given)
            self.seen[key] = library.peak - before, _result_factory(result, where), list(self.asked)
            library.peak = max(peak, library.peak)
            return result
        rise, make, asked = self.seen[key]
        for ask, *what in asked:
            ask(*what)
        library.peak = max(library.peak, library.live + rise)
        return make(given, library)


def _signature(thing: Any, where: Mapping[int, int]) -> Hashable:
    """What a kernel can tell apart: shapes, strides, types, which arguments are one array, and numbers."""
    if isinstance(thing, AbstractArray):
        return thing.shape, thing.strides, thing.dtype, where.get(id(thing))
    return tuple(_signature(t, where) for t in thing) if isinstance(thing, (tuple, list)) else thing


def _result_factory(result: Any, where: Mapping[int, int]) -> Make:
    """What makes another result like this one: an argument stays that argument, a new array becomes a new one."""
    if isinstance(result, AbstractArray):
        if id(result) in where:
            number = where[id(result)]
            return lambda given, library: given[number]
        shape, dtype = result.shape, result.dtype
        return lambda given, library: library.empty(shape, dtype)
    if isinstance(result, tuple):
        makers, whole = [_result_factory(r, where) for r in result], getattr(result, "_make", tuple)
        return lambda given, library: whole(make(given, library) for make in makers)
    if isinstance(result, np.ndarray):
        raise TypeError("a kernel of the CPU made an array that is no ghost: NumPy is reached there in some new way.")
    return lambda given, library: result
