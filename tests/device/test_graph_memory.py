"""The memory that recording takes and gives back, in bytes that the card holds, on the fake device's pools."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import minilocal as ml
from minilocal.engine.graph_memory import GraphMemory
from minilocal.kernels.cuda.last_block import counters_of
from minilocal.locality.influence import toy_net
from tests.fake import cuda_on_host, memory
from tests.fake.device import fake, fetch

pytestmark = pytest.mark.skipif(bool(cuda_on_host.available()), reason=str(cuda_on_host.available()))

N, SIZE, AMPLE = 16, 16, 1 << 30
NET = toy_net(3, channels=4, size=SIZE, classes=4)  # its maps are larger than its weights
RULE = ml.rules.backlink()
NO_MEMORY = "the GPU has no room for a graph"


@pytest.fixture(autouse=True)
def _quick_builds(monkeypatch):
    """Kernels without the checks of every access: tests/kernels has them."""
    monkeypatch.setattr(cuda_on_host, "checked", False)


@pytest.fixture(autouse=True)
def _empty_pool(monkeypatch):
    """A default pool of this test's own: in the gaps between other tests' arrays a step would take less of the card."""
    monkeypatch.setattr(memory, "default_pool", memory.MemoryPool())
    counters_of(fake)  # which a stream keeps


@pytest.fixture
def batch():
    return fake.asarray(ml.rng(1).standard_normal((N, SIZE, SIZE, 3), "f4")), fake.asarray(np.arange(N) % 4)


def build(cuda_graph=True, rule=None):
    return ml.Learner(NET, rule or RULE, 2, rng=ml.rng(1), device=fake, cuda_graph=cuda_graph)


def trained(batch, steps=3, **options):
    learner = build(**options)
    losses = [fetch(learner.step(*batch, lr=0.1)) for _ in range(steps)]
    return learner, losses


def on_card(batch, size=AMPLE, **options):
    """(the most bytes that the card held at once, above those before; the Learner; its losses)."""
    with memory.limited(size) as card:
        before = card.held
        learner, losses = trained(batch, **options)
        return card.most - before, learner, losses


def same(one, other):
    (a, losses), (b, eager) = one, other
    assert all(np.array_equal(mine, theirs, equal_nan=True) for mine, theirs in zip(losses, eager, strict=True))
    ours, theirs = a.state(), b.state()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def peaks(batch, **options):
    """Of eager steps, and of recorded ones."""
    eager, _, _ = on_card(batch, cuda_graph=False, **options)
    recorded, learner, _ = on_card(batch, **options)
    assert learner._graphs._recorded
    return eager, recorded


@pytest.mark.parametrize("rule", [ml.rules.bp(), ml.rules.gll(), RULE], ids=["bp", "gll", "backlink"])
def test_recording_takes_no_more_than_an_eager_step_and_copies_of_the_batch(batch, rule):
    """5 %: best fit leaves other gaps in an empty pool. Beside the eager step's blocks it is nearly twice."""
    eager, recorded = peaks(batch, rule=rule)
    copies = sum(a.nbytes for a in batch)
    assert recorded <= 1.05 * eager + copies, (recorded, eager, copies)


