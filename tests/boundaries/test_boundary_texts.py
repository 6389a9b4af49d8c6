"""What a boundary says of itself and of modules that surprise, to the letter."""

from __future__ import annotations

from typing import Any

import pytest

from minilocal.boundaries import cascade, closed, delayed, link, open, reach, synthetic_gradient, weights
from minilocal.boundaries.base import Recommended
from minilocal.errors import UserError

OWN = "the error of the next module's loss"
TOTAL = "the total error of the next module (which waits for those above where its first unit is linked)"


@pytest.mark.parametrize(
    ("boundary", "text"),
    [
        (closed(), "none"),
        (open(), "the error of the last loss, through every module"),
        (link(), f"{OWN}, into the last unit"),
        (link(length=0), "none"),
        (link(length=3), f"{OWN}, into the last 3 units"),
        (link(length="module"), f"{OWN}, into every unit"),
        (link(error="own-scaled"), f"{OWN} (times α where its first unit is linked), into the last unit"),
        (link(error="total"), f"{TOTAL}, into the last unit"),
        (delayed(), "the error of the last loss, delayed by 1 iteration per boundary"),
        (delayed(errors=2), "the error of the last loss, delayed by 2 iterations per boundary"),
        (
            delayed(activations=1, beta=0.5),
            "the error of the last loss, times 0.5, delayed by 1 iteration per boundary (activations by 1)",
        ),
        (synthetic_gradient(), "trains a synthesiser of h_k, whose synthetic gradient replaces it"),
        (cascade(), "the error that leaves the next module, into every unit, beside its own"),
        (weights(), "none; the weights of the next module's first unit, averaged (momentum 0.995)"),
        (
            weights(momentum=0.9, every=3),
            "none; the weights of the next module's first unit, averaged (momentum 0.9, every 3 steps)",
        ),
        (reach(modules=0), "none"),
        (reach(), "the error of one loss, the next module's (or the last), into every unit"),
        (reach(modules=3), "the error of one loss, that 3 modules up (or the last), into every unit"),
        (
            synthetic_gradient(labels=True),
            "trains a synthesiser of h_k and the labels, whose synthetic gradient replaces it",
        ),
    ],
)
def test_the_error_from_above_in_a_few_words(boundary, text):
    assert boundary.describe() == text


@pytest.mark.parametrize(
    ("length", "sizes", "where"),
    [
        (2, (2, 3, 1), None),  # the last module has no link
        ("module", (1, 1), None),
        (1, (1, 1, 1), None),
        (2, (1, 3), "module 1 has 1 unit"),
        (4, (5, 3, 1), "module 2 has 3 units"),
        (3, (4, 1, 2, 1), "module 2 has 1 unit, and 1 more module is short"),
        (3, (1, 2, 2, 1), "module 1 has 1 unit, and 2 more modules are short"),
    ],
)
def test_a_link_longer_than_a_module_is_said_once(length, sizes, where):
    lines = link(length=length).warnings(sizes)
    if where is None:
        assert lines == []
        return
    k, n = where.split()[1], where.split()[3]
    floor = f'a link stops at its module\'s first unit (length {n} in module {k}); length="module" says so'
    assert lines == [f"BackLink length {length}, but {where}: {floor}."]


def test_other_boundaries_have_no_surprise():
    assert [b.warnings((1, 1)) for b in (closed(), open(), delayed(), reach(), synthetic_gradient())] == [[]] * 5


def test_a_recommendation_in_prose_and_rates_that_are_none():
    assert Recommended("sgd", 0.03).describe() == "SGD at 0.03"
    assert Recommended("adam", 1e-3).describe() == "Adam at 0.001"
    wrong: list[Any] = [0.0, -1.0, float("inf"), float("nan"), "0.1", True, None]
    for lr in wrong:
        with pytest.raises(UserError, match=r"is recommended at lr .*: give a rate above 0"):
            Recommended("sgd", lr)


