"""The batches of each iteration, by the papers' indices, and the first steps of a pipeline, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from minilocal import UserError, rules
from minilocal.parallel.simulate import Link, Placement, first_steps, iterations, simulate
from tests.parallel.simulate.by_hand import FREE, RULES, modules

STEPS = 9
SYNCHRONOUS = [name for name, rule in RULES.items() if not rule.boundary.delayed and rule.when.engine != "asynchronous"]


def batches(name: str, K: int, kind: str) -> list[list[int]]:
    """Of each module, the batch that it works on in each iteration; -1 where there is none."""
    rows = [[-1] * STEPS for _ in range(K)]
    for bar in iterations(RULES[name], K, STEPS):
        assert bar.device == bar.module and bar.seconds == 0.5
        if bar.kind == kind:
            rows[bar.module][int(bar.start)] = bar.batch
    return rows


@pytest.mark.parametrize("name", SYNCHRONOUS)
def test_without_delays_every_module_works_on_the_batch_of_its_iteration(name):
    for kind in ("forward", "backward"):
        assert batches(name, 3, kind) == [list(range(STEPS))] * 3


@pytest.mark.parametrize("K", [1, 2, 4])
def test_ddgs_errors_are_one_iteration_old_per_boundary(K):
    assert batches("DDG", K, "forward") == [list(range(STEPS))] * K
    assert batches("DDG", K, "backward") == [[max(-1, t - (K - k)) for t in range(STEPS)] for k in range(1, K + 1)]


@pytest.mark.parametrize("K", [1, 2, 4])
def test_fdgs_activations_are_too(K):
    of_module = range(1, K + 1)
    assert batches("FDG", K, "forward") == [[max(-1, t - (k - 1)) for t in range(STEPS)] for k in of_module]
    assert batches("FDG", K, "backward") == [[max(-1, t - (2 * K - k - 1)) for t in range(STEPS)] for k in of_module]


def test_a_half_is_the_first_thing_that_the_engine_does():
    """FDG updates before it forwards, but for the last module, whose error is that of its own forward."""
    starts = {(b.module, b.kind): b.start % 1 for b in iterations(rules.fdg(), 3, STEPS)}
    assert starts == {
        (0, "backward"): 0, (0, "forward"): 0.5, (1, "backward"): 0, (1, "forward"): 0.5,
        (2, "forward"): 0, (2, "backward"): 0.5,
    }  # fmt: skip
    assert all(b.start % 1 == 0.5 * (b.kind == "backward") for b in iterations(rules.ddg(), 3, STEPS))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: iterations(rules.dgl(buffer=2), 3, 4), "draws its modules at random"),
        (lambda: iterations(rules.ddg(), 0, 4), "modules = 0"),
        (lambda: iterations(rules.ddg(), 3, 0), "steps = 0"),
        (lambda: first_steps(Placement(rules.gll(), modules(rules.gll(), [1])), steps=0), "steps = 0"),
    ],
)
def test_what_has_no_iterations_is_refused(call: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        call()


def test_the_first_steps_begin_with_an_empty_pipeline():
    """Two units a module, 1 s forward and 2 s backward each; 1 s for the weights alone; the objective 1 + 2 s."""
    gll = Placement(rules.gll(), modules(rules.gll(), [2, 2, 2]))
    forwards = [bar for bar in first_steps(gll, FREE, steps=2) if bar.kind == "forward"]
    assert [(bar.device, bar.start, bar.batch) for bar in forwards] == [
        (0, 0, 0), (0, 8, 1), (1, 2, 0), (1, 10, 1), (2, 4, 0), (2, 12, 1),
    ]  # fmt: skip
    bp = Placement(rules.bp(), modules(rules.bp(), [2, 2, 2]))
    assert max(bar.start + bar.seconds for bar in first_steps(bp, FREE, steps=1)) == simulate(bp, FREE).step


def test_messages_have_bars_in_the_first_steps_too():
    place = Placement(rules.gll(), modules(rules.gll(), [1, 1]))
    messages = [b for b in first_steps(place, Link(0.0, 100.0, eager=0), steps=1) if b.kind == "message"]
    assert [(b.device, b.start, b.seconds) for b in messages] == [(0, 1, 1), (1, 1, 1)]
