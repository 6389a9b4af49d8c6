"""A Learner stays on its own device, whatever the process does with others: on two fake GPUs."""

from __future__ import annotations

import copy
import sys
import threading
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import device
from minilocal.device import device_namespace, make_current, on_device
from minilocal.errors import UserError
from minilocal.kernels.cuda.last_block import LEAST
from minilocal.locality.influence import toy_net
from minilocal.locality.perturb import PerturbedRun, Site, Subject
from minilocal.memory.meter import free_unused, held_bytes
from minilocal.train.evaluate import predict
from tests.fake import cuda_on_host, memory
from tests.fake.device import fake, fetch

pytestmark = pytest.mark.skipif(bool(cuda_on_host.available()), reason=str(cuda_on_host.available()))

NET, RULE, STEPS = toy_net(3, channels=4, size=8, classes=4), ml.rules.backlink(), 4
RNG = ml.rng(1)
X, Y = RNG.standard_normal((6, 8, 8, 3), "f4"), np.arange(6) % 4


@pytest.fixture(autouse=True)
def two(monkeypatch):
    """The fake device as CuPy, with cuda:0 and cuda:1."""
    monkeypatch.setattr(cuda_on_host, "checked", False)
    for name, module in (("cupy", fake), ("cupy._core", ModuleType("cupy._core"))):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(device, "_sound", {})
    for name in ("driverGetVersion", "runtimeGetVersion"):
        monkeypatch.setattr(fake.cuda.runtime, name, lambda: 13000, raising=False)
    with memory.two_cards():
        yield
        assert fake.cuda.Device().id == 0, "the current device has changed"


def build(place, rule=RULE, seed=1, **options):
    return ml.Learner(NET, rule, 2, rng=ml.rng(seed), device=place, **options)


def used(learner):
    """Everything that a Learner does with a batch: arrays on the host."""
    x, y = (ml.to_device(a, learner.device) for a in (X, Y))
    losses = [fetch(learner.step(x, y, lr=0.1)) for _ in range(STEPS)]
    _, grads = learner.gradients(x, y)
    learner.load({name: ml.to_host(a) for name, a in learner.parameters().items()})
    state = learner.state()
    learner.restore(state)
    losses += [fetch(learner.step(x, y, lr=0.1)) for _ in range(STEPS)]
    learner.finish()
    logits = [a for a in (learner.predict(x), *learner.local_logits(x)) if a is not None]
    return [*losses, *map(fetch, grads.values()), *state.values(), *learner.state().values(), *map(fetch, logits)]


def number(array: Any) -> int:
    """Of the GPU that it lies on."""
    id_: int = array.device.id
    return id_


def equal(one, other):
    assert len(one) == len(other)
    assert all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(one, other, strict=True))


@pytest.fixture
def alone():
    return used(build("cuda:0"))


@pytest.mark.parametrize("order", [("cuda:0", "cuda:1"), ("cuda:1", "cuda:0"), ("cuda", "cuda:1")])
def test_two_learners_on_two_devices_give_the_bits_of_each_alone(order, alone):
    both = [build(place) for place in order]
    for learner in both:
        equal(used(learner), alone)
    for learner, place in zip(both, order, strict=True):
        assert {number(a) for a in learner.parameters().values()} == {int(place == "cuda:1")}
        assert learner.cuda_graph_status.startswith("steps of 6 images are recorded")


def test_their_steps_take_turns(alone):
    both = [build("cuda:0"), build("cuda:1")]
    batches = [[ml.to_device(a, learner.device) for a in (X, Y)] for learner in both]
    losses = [
        [fetch(learner.step(*batch, lr=0.1)) for learner, batch in zip(both, batches, strict=True)]
        for _ in range(STEPS)
    ]
    for of_one in zip(*losses, strict=True):
        equal(list(of_one), alone[:STEPS])


@pytest.mark.parametrize("place", ["cuda:0", "cuda:1"])
def test_a_thread_gives_the_same_bits(place, alone):
    """One is built here and used there; the other is built there, and used there and here."""
    results, built = [], build(place)

    def work():
        results.append(used(built))
        results.append(build(place))

    thread = threading.Thread(target=work)
    with on_device("cuda:1"):  # what this thread does is no matter to the other
        thread.start()
        thread.join()
        results[1] = used(results[1])
    for result in results:
        equal(result, alone)