@pytest.mark.parametrize("kernel", [0, 2, -1, 1.5])
def test_a_window_has_an_odd_side(kernel):
    with pytest.raises(UserError, match=r"kernel = .*: give the side of a synthesiser's window, odd, 1 or more"):
        synthetic_gradient(kernel=kernel)
    assert synthetic_gradient(kernel=1).kernel == 1


@pytest.mark.parametrize(
    ("boundary", "facts"),
    [
        (closed(), (0, False, False, (1.0, 0.0), 1)),
        (open(), (4, True, False, (1.0, 1.0), 1)),
        (link(length=0), (0, False, False, (1.0, 0.0), 1)),
        (link(length=2), (2, True, False, (1.0, 0.0), 1)),
        (link(length=9), (4, True, False, (1.0, 0.0), 1)),
        (link(length="module", alpha=0.25, error="own-scaled"), (4, True, False, (0.25**4, 0.0), 1)),
        (link(length=4, alpha=0.25, error="total", weighting="unfolded"), (4, True, False, (0.25, 0.75), 1)),
        (delayed(activations=1, errors=2), (4, True, True, (1.0, 1.0), 7)),
        (synthetic_gradient(), (0, True, False, (1.0, 0.0), 1)),
        (reach(modules=0), (0, False, False, (1.0, 0.0), 1)),
        (reach(modules=2), (4, True, False, (1.0, 0.0), 1)),
    ],
)
def test_what_the_engine_asks_of_a_boundary(boundary, facts):
    """Linked units of 4, whether the error at the input counts, or is delayed, what is sent, batches for K = 3."""
    linked, uses, delays, sends, batches = facts
    assert boundary.linked_units(4) == linked and boundary.uses_input_error is uses and boundary.delayed is delays
    assert boundary.sends(4) == sends and boundary.least_batches(3) == batches


@pytest.mark.parametrize(
    ("boundary", "weights"),
    [
        (closed(), [(1.0, 1.0)] * 3),
        (open(), [(1.0, 1.0)] * 3),
        (delayed(), [(1.0, 1.0)] * 3),
        (synthetic_gradient(), [(1.0, 1.0)] * 3),
        (reach(modules=0), [(1.0, 0.0)] * 3),
        (reach(modules=2), [(0.0, 1.0)] * 3),
        (link(alpha=0.25), [(0.25, 0.75), (0.25**2, 0.75**2), (0.25**3, 0.75**3)]),
        (link(alpha=0.25, weighting="unfolded"), [(0.25, 0.75)] * 3),
    ],
)
def test_the_weights_of_both_gradients_in_the_units_below_a_modules_top(boundary, weights):
    assert [boundary.weights(j) for j in range(3)] == weights


class Mine(type(closed())):  # type: ignore[misc]
    """A boundary of the user's, with a setting."""

    def __init__(self, setting):
        self.setting = setting


def test_boundaries_are_equal_by_type_and_settings():
    assert closed() == closed() and hash(closed()) == hash(closed()) and link() == link() and reach() == reach()
    assert Mine(1) == Mine(1) != Mine(2) and len({Mine(1), Mine(2), Mine(1)}) == 2
    assert closed() != open() and closed() != "closed" and closed() != Mine(1)
    assert repr(closed()) == "ClosedBoundary()" and repr(open()) == "OpenBoundary()" and repr(Mine(1)) == "Mine()"
    assert [closed().learns_from(0, 2), reach(modules=2).learns_from(0, 3), reach(modules=2).learns_from(2, 3)] == [
        None,
        2,
        3,
    ]
    assert (closed().one_loss, reach().one_loss) == (False, True)
    assert [reach(modules=1).lowest_learner(j, 2) for j in range(3)] == [None, 0, 1] and not closed().lowest_learner(
        1, 2
    )
    assert closed().synthesiser(None) is None  # type: ignore[arg-type]
    assert closed().lags == open().lags == (0, 0) and delayed(activations=1, errors=2).lags == (1, 2)
