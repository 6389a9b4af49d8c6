"""Simulated step times at their limits, as equalities, and between their bounds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilocal import rules
from minilocal.parallel.simulate import Link, ModuleCosts, Placement, merged, simulate
from tests.parallel.simulate.by_hand import FREE, RULES, modules


def in_one(costs: tuple[ModuleCosts, ...]) -> float:
    """Seconds of BP on one device: each piece of work once, and no error at the images."""
    (module,) = merged(costs)
    units, head = range(len(module.units)), module.objective
    assert head is not None
    work = module.forward(units) + module.backward(units, passes_on=False) + module.update(units)
    return work + head.forward + head.backward + head.update


def alone(module: ModuleCosts, passes_on: bool) -> float:
    """Seconds of a module that learns from its own loss, or from one error."""
    units, parts = range(len(module.units)), module.objective
    work = module.forward(units) + module.backward(units, passes_on) + module.update(units)
    return work + (parts.forward + parts.backward + parts.update if parts else 0.0)


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", RULES)
def test_one_module_on_one_device_takes_the_sum_of_all_costs(name, numbers):
    costs = modules(RULES[name], [5], numbers)
    times = RULES[name].accumulate
    update = sum(part.update for part in costs[0].parts)
    expected = times * (in_one(costs) - update) + update
    assert simulate(Placement(RULES[name], costs), FREE).step == expected


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_backpropagation_gains_nothing_from_more_devices_and_pays_for_messages(devices, numbers):
    costs = modules(rules.bp(), [3, 2, 4, 3], numbers)
    own = [range(k, k + 4 // devices) for k in range(0, 4, 4 // devices)]
    assert simulate(Placement(rules.bp(), costs, own), FREE).step == in_one(costs)
    link = Link(latency=2.0, bandwidth=1.0, eager=0)
    messages = sum(2 * link.seconds(costs[r.start].input) for r in own[1:])
    assert simulate(Placement(rules.bp(), costs, own), link).step == in_one(costs) + messages


@pytest.mark.parametrize("name", ["GLL", "DGL", "PGL"])
def test_modules_with_losses_of_their_own_take_as_long_as_the_slowest(name, numbers):
    costs = modules(RULES[name], [3, 2, 4, 1], numbers)
    schedule = simulate(Placement(RULES[name], costs), FREE)
    times = [alone(module, passes_on=False) for module in costs]
    assert schedule.step == max(times)
    assert schedule.busy == tuple(t / max(times) for t in times)
    equal = modules(RULES[name], [2, 2, 2])
    assert simulate(Placement(RULES[name], equal), FREE).idle == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_backlink_adds_the_copies_of_the_linked_units(length, numbers):
    rule = rules.backlink(length=length)
    costs = modules(rule, [4, 5, 4, 4], numbers)
    times = [alone(costs[0], passes_on=False)]
    for below, module in pairwise(costs):
        copies = range(len(below.units) - length, len(below.units))
        with_copies = below.forward(copies) + below.backward(copies, passes_on=False) + below.update(copies)
        times.append(alone(module, passes_on=True) + with_copies)
    assert simulate(Placement(rule, costs), FREE).step == max(times)


def test_backlink_of_length_0_is_greedy_local_learning(numbers):
    costs = modules(rules.gll(), [3, 2, 4], numbers)
    link = Link(latency=1.0, bandwidth=10.0, eager=0)
    schedules = [simulate(Placement(rule, costs), link) for rule in (rules.gll(), rules.backlink(length=0))]
    assert schedules[0] == schedules[1]


@pytest.mark.parametrize("name", ["DDG", "FDG"])
def test_delayed_gradients_take_as_long_as_the_slowest_module(name, numbers):
    costs = modules(RULES[name], [3, 2, 4, 3], numbers)
    times = [alone(module, passes_on=k > 0) for k, module in enumerate(costs)]
    assert simulate(Placement(RULES[name], costs), FREE).step == max(times)


def test_a_synthesiser_is_trained_by_its_own_module(numbers):
    costs = modules(rules.dni(), [3, 2, 4], numbers)
    times = []
    for k, module in enumerate(costs):
        model = module.synthesiser
        own = model.forward + model.backward_weights + model.update if model else 0.0
        times.append(alone(module, passes_on=k > 0) + own)
    assert simulate(Placement(rules.dni(), costs), FREE).step == max(times)


def test_a_global_epoch_is_backpropagation_beside_the_auxiliary_networks(numbers):
    costs = modules(rules.pgl(), [3, 2, 4], numbers)
    place = Placement(rules.pgl(), costs, is_global=True)
    local = [module.objective for module in costs[:-1] if module.objective is not None]
    assert len(local) == 2
    beside = sum(part.forward + part.backward_weights + part.update for part in local)
    on_one_device = Placement(rules.pgl(), costs, [range(3)], is_global=True)
    assert simulate(on_one_device, FREE).step == in_one(costs) + beside
    assert in_one(costs) <= simulate(place, FREE).step <= in_one(costs) + beside


def test_the_total_error_of_whole_modules_makes_them_wait_for_all_above(numbers):
    own, total = (rules.backlink(length="module", error=error) for error in ("own", "total"))
    costs = modules(own, [2] * 6, numbers)
    free, locked = (simulate(Placement(rule, costs), FREE) for rule in (own, total))
    assert locked.step > 1.3 * free.step
    assert max(locked.idle) > max(free.idle)


def test_modules_that_are_drawn_at_random_take_turns_on_one_device_and_overlap_on_several():
    rule = rules.dgl(buffer=2)
    costs = modules(rule, [2, 2, 2])
    one, each = (simulate(Placement(rule, costs, own), Link(0.0, float("inf"))) for own in ([range(3)], ()))
    draw = alone(costs[0], passes_on=False)
    assert one.step == pytest.approx(3 * draw, rel=0.05)  # as often as one of three modules is drawn
    assert draw < each.step < 0.6 * one.step


def test_checkpointing_forwards_once_more(numbers):
    costs = modules(rules.bp(), [3, 2, 4], numbers)
    again = sum(module.forward(range(len(module.units))) for module in costs[:-1])
    times = [simulate(Placement(rules.bp(keep=k), costs), FREE).step for k in ("caches", "inputs")]
    assert times[1] - times[0] == again


def test_a_link_that_stores_messages_hides_a_transfer_that_a_blocking_one_shows():
    costs = modules(rules.gll(), [3, 3, 3])
    blocking, storing = (Link(latency=0.0, bandwidth=25.0, ahead=n, eager=0) for n in (0, 2))
    slowest = alone(costs[0], passes_on=False)
    place = Placement(rules.gll(), costs)
    assert simulate(place, storing).step == slowest
    assert simulate(place, blocking).step == slowest + 2 * 100 / 25  # the middle device receives, then sends
    assert simulate(place, blocking).messages[1] == pytest.approx(8 / (slowest + 8))


def test_bytes_are_those_of_the_messages():
    costs = modules(rules.bp(), [3, 3, 3])
    up, l = 100, 10  # bytes of an activation, and of one unit's gradients
    for rule, nbytes in [
        (rules.gll(), 2 * up), (rules.bp(), 4 * up), (rules.ddg(), 4 * up), (rules.fdg(), 4 * up),
        (rules.backlink(length=2), 2 * up + 4 * 2 * l),
    ]:  # fmt: skip
        assert simulate(Placement(rule, modules(rule, [3, 3, 3])), FREE).nbytes == nbytes
    assert simulate(Placement(rules.bp(), costs, [range(3)]), FREE).nbytes == 0


def test_memory_is_that_of_weights_momentum_and_what_waits():
    weights, kept, unit_input = 10, 150, 100
    costs = modules(rules.bp(), [3, 3])
    (one,) = simulate(Placement(rules.bp(), costs, [range(2)]), FREE).memory
    assert one == 2 * 7 * weights + 7 * kept  # six units and the head
    lower, upper = simulate(Placement(rules.bp(), costs), FREE).memory
    assert lower == 2 * 3 * weights + 3 * kept and upper == 2 * 4 * weights + unit_input + 4 * kept
    for rule, batches in ((rules.ddg(), 1), (rules.fdg(), 2)):
        lower, _ = simulate(Placement(rule, costs), FREE).memory
        pending = unit_input + 3 * (kept + weights)  # images, caches and stashed weights of each batch in flight
        new = 1 if rule.when.first == "forward" else 0  # forwarded before an old one has left
        assert lower == 2 * 3 * weights + (batches + new) * pending, rule.name


@st.composite
def placements(draw):
    """A rule on modules of random costs, on some of the ways to place them."""
    rule = RULES[draw(st.sampled_from(sorted(RULES)))]
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    edges = sorted(draw(st.sets(st.integers(1, len(sizes) - 1)))) if len(sizes) > 1 else []
    own = [range(a, b) for a, b in zip([0, *edges], [*edges, len(sizes)], strict=True)]
    costs = modules(rule, sizes, np.random.default_rng(draw(st.integers(0, 99))))
    return Placement(rule, costs, own, is_global=rule.when.guided and draw(st.booleans()))


LINKS = st.builds(
    Link, st.sampled_from([0.0, 1.5]), st.sampled_from([5.0, 100.0, float("inf")]), st.integers(0, 2),
    st.sampled_from([0, 50, 10_000]),
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(placements(), LINKS)
def test_a_step_is_never_below_the_busiest_device_nor_above_all_work_and_messages_in_turn(place, link):
    schedule = simulate(place, link, steps=60)
    slack = 1.0 + (0.3 if place.rule.when.engine == "asynchronous" else 0.02)  # draws; the window's ends
    assert max(schedule.busy) <= slack
    assert sum(schedule.busy) + sum(schedule.messages) >= 1 / slack
    for device in range(len(place.owned)):
        bars = [bar for bar in schedule.bars if bar.device == device]
        ends = [bar.start + bar.seconds for bar in bars]
        assert all(end <= bar.start + 1e-9 for end, bar in zip(ends, bars[1:], strict=False)), "one thing at a time"


def test_work_that_takes_twice_as_long_on_a_free_link_doubles_the_step(numbers):
    from minilocal.parallel.simulate import scaled

    costs = modules(rules.backlink(), [3, 2, 4], numbers)
    steps = [simulate(Placement(rules.backlink(), c), FREE).step for c in (costs, scaled(costs, 2.0))]
    assert steps[1] == 2 * steps[0]
