"""From an array to a kernel that runs: its library, the form, the build, the arguments, and builds ahead of a step."""

from __future__ import annotations

import pkgutil
import re
import sys
import threading
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import ops
from minilocal.array import namespace, to_host
from minilocal.kernels import cuda
from minilocal.kernels.cuda import build, implicit_gemm, weight_grad
from minilocal.kernels.cuda.build import build_kernels
from minilocal.kernels.cuda.launch import TYPES, Kernel, noting
from minilocal.ops.batch_norm import RunningUpdate, Statistics
from tests.fake import cuda_on_host
from tests.fake.device import RawKernel, fake, fetch

on_host = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))


def modules():
    return [import_module(f"{cuda.__name__}.{file.name}") for file in pkgutil.iter_modules(cuda.__path__)]


def every_kernel():
    """Every kernel of every file, once."""
    return {k.name: k for module in modules() for k in vars(module).values() if isinstance(k, Kernel)}


@pytest.fixture
def scale():
    """A kernel that has never been built."""
    source = 'extern "C" __global__ void scale(T* x, int n, double by) { x[threadIdx.x] *= by * TIMES; }'
    return Kernel("scale", source)


@pytest.fixture
def library():
    """A library that is a module, as CuPy is: found by the module of its arrays' type, and its kernels do nothing."""
    lib: Any = ModuleType("nothing")
    lib.launched, lib.compiled, gpu = [], [], threading.local()

    class RawKernel:
        def __init__(self, source, name, options):
            self.name = name

        def __call__(self, grid, block, args):
            lib.launched.append((self, grid, block, args))

        def compile(self):
            lib.compiled.append((self.name, threading.get_ident(), gpu.number))

    class Device:
        """The current GPU is number 1."""

        def __init__(self, number=1):
            self.id = number

        def __enter__(self):
            gpu.number = self.id

        def __exit__(self, *error):
            del gpu.number

    lib.RawKernel, lib.cuda = RawKernel, ModuleType("nothing.cuda")
    lib.cuda.Device = Device
    lib.empty = lambda shape, dtype: lib.array(shape, dtype)
    lib.ascontiguousarray = lambda a, dtype=None: a

    class array:
        __module__ = "nothing.core"

        def __init__(self, shape, dtype="f4"):
            self.shape, self.dtype = shape, np.dtype(dtype)
            self.size, self.itemsize = int(np.prod(shape)), self.dtype.itemsize

    lib.array = array
    sys.modules["nothing"] = lib
    yield lib
    del sys.modules["nothing"]


# ------------------------------------------------------------------ the library and the form


def test_a_library_that_is_a_module_is_found_by_the_type_of_its_arrays(library):
    x = library.array((2,))
    assert namespace(x) is library
    with pytest.raises(TypeError, match="nothing and numpy arrays met in one call"):
        namespace(x, np.zeros(1))
    type(x).__module__ = "elsewhere"  # nobody reads it again
    assert namespace(x, library.array((3,))) is library


def test_a_library_that_is_an_object_is_asked_for_every_array():
    class Mine:
        def __init__(self, name):
            self.__name__ = name

        def __array_namespace__(self):
            return self

    mine: list[Any] = [Mine("one"), Mine("other")]
    assert all(namespace(array) is array for array in mine)


def test_a_form_is_looked_up_once_for_arrays_and_numbers_of_a_type(library, monkeypatch):
    asked, find = [], ops.dispatch.fast_ops

    def counted(xp, like, kind):
        asked.append((xp.__name__, like.dtype.char))
        return find(xp, like, kind)

    monkeypatch.setattr(ops.dispatch, "fast_ops", counted)
    for dtype in ("f4", "f8", "f4", "f8"):
        x = library.array((4, 4), dtype)
        ops.relu_backward(x, x)
    assert asked == [("nothing", "f"), ("nothing", "d")]
    assert [kernel.name for kernel, *_ in library.launched] == ["relu_backward"] * 4


# ------------------------------------------------------------------ the source


def test_every_kernel_is_ascii_when_it_is_built():
    kernels = every_kernel()
    assert len(kernels) >= len(cuda.FORMS) and not all(k.source.isascii() for k in kernels.values())
    for kernel in kernels.values():
        for char in TYPES:
            text = kernel.text(char, {"SIZE": 3})
            assert text.isascii() and f"#define T {TYPES[char]}\n#define SIZE 3\n" in text


