"""Out of memory in a step is one line: where, for which tensor, what to do, and what would keep less."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.array import Array
from minilocal.engine.memory_advice import memory_advice
from minilocal.engine.out_of_memory import OutOfMemory, gigabytes, out_of_memory
from minilocal.layers import PassContext
from minilocal.tree import tree_leaves

NET = ml.nets.resnet(20, size=16, rng=ml.rng(0))
FULL = "Out of memory allocating 4,194,304 bytes (allocated so far: 8,589,934,592 bytes)."


class Greedy:
    """A unit or an objective that finds no room for a batch, in its forward or its backward."""

    def __init__(self, inner, where, error):
        self.inner, self.where, self.error = inner, where, error

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def forward(self, h, *others):
        if self.where == "forward" and len(h) > 1:
            raise self.error
        return self.inner.forward(h, *others)

    def backward(self, *args):
        if self.where == "backward":
            raise self.error
        return self.inner.backward(*args)

    def gradients(self, *args):
        if self.where == "gradients":
            raise self.error
        return self.inner.gradients(*args)


def short_of_memory(rule, where="forward", error=None, part="unit"):
    """The line that a step of 32 images ends with, when module 2 finds no room."""
    learner = ml.Learner(NET, rule, 5, rng=ml.rng(0))
    error = error or MemoryError(FULL)
    module = learner.modules[1]
    inner = module.units[0] if part == "unit" else getattr(module, part)
    greedy: Any = Greedy(inner, where, error)
    if part == "unit":
        module.units[0] = greedy
    else:
        learner.modules[1] = replace(module, **{part: greedy})
    x, y = np.zeros((32, *NET.shape), "f4"), np.arange(32) % 10
    with pytest.raises(OutOfMemory) as caught:
        for _ in range(10):  # a worker that is drawn may have to wait for its turn
            learner.step(x, y, lr=0.1)
    assert "\n" not in str(caught.value) and isinstance(caught.value, ml.UserError)
    return str(caught.value)


def test_the_forward_of_a_unit():
    line = short_of_memory(ml.rules.bp())
    assert line.startswith(
        "out of memory in the forward of layer1.1 on (32, 16, 16, 16) float32, 0.5 MB (Out of memory"
    )
    assert "4,194,304 bytes" in line and "halve the batch size to 16, or keep less. Backpropagation keeps" in line


def test_the_backward_of_a_unit():
    assert short_of_memory(ml.rules.bp(), "backward").startswith("out of memory in the backward of layer1.1 (Out of")


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_an_objective(where):
    line = short_of_memory(ml.rules.gll(), where, part="objective")
    assert line.startswith("out of memory in the objective behind layer1.2 on (32, 16, 16, 16)")


def test_a_synthesiser():
    line = short_of_memory(ml.rules.dni(), part="synthesiser")
    assert line.startswith("out of memory in the synthesiser behind layer1.2 on (32, 16, 16, 16)")
    line = short_of_memory(ml.rules.dni(), "gradients", part="synthesiser")
    assert line.startswith("out of memory in the gradients of the synthesiser behind layer1.2 (Out of memory")


def test_what_numpy_says_of_the_array_is_handed_on():
    try:
        np.empty(1 << 50, "f8")
    except MemoryError as error:
        line = short_of_memory(ml.rules.bp(), error=error)
    assert "Unable to allocate 8.00 PiB for an array with shape (1125899906842624,) and data type float64" in line


@pytest.mark.parametrize("rule", [ml.rules.ddg(), ml.rules.dgl(buffer=1)], ids=["delayed", "asynchronous"])
def test_engines_with_delays_say_it_too(rule):
    assert "out of memory in the forward of layer1.1" in short_of_memory(rule)


def test_an_update_without_memory():
    learner = ml.Learner(NET, ml.rules.gll(), 5, rng=ml.rng(0))

    class Full:
        def update(self, moves, lr):
            raise MemoryError(FULL)

    learner.optimizer = Full()
    with pytest.raises(OutOfMemory, match=r"out of memory in the update \(Out of memory allocating 4,194,304 bytes"):
        learner.step(np.zeros((4, *NET.shape), "f4"), np.arange(4), lr=0.1)


# ------------------------------------------------------------------ what would keep less


def kept(rule, modules, n=64):
    """What `memory_advice` says, and the bytes of every unit's cache and output, counted here on the whole batch."""
    learner = ml.Learner(NET, rule, modules, rng=ml.rng(0))
    h: Array = np.zeros((n, *NET.shape), "f4")
    each = []
    line = memory_advice(learner.modules, h, learner._training.arrays, rule.boundary.passes_on)
    for u, unit in enumerate(NET.units):
        y, cache = unit.forward(h, PassContext(unit=u), learner._training.arrays)
        each.append(sum(a.nbytes for a in tree_leaves((cache, y), h) if a.ndim > 1))
        h = y
    return line, each


def test_backpropagation_is_told_of_local_rules_and_of_checkpoints():
    line, each = kept(ml.rules.bp(), 4)
    local = max(each[k] + each[k - 1] for k in range(1, 10))  # ten units make ten modules of one
    assert f"Backpropagation keeps about {gigabytes(sum(each))} for these images" in line
    assert f"BackLink over 10 modules about {gigabytes(local)}" in line and 'BP with keep="inputs"' in line


def test_a_local_rule_is_told_of_twice_as_many_modules_or_one_for_each_unit():
    for modules, more in ((1, 2), (3, 6), ([8, 1, 1], 6), ([1] * 5 + [5], 10)):
        assert f"{more} modules about" in kept(ml.rules.gll(), modules)[0]
    line, each = kept(ml.rules.gll(), [5, 5])
    four = max(sum(each[0:3]), sum(each[2:6]), sum(each[5:8]), sum(each[7:10]))  # modules of 3, 3, 2, 2 units
    assert line == (
        f"2 modules keep about {gigabytes(max(sum(each[:5]), sum(each[4:])))} for these images; 4 modules about "
        f"{gigabytes(four)}."
    )


def test_where_nothing_keeps_less_nothing_is_said():
    assert kept(ml.rules.gll(), 10)[0] == ""


def test_where_there_is_no_room_for_one_image_nothing_is_estimated():
    learner = ml.Learner(NET, ml.rules.bp(), 5, rng=ml.rng(0))
    greedy: Any = Greedy(learner.modules[0].units[0], "always", MemoryError(FULL))
    greedy.forward = lambda *args: (_ for _ in ()).throw(MemoryError(FULL))
    learner.modules[0].units[0] = greedy
    assert memory_advice(learner.modules, np.zeros((4, *NET.shape), "f4"), learner._training.arrays, True) == ""


def test_sizes_read_well():
    assert [gigabytes(n) for n in (500_000, 12_345_678, 3_140_000_000)] == ["0.5 MB", "12.3 MB", "3.1 GB"]
    assert [gigabytes(n) for n in (99_999_999, 100_000_000)] == ["100.0 MB", "0.1 GB"]
    assert "no more is known" in str(out_of_memory(MemoryError(), "update"))
