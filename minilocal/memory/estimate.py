"""The bytes of a training step from shapes: the engine, layers and kernels run on abstract arrays.

The engine decides which caches are alive when. So the engine itself runs, on arrays without memory (`abstract_array`).
Kernels allocate scratch and partial sums, a part of the step's workspace, so they run too. GPU kernels allocate through
the library, and their launches do nothing. CPU kernels call NumPy: their modules are loaded a second time with the
abstract library in NumPy's place, and the library offers them to `ops.dispatch` as its `fast_ops`. Memory that one
thread takes counts once for each thread.
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
from minilocal.errors import whole
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
    """The profile of a step of `images` images in this epoch, in bytes. Nothing of that size is allocated.

    `machine` is `CPU()` or `GPU()`. It caches what kernels allocate: with the same machine, later estimates are quick.

    Raises: UserError as a `Learner`, where net, rule and modules do not fit, and for fewer than one image.
    """
    images = whole("images", images)
    machine = machine or CPU()
    library = machine.library
    learner = Learner(net, rule, modules, rng=streams.rng(0), device=library, dtype=dtype, optimizer=optimizer)
    learner.epoch = epoch
    machine.prepare(learner)
    batch: tuple[Any, Any] = library.empty((images, *net.shape), dtype), library.empty((images,), int)
    return profile(learner, *batch)


class GPU:
    """An abstract GPU. No step is recorded as a CUDA graph, whose memory would be that of the recorded step."""

    def __init__(self) -> None:
        self.library = AbstractNamespace(gpu=True)  # it has `RawKernel`, so operations run their CUDA forms

    def prepare(self, learner: Learner) -> None:
        """Nothing to do: the Learner was built for a GPU."""


class CPU:
    """An abstract CPU with `workers` threads: a library, and the functions of `kernels/cpu` traced on it."""

    def __init__(self, workers: int | None = None) -> None:
        self.library, self.workers = AbstractNamespace(), workers or threads.threads()
        self.scratch: dict[Hashable, AbstractArray] = {}
        self.requests: dict[tuple[Any, ...], None] = {}  # of scratch, by the kernel that runs
        self.traces: dict[Hashable, tuple[int, Make, list[tuple[Any, ...]]]] = {}
        self.forms = self._traced_kernels()
        self.library.fast_ops = {name: partial(self._traced, name, form) for name, form in self.forms.items()}

    def prepare(self, learner: Learner) -> None:
        """Empty the scratch memory before the Learner's first step."""
        self.scratch.clear()
        self.library.scratch = 0

    def _traced_kernels(self) -> dict[str, Callable[..., Any]]:
        """{name: function} of `kernels/cpu`, from copies of its modules with the abstract library in NumPy's place."""
        copies: dict[str, ModuleType] = {}
        for file in pkgutil.iter_modules(cpu.__path__, f"{cpu.__name__}."):
            spec = importlib.util.find_spec(file.name)
            assert spec is not None and spec.loader is not None
            copies[file.name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(copies[file.name])
        replaced: dict[Any, Any] = {
            np: self.library,
            workspace.scratch: self._scratch,
            workspace.workspace: self._workspace,
            threads.parallel_map: self._parallel_map,
        }
        for module in copies.values():
            for name, thing in list(vars(module).items()):
                if isinstance(thing, ModuleType) and thing.__name__ in copies:
                    setattr(module, name, copies[thing.__name__])
                elif isinstance(thing, (ModuleType, FunctionType)) and thing in replaced:
                    setattr(module, name, replaced[thing])
                elif isinstance(thing, FunctionType) and thing.__module__ in copies.keys() - {module.__name__}:
                    setattr(module, name, getattr(copies[thing.__module__], name))
        return {name: getattr(copies[form.__module__], name) for name, form in cpu.FORMS.items()}

    def _scratch(self, name: Hashable, shape: tuple[int, ...], dtype: Any) -> AbstractArray:
        """Abstract `workspace.scratch`, for all threads together."""
        self.requests[self._scratch, name, shape, dtype] = None
        key = (name, shape, str(dtype))
        if key not in self.scratch:
            self._allocate(key, shape, dtype)
        return self.scratch[key]

    def _workspace(self, name: Hashable, shape: tuple[int, ...], dtype: Any) -> AbstractArray:
        """Abstract `workspace.workspace`, for all threads together."""
        self.requests[self._workspace, name, shape, dtype] = None
        key = (name, str(dtype))
        if key not in self.scratch or self.scratch[key].size < prod(shape):
            self._allocate(key, (prod(shape),), dtype)
        return self.scratch[key][: prod(shape)].reshape(shape)

    def _allocate(self, key: Hashable, shape: tuple[int, ...], dtype: Any) -> None:
        if sum(b.nbytes for b in self.scratch.values()) > workspace.SCRATCH_LIMIT:
            self.scratch.clear()
        self.scratch[key] = self.library.empty(shape, dtype, times=self.workers)
        self.library.scratch = sum(b.held for b in self.scratch.values())

    def _parallel_map(self, work: Callable[[int, int], Any], parts: list[tuple[int, int]]) -> list[Any]:
        """Abstract `threads.parallel_map`: part after part; temporaries of a part count once for each thread."""
        library, results, most = self.library, [], 0
        for part in parts:
            before, peak = library.live, library.peak
            library.reset_peak()
            results.append(work(*part))
            most, library.peak = max(most, library.peak - max(before, library.live)), max(peak, library.peak)
        at_once = min(self.workers, len(parts)) - 1
        library.peak = max(library.peak, library.live + at_once * most)
        return results

    def _traced(self, kernel: str, run: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """The result of `run(*args, **options)`. It runs once for each signature; its peak and requests are cached."""
        args = inspect.signature(run).bind(*args, **options).args if options else args
        library, numbers = self.library, {id(a): i for i, a in reversed(list(enumerate(args)))}
        key = kernel, _signature(args, numbers)
        if key not in self.traces:
            self.requests.clear()
            run(*args)  # the first run allocates its scratch, the second is counted
            before, peak = library.live, library.peak
            library.reset_peak()
            result = run(*args)
            self.traces[key] = library.peak - before, _result_factory(result, numbers), list(self.requests)
            library.peak = max(peak, library.peak)
            return result
        rise, make, requests = self.traces[key]
        for request, *arguments in requests:
            request(*arguments)
        library.peak = max(library.peak, library.live + rise)
        return make(args, library)


def _signature(thing: Any, numbers: Mapping[int, int]) -> Hashable:
    """All that a kernel can depend on: shapes, strides, types, which arguments are the same array, and numbers."""
    if isinstance(thing, AbstractArray):
        return thing.shape, thing.strides, thing.dtype, numbers.get(id(thing))
    return tuple(_signature(t, numbers) for t in thing) if isinstance(thing, (tuple, list)) else thing


def _result_factory(result: Any, numbers: Mapping[int, int]) -> Make:
    """A function that makes a result like this one: an argument for an argument, a new array for a new array."""
    if isinstance(result, AbstractArray):
        if id(result) in numbers:
            number = numbers[id(result)]
            return lambda args, library: args[number]
        shape, dtype = result.shape, result.dtype
        return lambda args, library: library.empty(shape, dtype)
    if isinstance(result, tuple):
        makers, whole = [_result_factory(r, numbers) for r in result], getattr(result, "_make", tuple)
        return lambda args, library: whole(make(args, library) for make in makers)
    if isinstance(result, np.ndarray):
        raise TypeError(
            "a CPU kernel made a real array, not an abstract one: it reaches NumPy in a way that is not replaced."
        )
    return lambda args, library: result
