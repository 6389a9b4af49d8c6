"""Which code an operation runs: the fast form of its arrays' library, or inside `reference()` the definition itself."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import ops
from minilocal.array import Array
from minilocal.kernels import cpu, cuda
from minilocal.kernels.threads import parallel_map, threads, use_threads
from minilocal.layers import Conv, PassContext
from minilocal.ops import dispatch
from minilocal.verify.device import ops as cases
from tests.fake.device import fake
from tests.helpers.host import host
from tests.helpers.plain import NAMES, plain

KERNELS = str(Path(cpu.__file__).parent.parent)


def code_that_runs(work):
    """The code objects of all Python functions that `work()` calls in this thread."""
    seen = set()
    sys.setprofile(lambda frame, event, _: seen.add(frame.f_code) if event == "call" else None)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen


def is_fast(code):
    return code.co_filename.startswith((f"{KERNELS}/cpu", f"{KERNELS}/cuda"))


def arguments(name):
    """What one case of `minilocal.verify` gives to the operation, on NumPy."""
    return cases._each(cases.cases()[name][0].arguments(), np.copy, True)


@pytest.mark.parametrize("name", NAMES)
def test_inside_reference_an_operation_is_its_definition(name):
    definition = getattr(plain, name).__code__
    for wanted in (False, True):
        args = arguments(name)
        with ml.ops.reference() if wanted else nullcontext():
            seen = code_that_runs(lambda args=args: getattr(ops, name)(*args))
        if wanted or name not in cpu.FORMS:
            assert definition in seen and not any(map(is_fast, seen))
        else:
            assert any(map(is_fast, seen)), "what the check above must be able to see"


@pytest.mark.parametrize("rule", ["bp", "backlink", "infopro", "fdg"])
def test_inside_reference_a_training_step_runs_no_fast_form(rule):
    net = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
    learner = ml.Learner(net, ml.rules.get(rule), 2, rng=ml.rng(0))
    x, y = ml.rng(1).standard_normal((4, 8, 8, 3), "float32"), np.arange(4)
    for wanted in (False, True):
        with ml.ops.reference() if wanted else nullcontext():
            seen = code_that_runs(lambda: learner.step(x, y, lr=0.1))
        assert any(map(is_fast, seen)) is not wanted
        assert (plain.conv2d_backward.__code__ in seen) is wanted


def test_inside_reference_the_fast_forms_are_not_even_imported():
    code = """
import sys, numpy as np, minilocal as ml
learner = ml.Learner(ml.nets.resnet(8, size=8, rng=ml.rng(0)), ml.rules.backlink(), 2, rng=ml.rng(0))
x, y = np.ones((4, 8, 8, 3), "float32"), np.arange(4)
loaded = lambda: any(name.startswith(("minilocal.kernels.cpu", "minilocal.kernels.cuda")) for name in sys.modules)
with ml.ops.reference():
    learner.step(x, y, lr=0.1)
print(loaded())
learner.step(x, y, lr=0.1)
print(loaded())
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "True"]


def test_from_a_layer_to_im2col_are_two_calls_and_the_choice():
    conv, frames = Conv(3, 4, 3, ml.rng(0), pad=1), []

    def note(frame, event, _):
        if event == "call" and frame.f_code is ops.conv.im2col.__code__:
            while frame.f_code is not Conv.forward.__code__:
                frames.append(frame.f_code.co_name)
                frame = frame.f_back

    with ml.ops.reference():
        sys.setprofile(note)
        try:
            conv.forward(np.ones((2, 5, 5, 3), "float32"), PassContext())
        finally:
            sys.setprofile(None)
    assert frames == ["im2col", "conv2d", "run"]


@pytest.mark.parametrize("forms", [cpu.FORMS, cuda.FORMS], ids=["cpu", "cuda"])
def test_a_fast_form_takes_what_its_operation_takes(forms):
    def parameters(function):
        return [(p.name, p.default, p.kind) for p in inspect.signature(function).parameters.values()]

    for name, form in forms.items():
        assert parameters(form) == parameters(getattr(ops, name)), name


ON_ONE_ARRAY = {
    "batch_norm_stats", "dropout_mask", "global_average_pool", "global_average_pool_backward", "max_pool", "relu",
    "sum_rows",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(NAMES) - ON_ONE_ARRAY))
def test_arrays_of_two_libraries_are_refused(name):
    """Whichever of its arrays is elsewhere. `sgd`, `mix` and `batch_norm_update_running` have them in a list."""
    args = arguments(name)
    first = args[0][0] if isinstance(args[0], list) else args
    arrays = [a for a in first if isinstance(a, np.ndarray)][:2]
    if name == "batch_norm_update_running":
        arrays = [first.mean, first.batch.mean]
    for elsewhere in arrays:
        mixed = _with(args, elsewhere)
        for wanted in (False, True):
            with ml.ops.reference() if wanted else nullcontext():
                getattr(ops, name)(*arguments(name))  # NumPy's form is known now
                with pytest.raises(TypeError, match=r"fake and numpy arrays met in one call.*to_device"):
                    getattr(ops, name)(*mixed)


