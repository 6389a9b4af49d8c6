"""The diagram of a rule: its arrows pass the units that the engine's errors pass."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

import minilocal as ml
from minilocal.draw import rule_picture, to_png
from minilocal.draw.rule_diagram import error_paths, rows_of
from minilocal.draw.style import MODULES
from tests.helpers.host import host


def named(value):
    """A test's name must not hold an object's address."""
    return getattr(value, "name", None)


def test_bp_has_one_error_and_it_goes_all_the_way():
    (only,) = error_paths(ml.rules.bp(), [2, 1, 2])
    assert only.loss == 2 and only.units == [4, 3, 2, 1, 0] and set(only.weights) == {1}


def test_gll_has_an_error_per_module_and_it_stops_at_the_floor():
    assert [p.units for p in error_paths(ml.rules.gll(), [2, 1, 2])] == [[1, 0], [2], [4, 3]]


def test_backlink_passes_one_boundary_for_l_units():
    paths = error_paths(ml.rules.backlink(length=2, alpha=0.25), [3, 3, 2])
    assert [p.units for p in paths] == [[2, 1, 0], [5, 4, 3, 2, 1], [7, 6, 5, 4]]
    assert [p.weights for p in paths] == [
        [0.25, 0.0625, 1],
        [0.25, 0.0625, 1, 0.75, 0.5625],
        [1, 1, 0.75, 0.5625],
    ]


def test_it_stops_at_a_floor_that_comes_sooner():
    assert [p.units for p in error_paths(ml.rules.backlink(length=3), [1, 1, 2])] == [[0], [1, 0], [3, 2, 1]]


def test_a_total_error_goes_on_below_modules_that_are_linked_to_their_first_unit():
    total = error_paths(ml.rules.backlink(length=1, alpha=0.25, error="total"), [2, 1, 1, 1])
    assert [p.units for p in total] == [[1, 0], [2, 1], [3, 2, 1], [4, 3, 2, 1]]
    assert [p.weights for p in total] == [
        [0.25, 1],
        [0.25, 0.1875],
        [0.25, 0.1875, 0.140625],
        [1, 0.75, 0.5625, 0.421875],
    ]
    scaled = error_paths(ml.rules.backlink(length=1, alpha=0.25, error="own-scaled"), [2, 1, 1, 1])
    assert [p.units for p in scaled] == [[1, 0], [2, 1], [3, 2], [4, 3]]
    assert [p.weights for p in scaled] == [[0.25, 1], [0.25, 0.1875], [0.25, 0.1875], [1, 0.75]]


def test_no_arrow_lies_over_another():
    assert rows_of(error_paths(ml.rules.gll(), [2, 1, 2])) == {0: 0, 1: 0, 2: 0}
    assert rows_of(error_paths(ml.rules.backlink(), [2, 1, 2])) == {0: 0, 1: 1, 2: 0}
    assert rows_of(error_paths(ml.rules.backlink(error="total"), [1, 1, 1, 1])) == {0: 0, 1: 1, 2: 2, 3: 3}


def test_delays_change_when_an_error_arrives_and_not_how_far_it_goes():
    for rule in (ml.rules.ddg(), ml.rules.fdg()):
        assert error_paths(rule, [2, 1, 2]) == error_paths(ml.rules.bp(), [2, 1, 2])


def test_a_synthetic_gradient_passes_its_own_module():
    assert error_paths(ml.rules.dni(), [2, 1, 2]) == error_paths(ml.rules.gll(), [2, 1, 2])
    shown = [t.get_text() for t in rule_picture(ml.rules.dni(), 3, 5).axes[0].texts]
    assert [s for s in shown if s.startswith(("$L", "$\\hat"))] == ["$\\hat{e}_{1}$", "$\\hat{e}_{2}$", "$L_{3}$"]


def test_a_rule_with_global_epochs_is_drawn_for_an_epoch():
    rule = ml.rules.pgl(period=3, duration=1)
    assert error_paths(rule, [2, 1, 2], epoch=1) == error_paths(ml.rules.gll(), [2, 1, 2])
    assert error_paths(rule, [2, 1, 2], epoch=2) == error_paths(ml.rules.bp(), [2, 1, 2])


@pytest.mark.filterwarnings("ignore:BackLink length")
@pytest.mark.parametrize(
    "rule", [ml.rules.bp(), ml.rules.gll(), *(ml.rules.backlink(length=n) for n in range(5))], ids=named
)
@pytest.mark.parametrize("sizes", [[2, 2, 2], [1, 3, 1, 1]], ids=str)
def test_what_is_drawn_is_what_the_engine_does(rule, sizes):
    """Turn one loss's error off by breaking its classifier, and see in which units the gradient changes."""
    rng = ml.rng(0)
    net = ml.nets.mlp((5,) * 5, classes=3, channels=1, size=3, rng=rng)
    x, y = rng.standard_normal((9, 3, 3, 1)), rng.integers(0, 3, 9)
    learner = ml.Learner(net, rule, modules=sizes, rng=rng, dtype="float64")
    before = learner.gradients(x, y)[1]
    for path in error_paths(rule, sizes):
        last = path.loss == len(sizes) - 1
        weight = "layers.5.bias" if last else f"aux.{path.loss}.0.bias"
        saved = learner.parameters()[weight].copy()
        learner.load({weight: saved + np.array([1.0, -2.0, 0.5])})
        after = learner.gradients(x, y)[1]
        learner.load({weight: saved})
        names = [f"layers.{u}.weight" for u in range(6)]
        changed = {u for u, n in enumerate(names) if not np.array_equal(host(before[n]), host(after[n]))}
        assert changed == set(path.units)


@pytest.mark.parametrize("name", ml.rules.NAMES)
def test_every_rule_can_be_drawn_and_its_words_are_its_own(name):
    rule = ml.rules.get(name)
    figure = rule_picture(rule, [2, 1, 2], 5)
    shown = " ".join(t.get_text().replace("\n", " ") for t in figure.axes[0].texts)
    assert f"Error from above: {rule.boundary.describe()}" in shown


def test_it_can_be_drawn_without_words():
    shown = [t.get_text() for t in rule_picture(ml.rules.gll(), 2, 2, words=False).axes[0].texts]
    assert not any("Downward" in text for text in shown) and "$L_{2}$" in shown


def test_an_error_has_the_colour_of_its_module_and_none_of_a_rule():
    axes = rule_picture(ml.rules.gll(), 3, 3).axes[0]
    shown = {to_hex(line.get_color()) for line in axes.lines}
    assert shown == set(MODULES[:3])


@pytest.mark.parametrize(("modules", "units"), [(1, 1), (3, 8), ([2, 5], 7), (16, 54)])
def test_any_network_can_be_drawn(modules, units):
    figure = rule_picture(ml.rules.backlink(length=1), modules, units)
    assert to_png(figure).startswith(b"\x89PNG")
    shown = {t.get_text() for t in figure.axes[0].texts}
    assert ({str(u + 1) for u in range(units)} <= shown) == (units < 54)  # fifty numbers would be too small to read


def test_a_split_that_does_not_fit_is_refused():
    with pytest.raises(ml.UserError, match="K = 9 modules for a network of 8 units"):
        rule_picture(ml.rules.gll(), 9, 8)
