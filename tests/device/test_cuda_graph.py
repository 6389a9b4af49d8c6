"""Steps recorded as CUDA graphs, on the stand-in for a device: what is repeated is what would have been done.

The fake graph does again what was captured, in the same memory, so a number of the host's that was built into a step
(a learning rate, a step's count, a mask) shows, and so does memory that was let go.
"""

from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.engine.hooks import Hook
from minilocal.engine.out_of_memory import OutOfMemory
from minilocal.errors import UserError
from minilocal.locality.influence import toy_net
from minilocal.objectives.base import ClassifierLoss
from tests.fake import cuda_on_host
from tests.fake.device import counting, fake, fetch
from tests.fake.memory import CUDARuntimeError

pytestmark = pytest.mark.skipif(bool(cuda_on_host.available()), reason=str(cuda_on_host.available()))

CLASSES = 4


@pytest.fixture(autouse=True)
def _quick_builds(monkeypatch):
    """Kernels without the checks of every access: tests/kernels has them."""
    monkeypatch.setattr(cuda_on_host, "checked", False)


RULES = {
    "bp": ml.rules.bp(),
    "bp, inputs": ml.rules.bp(keep="inputs"),
    "bp, micro-batches": ml.rules.bp(accumulate=2),
    "gll": ml.rules.gll(aux="1c2f"),
    "backlink": ml.rules.backlink(length=1),
    "dgl": ml.rules.dgl(),
    "predsim": ml.rules.predsim(),
    "infopro": ml.rules.infopro(),
    "infopro, contrast": ml.rules.infopro(version="contrast"),
    **{f"man, {bias}": ml.rules.man(bias=bias, momentum=0.5) for bias in ("unit", "channel")},
    "pgl": ml.rules.pgl(period=2, duration=1),
}


def images(step: int, n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = ml.rng(100 + step)
    return rng.standard_normal((n, 8, 8, 3)).astype("float32"), rng.integers(0, CLASSES, n)


def run(rule, cuda_graph, net=None, sizes=(6,) * 4, optimizer=None):
    """(learner, losses) after a step of each size, at other rates, over three epochs."""
    net = net or toy_net(3, channels=4, size=8, classes=CLASSES)
    optimizer = optimizer or ml.optim.SGD(momentum=0.9, weight_decay=1e-3)
    learner = ml.Learner(net, rule, 2, rng=ml.rng(1), device=fake, optimizer=optimizer, cuda_graph=cuda_graph)
    losses = []
    for step, n in enumerate(sizes):
        learner.epoch = step // 2  # PGL's phases change with it
        x, y = images(step, n)
        losses.append(learner.step(fake.asarray(x), fake.asarray(y), lr=0.1 / (1 + step)))
    return learner, [fetch(loss) for loss in losses]


def same(one: Any, other: Any) -> None:
    (a, losses), (b, eager) = one, other
    assert all(np.array_equal(mine, theirs, equal_nan=True) for mine, theirs in zip(losses, eager, strict=True))
    states = a.state(), b.state()
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[1])


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_a_recorded_step_is_the_step(rule):
    recorded = run(rule, True)
    assert "recorded as CUDA graphs" in recorded[0].cuda_graph_status
    assert recorded[0]._graphs._recorded, "nothing was recorded"
    same(recorded, run(rule, False))


def test_masks_are_drawn_anew_in_every_recorded_step():
    """Dropout's numbers are named by (epoch, step), which a graph must read where the host puts them."""
    small = ml.nets.mlp((12, 11), classes=CLASSES, size=8, rng=ml.rng(0))
    unit = small.units[1]
    assert isinstance(unit, ml.layers.Sequential)
    unit.layers.insert(0, ml.layers.Dropout(0.5, name="drop"))
    same(run(ml.rules.bp(), True, small), run(ml.rules.bp(), False, small))