def test_every_form_has_its_kernels_among_them():
    """A form's file, or one that it imports, has the kernels that it launches: they are all walked above."""
    walked = {id(k) for k in every_kernel().values()}
    for form in cuda.FORMS.values():
        mine = [k for k in form.__globals__.values() if isinstance(k, Kernel)]
        assert all(id(k) in walked for k in mine)


def test_only_comments_are_left_out():
    kernel = Kernel("k", "int x = 4 / 2;   // Σ\nint y;\n// μ\nint z;\n")
    assert kernel.text("f", {}).endswith("\nint x = 4 / 2;\nint y;\n\nint z;\n")
    with pytest.raises(UnicodeEncodeError):
        Kernel("k", "int σ;").text("f", {})


@pytest.mark.parametrize("name", sorted(every_kernel()))
def test_no_kernel_has_what_looks_like_a_comment_and_is_none(name):
    """`//` in a string, or a comment between /* and */, would be cut wrongly."""
    source = every_kernel()[name].source
    assert "/*" not in source and not re.search(r'"[^"\n]*//', source)


# ------------------------------------------------------------------ a launch


def test_a_kernel_is_built_once_for_a_type_and_constants(scale, library):
    x = library.array((4,))
    for by in (2.0, 3.0):
        scale(x, (1,), (4,), (x, 4, by), TIMES=1)
    scale(x, (1,), (4,), (x, 4, 1.0), TIMES=2)
    scale(library.array((4,), "f8"), (1,), (4,), (x, 4, 1.0), TIMES=1)
    assert len(scale._built[library]) == 3


def test_python_numbers_arrive_as_the_numbers_of_c(scale, library):
    x, wide = library.array((4,)), np.int64(5)
    scale(x, (1,), (4,), (x, True, 3, 0.5, wide, None), TIMES=1)
    *_, (array, *numbers) = library.launched[-1]
    assert array is x and numbers[-2] is wide and numbers[-1] is None
    assert [(type(n), n) for n in numbers[:3]] == [(np.int32, 1), (np.int32, 3), (np.float64, 0.5)]


def test_a_launch_that_is_kept_launches_the_same_as_a_call(scale, library):
    kept = scale.launch((1, 2), (4,), (4, 2.0), TIMES=1)
    for dtype in ("f4", "f8", "f4"):
        x = library.array((4,), dtype)
        kept(x)
        scale(x, (1, 2), (4,), (x, 4, 2.0), TIMES=1)
        assert library.launched[-1] == library.launched[-2]
    assert len(scale._built[library]) == 2


def test_a_convolution_of_the_same_shapes_is_planned_once(library):
    x, W = library.array((2, 8, 8, 4)), library.array((3, 3, 4, 8))
    for launches in (implicit_gemm._launch, weight_grad._launches):
        launches.cache_clear()
    for _ in range(3):
        z: Any = ops.conv2d(x, W, 1, 1)
        weight_grad.weight_gradient(z, x, 3, 1, 1)
    for launches in (implicit_gemm._launch, weight_grad._launches):
        assert launches.cache_info().misses == 1 and launches.cache_info().hits == 2


@on_host
def test_an_array_whose_numbers_lie_apart_never_meets_a_kernel(scale):
    x = fake.asarray(np.ones((4, 4), "f4"))
    with pytest.raises(ValueError, match=r"scale reads arrays as they lie: \(4,\) is not C-contiguous"):
        scale(x, (1,), (4,), (x[:, 0], 4, 2.0), TIMES=1)


@on_host
def test_running_statistics_that_lie_apart_are_updated_all_the_same():
    new, results = fake.asarray(np.arange(4, dtype="f4")), []
    for is_strided in (False, True):
        table = fake.asarray(np.ones((4, 2), "f4"))
        mean, variance = (table[:, 0], table[:, 1]) if is_strided else (table[:, 0].copy(), table[:, 1].copy())
        ops.batch_norm_update_running([RunningUpdate(mean, variance, Statistics(new, new, new, 5), 0.25)])
        results.append((fetch(mean), fetch(variance)))
    for contiguous, strided in zip(*results, strict=True):
        np.testing.assert_allclose(strided, contiguous, rtol=2**-22)