@pytest.mark.parametrize("percent", [0, 2, 5, 8, 11, 14, 20])
def test_where_eager_steps_fit_no_step_dies_and_where_nothing_fits_beside_them_none_is_recorded(batch, percent):
    eager, _ = peaks(batch)
    _, learner, losses = on_card(batch, size=eager * (100 + percent) // 100, steps=5)
    if percent < 10:
        assert (
            learner.cuda_graph_status.startswith(f"steps run eagerly: {NO_MEMORY}, ")
            and "beside" in learner.cuda_graph_status
        )
        assert learner._graphs._memory.held == 0
    assert percent < 20 or learner._graphs._recorded
    same((learner, losses), trained(batch, steps=5, cuda_graph=False))


def test_out_of_memory_while_recording_is_a_reason_and_not_an_error(batch, monkeypatch):
    """At any allocation of the recording, the card is full from there on until the recording has ended."""
    eager = trained(batch, steps=4, cuda_graph=False)
    real, taken = GraphMemory._allocate, []

    def counted(self, size):
        taken.append(size)
        return real(self, size)

    monkeypatch.setattr(GraphMemory, "_allocate", counted)
    trained(batch, steps=2)
    for full in {0, 1, len(taken) // 2, len(taken) - 1}:
        gc.collect()
        memory.default_pool.free_all_blocks()
        number = 0

        def allocate(self, size, full=full):
            nonlocal number
            number += 1
            with memory.limited(0 if number > full else AMPLE):
                return real(self, size)

        monkeypatch.setattr(GraphMemory, "_allocate", allocate)
        learner, losses = trained(batch, steps=4)
        assert (
            learner.cuda_graph_status
            == f"steps run eagerly: {NO_MEMORY}, and ran out of memory while a step was recorded"
        )
        assert learner._graphs._memory.held == 0
        same((learner, losses), eager)


@pytest.mark.parametrize("short", ["card", "limit"])
def test_a_pool_short_of_memory_keeps_the_blocks_that_a_recording_works_in(short, monkeypatch):
    """CuPy's own pool would let go of a block that what was recorded before writes to."""
    with memory.limited(1 << 20 if short == "card" else AMPLE):
        if short == "limit":  # as CUPY_GPU_MEMORY_LIMIT sets it
            limit = memory.default_pool.total_bytes() + (1 << 20)
            monkeypatch.setattr(memory, "limit_of_a_new_pool", 1 << 20)
            memory.default_pool.set_limit(limit)
        graph_memory = GraphMemory(fake)
        try:
            with graph_memory.recording() as stream:
                stream.begin_capture()
                fake.zeros(200_000, "f4")  # 0.8 MB, free afterwards
                with pytest.raises(MemoryError):
                    fake.zeros(250_000, "f4")
                graph = stream.end_capture()
        finally:
            memory.default_pool.set_limit(0)
    graph.launch()
    del graph
    graph_memory.release()


def test_a_block_begins_where_its_memory_does():
    graph_memory = GraphMemory(fake)
    with graph_memory.recording():
        assert graph_memory._allocate(512).offset == 0
    graph_memory.release()


def test_another_error_of_the_card_is_not_taken_for_a_lack_of_memory(monkeypatch):
    def fails(size):
        raise memory.CUDARuntimeError(700, "cudaErrorIllegalAddress: an illegal memory access was encountered")

    graph_memory = GraphMemory(fake)
    with graph_memory.recording():
        monkeypatch.setattr(fake.cuda, "Memory", fails)
        with pytest.raises(memory.CUDARuntimeError, match="cudaErrorIllegalAddress"):
            graph_memory._allocate(512)
    graph_memory.release()


@pytest.mark.parametrize("spare, fits", [(0, True), (-1, False)])
def test_as_many_bytes_as_are_held_are_enough_beside_it(spare, fits):
    with memory.limited(AMPLE) as card:
        graph_memory = GraphMemory(fake)
        with graph_memory.recording() as stream:
            stream.begin_capture()
            fake.zeros(200_000, "f4")
            stream.end_capture()
        assert graph_memory.held >= 800_000
        card.size = card.held + graph_memory.held + spare
        assert graph_memory.fits_beside() is fits
        graph_memory.release()


@pytest.mark.parametrize("percent", [0, 8, 20])
def test_the_limit_of_the_default_pool_holds_for_both(batch, percent):
    eager, _ = peaks(batch)
    with memory.limited(AMPLE) as card:
        limit, before = eager * (100 + percent) // 100, card.held
        memory.default_pool.set_limit(memory.default_pool.total_bytes() + limit)
        try:
            learner, losses = trained(batch)
        finally:
            memory.default_pool.set_limit(0)
        assert bool(learner._graphs._recorded) == (percent == 20) and card.most - before <= limit
    same((learner, losses), trained(batch, cuda_graph=False))


def test_a_small_batch_drops_the_graph_where_there_is_no_room_beside_it(batch):
    """A graph keeps its memory, and the last batch of an epoch may need nearly as much again."""
    small = tuple(a[: N - 2].copy() for a in batch)
    order = (batch, batch, batch, small, batch, batch, small)

    def run(size, cuda_graph=True):
        with memory.limited(size) as card:
            before, learner = card.held, build(cuda_graph)
            losses = [fetch(learner.step(*b, lr=0.1)) for b in order]
            return card.most - before, learner, losses

    eager, *expected = run(AMPLE, cuda_graph=False)
    ample, *recorded = run(AMPLE)
    tight, *dropped = run(int(1.25 * eager))
    assert ample > 1.5 * eager >= tight
    assert recorded[0]._graphs._recorded and not dropped[0]._graphs.refused
    same(recorded, expected)
    same(dropped, expected)


# ------------------------------------------------------------------ given back


@pytest.mark.parametrize("rule", [ml.rules.bp(), ml.rules.pgl(period=1, duration=1)], ids=["bp", "pgl"])
def test_a_dropped_learner_gives_everything_back(batch, rule):
    with memory.limited(AMPLE) as card:
        before = card.held
        learner = build(rule=rule)
        for step in range(4):
            learner.epoch = step // 2
            learner.step(*batch, lr=0.1)
        assert learner._graphs._recorded and card.held > before
        del learner
        gc.collect()
        memory.default_pool.free_all_blocks()
        assert card.held == before


def test_a_restored_learner_gives_its_graphs_back_and_holds_no_more_than_before(batch):
    with memory.limited(AMPLE) as card:
        learner, _ = trained(batch)
        memory.default_pool.free_all_blocks()
        held = [card.held]
        for _ in range(3):
            learner.restore(learner.state())
            assert learner._graphs._memory.held == 0
            for _ in range(3):
                learner.step(*batch, lr=0.1)
            memory.default_pool.free_all_blocks()
            held.append(card.held)
        assert max(held[1:]) <= held[1] and held[1] < 1.1 * held[0]


def test_a_failed_recording_holds_nothing(batch, monkeypatch):
    def failing(self, work):
        raise RuntimeError("no")

    monkeypatch.setattr(ml.engine.RecordedSteps, "_captured", failing)
    with memory.limited(AMPLE) as card:
        before = card.held
        learner, _ = trained(batch)
        assert learner._graphs.refused and learner._graphs._memory.held == 0
        del learner
        gc.collect()
        memory.default_pool.free_all_blocks()
        assert card.held == before


def test_two_phases_share_the_memory_of_their_graphs(batch):
    """PGL's two graphs never run at once."""
    rule, held = ml.rules.pgl(period=2, duration=1), []
    learner = build(rule=rule)
    for step in range(6):
        learner.epoch = step // 3
        learner.step(*batch, lr=0.1)
        held.append(learner._graphs._memory.held)
    assert len(learner._graphs._recorded) == 2 and held[5] < 1.5 * max(held[2], held[5] - held[2])