def _with(value, elsewhere):
    """The same arguments, with this one array on the fake device."""
    if isinstance(value, (tuple, list)):
        kind = getattr(value, "_make", type(value))
        return kind(_with(v, elsewhere) for v in value)
    return fake.asarray(value) if value is elsewhere else value


# ------------------------------------------------------------------ a library with a table of its own


class Library:
    """An array library of one array: itself."""

    __name__ = "toy"

    def __init__(self, **forms):
        self.fast_ops = forms

    def __array_namespace__(self):
        return self


@dispatch.op
def which(x: Array) -> str:
    return "plain"


@dispatch.op_on(lambda several, *_: several)
def which_of(several: list[Array]) -> str:
    return "plain"


def test_a_library_may_bring_its_own_forms_and_change_them():
    library: Any = Library(which=lambda x: "fast")
    without: Any = Library()
    assert which(library) == "fast" and which(without) == which(np.zeros(1)) == "plain"
    library.fast_ops = {}
    assert which(library) == "plain"
    library.RawKernel, library.dtype = None, np.dtype("f4")  # kernels.cuda has no such operation
    assert which(library) == "plain"


def test_arrays_inside_an_argument_decide_and_without_any_the_definition_runs():
    library: Any = Library(which_of=lambda several: "fast")
    assert which_of([library]) == "fast" and which_of([]) == "plain"
    with pytest.raises(TypeError, match=r"numpy and toy arrays met in one call"):
        which_of([library, np.zeros(1)])


def test_arrays_may_be_given_by_name():
    x, W = ml.rng(0).standard_normal((2, 5, 5, 3)), ml.rng(1).standard_normal((3, 3, 3, 4))
    z = cpu.conv2d(x, W, 2, 1)
    assert np.array_equal(host(ops.conv2d(x=x, W=W, stride=2, pad=1)), z)
    assert np.array_equal(host(ops.conv2d(x, W=W, pad=1, stride=2)), z)
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        ops.conv2d(W=W)  # type: ignore[call-arg]


def test_reference_ends_with_its_block_and_may_be_nested():
    library: Any = Library(which=lambda x: "fast")
    with ml.ops.reference():
        with ml.ops.reference():
            assert which(library) == "plain"
        assert which(library) == "plain"
    assert which(library) == "fast"
    with pytest.raises(KeyError), ml.ops.reference():
        raise KeyError
    assert which(library) == "fast"


def test_reference_holds_in_the_thread_pool_and_not_in_another_thread():
    library: Any = Library(which=lambda x: "fast")
    before, barrier = threads(), threading.Barrier(3, timeout=60)
    outside: list[str] = []
    use_threads(3)
    try:
        with ml.ops.reference():
            everywhere = parallel_map(lambda i, j: (barrier.wait(), which(library))[1], [(i, i + 1) for i in range(3)])
            other = threading.Thread(target=lambda: outside.append(which(library)))
            other.start()
            other.join()
    finally:
        use_threads(before)
    assert everywhere == ["plain"] * 3 and outside == ["fast"]


# ---------------------------------------------------------------------- interception


def test_an_interception_sees_every_operation_and_its_result_counts():
    x = host(np.array([-1.0, 2.0]))
    seen = []

    def doubled(plain, form, *args, **kwargs):
        seen.append(plain.__name__)
        return 2 * form(*args, **kwargs)

    with dispatch.intercept(doubled):
        assert ops.relu(x).tolist() == [0, 4]
        with dispatch.intercept(lambda plain, form, *args: form(*args) + 1):  # the inner one first, then the outer
            assert ops.relu(x).tolist() == [1, 5]
            with ml.ops.reference():
                assert ops.relu(x).tolist() == [1, 5]
    assert seen == ["relu"] * 3 and ops.relu(x).tolist() == [0, 2]


def test_what_an_operation_calls_is_not_intercepted_again():
    seen = []

    def noted(plain, form, *args, **kwargs):
        seen.append(plain.__name__)
        if plain.__name__ == "relu":
            ops.relu(*args)
        return form(*args, **kwargs)

    @dispatch.op
    def both(x: Array) -> Array:
        return ops.relu(x)

    with dispatch.intercept(noted):
        both(np.ones(1))
    assert seen == ["both"]


def test_what_is_not_to_be_intercepted_is_not():
    """Neither by the block around it nor by one around that; afterwards both see operations again."""
    seen: list[str] = []

    def see(plain, form, *args, **kwargs):
        seen.append(plain.__name__)
        return form(*args, **kwargs)

    x = np.ones((2, 3))
    with dispatch.intercept(see), dispatch.intercept(see):
        with dispatch.not_intercepted():
            ops.relu(x)
        assert not seen
        ops.relu(x)
    ops.relu(x)
    assert seen == ["relu", "relu"]  # by both