def test_two_threads_at_once(alone):
    results = {}
    threads = [
        threading.Thread(target=lambda place=place: results.update({place: used(build(place, cuda_graph=False))}))
        for place in ("cuda:0", "cuda:1")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place in ("cuda:0", "cuda:1"):
        equal(results[place], alone)


def test_cuda_is_the_device_that_was_current_when_the_learner_was_built(alone):
    with on_device("cuda:1"):
        learner = build("cuda")
    assert {number(a) for a in learner.parameters().values()} == {1}
    with learner.on_device:
        equal(used(learner), alone)


@pytest.mark.parametrize("rule", [ml.rules.ddg(), ml.rules.dgl(buffer=2), ml.rules.pgl(period=1, duration=1)])
def test_rules_that_hold_batches_and_phases(rule, monkeypatch):
    x, y = (ml.to_device(a, "cuda:1") for a in (X, Y))
    ends = []
    for place in ("cuda:0", "cuda:1"):
        learner = build(place, rule)
        batch = [ml.to_device(a, place) for a in (x, y)]  # from the other device too
        for step in range(STEPS):
            learner.epoch = step // 2
            learner.step(*batch, lr=0.1)
        with monkeypatch.context() as m:
            m.setattr(cuda_on_host, "checked", True)  # the update's kernel has its addresses in a structure
            learner.finish()
        ends.append(list(learner.state().values()))
    equal(*ends)


def test_fit_evaluates_probes_and_measures_on_the_learners_device():
    digits = ml.data.load("digits").reduced(limit_train=40, limit_test=20)
    net = ml.nets.mlp((8,), classes=10, channels=1, size=digits.size, rng=ml.rng(0))
    rows, others = [], []
    for place, name in (("cuda:0", "cuda:0"), ("cuda:1", "cuda:1"), ("cuda:1", "cuda")):
        with on_device(place):
            learner = ml.Learner(net, ml.rules.gll(), 2, rng=ml.rng(1), device=name)
        epochs = ml.fit(learner, digits, epochs=2, batch_size=16, convergence=1, augment=True)
        rows.append([{k: v for k, v in row.items() if "seconds" not in k and "convergence" not in k} for row in epochs])
        first = next(iter(digits.batches(0, 8, device=place)))
        others.append([fetch(a) for a in first] + [np.array(ml.linear_probes(learner, digits, steps=2))])
        assert {number(a) for a in first} == {int(place[-1])}
        alone = predict(learner, digits.test_x, digits, local=True)
        others[-1] += [alone.logits, alone.classes, *(a for a in alone.local if a is not None)]
    assert rows[0] == rows[1] == rows[2]
    equal(*others[:2])
    equal(*others[1:])


def test_a_dropped_learner_gives_back_the_memory_of_its_own_device():
    with on_device("cuda:1"), memory.limited(1 << 30) as card:
        before = card.held
        learner = build("cuda:1")
        x, y = (ml.to_device(a, learner.device) for a in (X, Y))
        for _ in range(3):
            learner.step(x, y, lr=0.1)
        with on_device("cuda:0"):
            del learner
        del x, y
        memory.default_pool.free_all_blocks()
        assert card.held == before + 4 * LEAST  # the counters that kernels keep for a stream


def test_locality_is_measured_on_the_device():
    batches = [(X.astype("f8"), Y)] * 3
    runs = [
        PerturbedRun(Subject(NET, RULE, 2, batches, device=place), Site("weights", 0, 0), 1).run()
        for place in ("cuda:0", "cuda:1")
    ]
    assert runs[0] == runs[1]


def test_what_a_pool_holds_is_that_of_the_device():
    x = ml.to_device(X, "cuda:1")
    with on_device("cuda:1"):
        held = memory.default_pool.total_bytes()
    assert held_bytes("cuda:1") == held > 0
    del x
    free_unused("cuda:1")
    assert held_bytes("cuda:1") <= held - X.nbytes


def test_copies_and_pickles_stay_on_the_device(alone):
    learner = build("cuda:1")
    equal(used(copy.deepcopy(learner)), alone)


# ------------------------------------------------------------------ names


def test_a_device_is_current_inside_and_nowhere_else():
    device_namespace("cuda:1")
    assert fake.cuda.Device().id == 0
    with on_device("cuda:1"), on_device("cuda"), on_device("cpu"):
        assert fake.cuda.Device().id == 1
    x = ml.to_device(X, "cuda:1")
    assert (number(x), ml.to_device(x, "cuda:1") is x, number(ml.to_device(x, "cuda:0"))) == (1, True, 0)


def test_a_process_may_work_on_one_device_from_here_on():
    with on_device("cuda:0"):
        assert make_current("cuda:1") is fake and fake.cuda.Device().id == 1
        fake.cuda.Device(0).use()


def test_a_device_that_is_not_there_is_refused_in_a_line():
    for call in (build, on_device, lambda place: ml.to_device(X, place)):
        with pytest.raises(
            UserError, match=r"^device 'cuda:7' was asked for, but there are 2 GPUs: cuda:0 to cuda:1\."
        ):
            call("cuda:7")


def test_a_batch_on_another_device_is_refused_in_a_line():
    learner, x, y = build("cuda:1"), ml.to_device(X, "cuda:0"), ml.to_device(Y, "cuda:1")
    with pytest.raises(UserError, match=r"^images on <CUDA Device 0> met arrays on <CUDA Device 1>: move them, "):
        learner.step(x, y, lr=0.1)
    with pytest.raises(UserError, match=r"^labels on <CUDA Device 0> met arrays"):
        learner.step(ml.to_device(X, "cuda:1"), ml.to_device(Y, "cuda:0"), lr=0.1)
