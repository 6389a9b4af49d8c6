"""Threads of one process: each Learner's bits are those that it has alone."""

from __future__ import annotations

import copy
import pickle
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import minilocal as ml
from minilocal.engine.hooks import Hook
from tests.faults.concurrency.learners import CLASSES, SIDE, batch, bits, digest, learner, step, trained
from tests.helpers.host import host

MANY = 32


def in_threads(work: Callable[[int], Any], number: int) -> list[Any]:
    """[work(0), work(1), ...], each in a thread of its own, begun at once."""
    start = threading.Barrier(number)

    def begun(i: int) -> Any:
        start.wait()
        return work(i)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(begun, range(number)))


def same(collected: Sequence[Any], expected: Sequence[Any]) -> str:
    wrong = [str(i) for i, (a, b) in enumerate(zip(collected, expected, strict=True)) if a != b]
    return f"other bits: {', '.join(wrong)}" if wrong else ""


def number_of_threads_changes(seconds: float = 1.0) -> str:
    """Four threads train while a fifth sets 1, 2, 3 and 4 threads in turn."""
    expected = [trained(seed, 3) for seed in range(4)]
    end = threading.Event()

    def change() -> None:
        i = 0
        while not end.is_set():
            ml.use_threads(1 + i % 4)
            i += 1

    other = threading.Thread(target=change)
    other.start()
    try:
        return next(filter(None, (same(in_threads(lambda s: trained(s, 3), 4), expected) for _ in range(3))), "")
    finally:
        end.set()
        other.join()


def kernels_change() -> str:
    """Threads train while another sets NumPy's kernels and Numba's in turn: finite, and within round-off of both."""
    kinds, end = ("numpy", "numba"), threading.Event()

    def weights(seed: int) -> np.ndarray:
        one = learner(seed, rule="backlink")
        for number in range(3):
            step(one, seed, number)
        return np.concatenate([host(a).ravel() for a in one.parameters().values()])

    expected = {}
    for kind in kinds:
        ml.use_kernels(kind)
        expected[kind] = [weights(seed) for seed in range(4)]
    most = max(np.abs(a - b).max() for a, b in zip(*expected.values(), strict=True))  # of round-off after three steps

    def change() -> None:
        i = 0
        while not end.is_set():
            ml.use_kernels(kinds[i % 2])
            i += 1

    other = threading.Thread(target=change)
    other.start()
    try:
        collected = in_threads(weights, 4)
    finally:
        end.set()
        other.join()
        ml.use_kernels("numpy")
    off = max(np.abs(a - b).max() for a, b in zip(collected, expected["numpy"], strict=True))
    return "" if off <= 10 * most else f"{off:.1e} off, and the kinds {most:.1e}"


def many_interleaved() -> str:
    """32 Learners, a step of each in turn."""
    expected, learners = [trained(seed) for seed in range(MANY)], [learner(seed) for seed in range(MANY)]
    for number in range(2):
        for seed, one in enumerate(learners):
            step(one, seed, number)
    return same([bits(one, seed) for seed, one in enumerate(learners)], expected)


def many_in_threads(many: int = MANY) -> str:
    """32 Learners, each in a thread."""
    return same(in_threads(trained, many), [trained(seed) for seed in range(many)])


def predictions_of_one_learner() -> str:
    """Eight threads predict by one Learner."""
    one = learner()
    step(one, 0, 0)
    expected = [host(one.predict(batch(seed)[0])).tobytes() for seed in range(8)]
    return same(in_threads(lambda seed: host(one.predict(batch(seed)[0])).tobytes(), 8), expected)


def learners_of_one_net() -> str:
    """Four Learners of one network in four threads: each has copies of its arrays."""
    net = ml.nets.resnet(8, classes=CLASSES, size=SIDE, rng=ml.rng(7))
    before = digest({name: host(a) for name, a in net.parameters().items()})

    def train(seed: int) -> str:
        one = learner(seed, net)
        step(one, seed, 0)
        step(one, seed, 1)
        return bits(one, seed)

    expected = [train(seed) for seed in range(4)]
    wrong = same(in_threads(train, 4), expected)
    return wrong or ("" if digest({name: host(a) for name, a in net.parameters().items()}) == before else "the net")


def a_generator_of_all_threads() -> str:
    """Learners of several threads draw their keys from one generator: those that one thread would get, each once."""
    net, number = ml.nets.mlp((16,), classes=CLASSES, size=SIDE, rng=ml.rng(0)), 8

    def keys(rng: np.random.Generator, run: Callable[[Callable[[int], int]], list[int]]) -> list[int]:
        return sorted(run(lambda _: ml.Learner(net, ml.rules.bp(), 2, rng=rng).key))

    shared = keys(ml.rng(5), lambda work: in_threads(work, number))
    return "" if shared == keys(ml.rng(5), lambda work: [work(i) for i in range(number)]) else "other keys"


def errstate_of_another() -> str:
    """Another thread's `np.errstate` and warning filters are its own, and the workers of the pool take the caller's."""
    expected, end, inside = [trained(seed) for seed in range(2)], threading.Event(), threading.Event()

    def hold() -> None:
        with np.errstate(all="raise"), warnings.catch_warnings():
            warnings.simplefilter("error")
            inside.set()
            end.wait()

    other = threading.Thread(target=hold)
    other.start()
    inside.wait()
    try:
        before = np.geterr()
        wrong = same(in_threads(trained, 2), expected)
        return wrong or ("" if np.geterr() == before and before["over"] != "raise" else "errstate")
    finally:
        end.set()
        other.join()


class Middle(Hook):
    """In the middle of a step, let another thread make a copy, and wait for it a while."""

    def __init__(self) -> None:
        self.reached, self.copied = threading.Event(), threading.Event()

    def after_backward(self, part: Any, error: Any, grads: Any) -> Any:
        if not self.reached.is_set():
            self.reached.set()
            self.copied.wait(0.3)
        return error


def copies_during_a_step() -> str:
    """A state, a copy and a pickle that are asked for in the middle of a step are those of before it or after it."""
    makers: dict[str, Callable[[ml.Learner], str]] = {
        "state": lambda one: digest(one.state()),
        "copy": lambda one: digest(copy.copy(one).state()),
        "deepcopy": lambda one: digest(copy.deepcopy(one).state()),
        "pickle": lambda one: digest(pickle.loads(pickle.dumps(one)).state()),
    }
    wrong = []
    for name, make in makers.items():
        one, hook = learner(rule="gll"), Middle()
        step(one, 0, 0)
        before, collected = digest(one.state()), list[str]()
        one.modules[-1].hooks.append(hook)

        def ask(make: Any = make, one: Any = one, hook: Any = hook, collected: Any = collected) -> None:
            hook.reached.wait()
            one.modules[-1].hooks.clear()  # a copy has none
            collected.append(make(one))
            hook.copied.set()

        other = threading.Thread(target=ask)
        other.start()
        step(one, 0, 1)
        other.join()
        if collected != [digest(one.state())] and collected != [before]:
            wrong.append(name)
    return ", ".join(wrong)


def steps_of_one_learner() -> str:
    """Threads that step one Learner take turns: the same batch ten times over is ten steps, whoever takes them."""
    alone = learner()
    for _ in range(10):
        step(alone, 0, 0)
    one = learner()

    def two_steps(_: int) -> None:
        step(one, 0, 0)
        step(one, 0, 0)

    in_threads(two_steps, 5)
    return "" if bits(one) == bits(alone) else "other bits"