def test_the_last_smaller_batch_runs_eagerly():
    sizes = (6, 6, 4, 6, 4)
    recorded = run(ml.rules.gll(), True, sizes=sizes)
    assert len(recorded[0]._graphs._recorded) == 1
    same(recorded, run(ml.rules.gll(), False, sizes=sizes))


def test_each_phase_of_pgl_has_its_graph():
    recorded = run(RULES["pgl"], True, sizes=(6,) * 6)
    assert {phase for phase, *_ in recorded[0]._graphs._recorded} == {False, True}
    assert recorded[0]._graphs._prepared == {False, True}  # momentum is made before each phase's first update
    same(recorded, run(RULES["pgl"], False, sizes=(6,) * 6))


def test_a_restored_learner_records_anew():
    """Its velocities lie elsewhere now: an old graph would go on with the old ones."""
    one, _ = run(ml.rules.backlink(), True)
    two, _ = run(ml.rules.backlink(), False)
    for learner in (one, two):
        learner.restore(learner.state())
        for step in range(4):
            x, y = images(50 + step)
            learner.step(fake.asarray(x), fake.asarray(y), lr=0.05)
    same((one, []), (two, []))


def test_a_replayed_step_is_one_launch_and_some_copies():
    learner, _ = run(ml.rules.backlink(), True)
    x, y = (fake.asarray(a) for a in images(9))
    with counting() as counts:
        learner.step(x, y, lr=0.1)
    assert (counts.syncs, counts.uploads) == (0, 0) and counts.launches <= 8


@pytest.mark.parametrize(
    "rule, optimizer, reason",
    [
        (ml.rules.ddg(), None, "holds batches over"),
        (ml.rules.dgl(buffer=2), None, "holds batches over"),
        (ml.rules.man(every=2), None, "MAN averages weights every 2 steps"),
        (ml.rules.bp(), ml.optim.Adam(), "Adam counts its steps on the host"),
    ],
)
def test_what_cannot_be_recorded_runs_eagerly_and_says_so(rule, optimizer, reason):
    learner, _ = run(rule, True, optimizer=optimizer)
    assert (
        learner.cuda_graph_status.startswith("steps run eagerly")
        and reason in learner.cuda_graph_status
        and not learner._graphs._recorded
    )


def test_a_refused_recording_changes_nothing(monkeypatch):
    """CuPy records no call of cuBLAS: plain forms use it, so the recording is given up, and the step is done."""
    monkeypatch.setattr(fake, "kernels", False)
    asked = run(ml.rules.gll(), True)
    assert "cuBLAS" in asked[0].cuda_graph_status
    same(asked, run(ml.rules.gll(), False))


def failing_in_a_capture(error):
    """An optimiser whose updates raise `error`, or wait for the device where it is None, while they are recorded."""

    class Failing(ml.optim.SGD):
        def update(self, updates, lr):
            super().update(updates, lr)
            if fake.cuda.get_current_stream().is_capturing():
                if error is not None:
                    raise error
                float(updates[0][0].sum())

    return Failing(momentum=0.9, weight_decay=1e-3)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_a_refused_recording_leaves_the_bits_of_an_eager_step(rule):
    """The last work of a step is refused: all that the host did before has been done twice by then."""
    refused = run(rule, True, optimizer=failing_in_a_capture(RuntimeError("operation not permitted\nmore")))
    status = "steps run eagerly: it cannot be recorded (RuntimeError: operation not permitted)"
    assert refused[0].cuda_graph_status == status
    same(refused, run(rule, False))