@on_host
@pytest.mark.parametrize("momentum", [1, 0, np.float32(0.25)])
def test_running_statistics_of_several_types_and_any_momentum_are_updated(momentum):
    results = []
    for library in (np, fake):
        new = [library.asarray(np.arange(4, dtype=dtype)) for dtype in ("f4", "f8")]
        old: list[Any] = [library.ones(4, dtype) for dtype in ("f4", "f4", "f8", "f8")]
        rows = zip(old[::2], old[1::2], new, strict=True)
        ops.batch_norm_update_running([RunningUpdate(m, v, Statistics(a, a, a, 5), momentum) for m, v, a in rows])
        results.append([to_host(a) for a in old])
    for a, b in zip(*results, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2**-22)


# ------------------------------------------------------------------ builds ahead of a step


def test_kernels_are_built_in_threads_and_nothing_is_launched(scale, library, capsys):
    x = library.array((4,))
    kept = scale.launch((1,), (4,), (4, 2.0), TIMES=3)

    def work():
        for times in (1, 2, 1):
            scale(x, (1,), (4,), (x, 4, 2.0), TIMES=times)
        kept(x)

    build_kernels(work, library)
    assert not library.launched and [name for name, *_ in library.compiled] == ["scale"] * 3
    assert threading.get_ident() not in {thread for _, thread, _ in library.compiled}
    assert {gpu for *_, gpu in library.compiled} == {1}
    work()
    assert len(library.launched) == 4 and capsys.readouterr().err == ""


def test_a_line_says_that_kernels_are_built_where_it_takes_long(scale, library, monkeypatch, capsys):
    go, x = threading.Event(), library.array((4,))
    library.RawKernel.compile = lambda self: go.wait(60)
    monkeypatch.setattr(build, "LINE_AFTER", 0.01)

    def say(*words, printing=print, **options):
        printing(*words, **options)
        go.set()

    monkeypatch.setattr("builtins.print", say)
    build_kernels(lambda: scale(x, (1,), (4,), (x, 4, 2.0), TIMES=1), library)
    line = "minilocal: building CUDA kernels, once: 0 of 1 are done; CuPy keeps them for later runs\n"
    assert capsys.readouterr().err == line


def test_a_kernel_that_cannot_be_built_is_the_steps_error(scale, library):
    def refuse(self):
        raise RuntimeError("Failed to find CUDA headers.")

    library.RawKernel.compile, x = refuse, library.array((4,))
    with pytest.raises(RuntimeError, match="CUDA headers"):
        build_kernels(lambda: scale(x, (1,), (4,), (x, 4, 2.0), TIMES=1), library)


def test_what_fails_without_its_launches_is_left_to_the_step(scale, library):
    x = library.array((4,))

    def work():
        scale(x, (1,), (4,), (x, 4, 2.0), TIMES=1)
        raise ArithmeticError("no such number")

    build_kernels(work, library)
    assert len(library.compiled) == 1


def test_other_threads_launch_meanwhile(scale, library):
    x = library.array((4,))
    with noting() as kernels:
        other = threading.Thread(target=lambda: scale(x, (1,), (4,), (x, 4, 2.0), TIMES=1))
        other.start()
        other.join()
    assert len(library.launched) == 1 and not kernels


@on_host
@pytest.mark.parametrize("rule", ["bp", "gll", "backlink", "pgl"])
def test_a_step_finds_what_it_launches_built_but_for_the_updates(rule, monkeypatch):
    """And going through it ahead changes no bit of what it trains."""
    net = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
    x, y = fake.asarray(ml.rng(1).standard_normal((4, 8, 8, 3), "float32")), fake.asarray(np.arange(4))
    compiled, launched, results = set[Any](), set[Any](), []
    compile_, call = RawKernel.compile, RawKernel.__call__

    def compiles(kernel):
        compiled.add(kernel)
        compile_(kernel)

    def launches(kernel, *args):
        launched.add(kernel)
        call(kernel, *args)

    monkeypatch.setattr(RawKernel, "compile", compiles)
    monkeypatch.setattr(RawKernel, "__call__", launches)
    for builds in (build_kernels, lambda work, xp: None):
        monkeypatch.setattr(build, "build_kernels", builds)
        learner = ml.Learner(net, ml.rules.get(rule), 2, rng=ml.rng(2), device=fake)
        losses = learner.step(x, y, lr=0.1)
        results.append([fetch(a) for a in (losses, *learner.parameters().values(), *learner.buffers().values())])
        assert compiled and {k.name for k in launched - compiled} == {"sgd", "batch_norm_update_running"}
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*results, strict=True))