@pytest.mark.parametrize("error, reason", [
    (None, "it cannot be recorded (CUDARuntimeError: cudaErrorStreamCaptureUnsupported: operation not permitted"),
    (CUDARuntimeError(901, "cudaErrorStreamCaptureInvalidated: x"), "it cannot be recorded (CUDARuntimeError: cuda"),
    (CUDARuntimeError(2, "cudaErrorMemoryAllocation: out of memory"), "the GPU has no room for a graph, and ran out"),
    (MemoryError("Out of memory allocating 5 bytes"), "the GPU has no room for a graph, and ran out"),
    (OutOfMemory("out of memory in the update"), "the GPU has no room for a graph, and ran out"),
])  # fmt: skip
def test_whatever_a_capture_refuses_becomes_an_eager_step_and_its_reason(error, reason):
    learner, _ = run(ml.rules.gll(), True, sizes=(6, 6, 6), optimizer=failing_in_a_capture(error))
    assert learner.cuda_graph_status.startswith(f"steps run eagerly: {reason}") and not learner._graphs._recorded
    assert "\n" not in learner.cuda_graph_status and fake.cuda.get_current_stream() is fake.cuda.Stream.null


@pytest.mark.parametrize("error", [UserError("labels from 0"), KeyboardInterrupt()])
def test_an_error_of_the_users_is_told_and_the_next_step_is_recorded(error):
    """To the bits of an eager step: nothing is left of what was recorded before the error, and never ran."""
    results = []
    for cuda_graph in (True, False):
        learner, _ = run(ml.rules.gll(), cuda_graph, sizes=(6,), optimizer=failing_in_a_capture(error))
        x, y = (fake.asarray(a) for a in images(1))
        if cuda_graph:
            with pytest.raises(type(error)):
                learner.step(x, y, lr=0.1)
        learner.optimizer = ml.optim.SGD(momentum=0.9, weight_decay=1e-3)
        results.append((learner, [fetch(learner.step(x, y, lr=0.1))]))
    assert results[0][0]._graphs._recorded
    same(*results)


def test_no_hook_sees_the_numbers_of_a_step_that_is_gone_through_for_its_kernels():
    class Count(Hook):
        def __init__(self):
            self.calls = 0

        def after_forward(self, part, out, cache):
            self.calls += 1
            assert np.isfinite(fetch(out)).all()
            return out

    learner, count = run(ml.rules.gll(), False, sizes=())[0], Count()
    learner.modules[0].hooks.append(count)
    learner.step(*(fake.asarray(a) for a in images(1)), lr=0.1)
    assert count.calls == len(learner.modules[0].units) + 1 and list(learner.modules[0].hooks) == [count]


def test_an_objective_that_looks_at_its_loss_runs_eagerly(monkeypatch):
    forward = ClassifierLoss.forward

    def looking(self, *args):
        loss, cache = forward(self, *args)
        assert float(loss) > 0
        return loss, cache

    monkeypatch.setattr(ClassifierLoss, "forward", looking)
    learner = run(ml.rules.gll(), True)
    assert "cudaErrorStreamCaptureUnsupported" in learner[0].cuda_graph_status
    same(learner, run(ml.rules.gll(), False))


@pytest.mark.parametrize("sizes", [(2, 6, 6, 6), (2, 6, 2, 6, 6), (2, 2, 2, 6, 6, 6)])
def test_a_small_first_batch_does_not_keep_later_ones_from_being_recorded(sizes):
    """As where a run resumes at the last step of an epoch."""
    recorded = run(ml.rules.gll(), True, sizes=sizes)
    assert [shape[0] for _, shape, _ in recorded[0]._graphs._recorded] == [6]
    assert recorded[0].cuda_graph_status == "steps of 6 images are recorded as CUDA graphs; smaller batches run eagerly"
    same(recorded, run(ml.rules.gll(), False, sizes=sizes))


def test_nothing_is_said_to_be_recorded_before_it_is():
    for sizes in ((), (6,), (6, 4)):
        learner, _ = run(ml.rules.gll(), True, sizes=sizes)
        assert learner.cuda_graph_status.startswith("steps of full batches will be recorded"), sizes


def test_on_the_host_there_is_nothing_to_record():
    net = ml.nets.mlp((5,), classes=4, size=3, rng=ml.rng(0))
    assert ml.Learner(net, ml.rules.bp(), 1, rng=ml.rng(0)).cuda_graph_status == ""
