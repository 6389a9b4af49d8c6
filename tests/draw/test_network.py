"""The figure of a Learner: its boxes are the Learner's, its arrows the rule's, its bytes the summary's."""

from __future__ import annotations

import re

import pytest

import minilocal as ml
from minilocal.draw import network, to_svg
from minilocal.draw.network_layout import COLUMNS, Layout
from minilocal.summary import kept_bytes

NET = ml.nets.resnet(14, size=8, rng=ml.rng(0))


def make_learner(rule, modules=3, net=NET):
    return ml.Learner(net, rule, modules, rng=ml.rng(0))


def arriving_in(rule, modules=3):
    return [row.arrives for row in Layout(make_learner(rule, modules)).rows]


def test_what_goes_down_is_what_the_rule_answers():
    assert arriving_in(ml.rules.gll()) == ["", "", ""]
    assert arriving_in(ml.rules.bp()) == ["the error of loss 3", "the error of loss 3", ""]
    assert arriving_in(ml.rules.backlink()) == ["the error of loss 2", "the error of loss 3", ""]
    assert arriving_in(ml.rules.backlink(error="total"), 7)[:2] == [
        "the error of losses 2 to 7",
        "the error of losses 3 to 7",
    ]
    assert arriving_in(ml.rules.ddg()) == ["the error of loss 3 (delayed by 1)"] * 2 + [""]
    assert arriving_in(ml.rules.dni()) == ["the target of ê1", "the target of ê2", ""]


def test_an_epoch_decides_where_a_rule_has_global_ones():
    learner = make_learner(ml.rules.pgl(period=3, duration=1))
    assert not Layout(learner).rows[0].arrives
    learner.epoch = 2
    assert Layout(learner).rows[0].arrives == "the error of loss 3"


def test_a_rule_of_ones_own_is_drawn_by_its_answers():
    class Half(ml.boundaries.Boundary):
        def linked_units(self, units):
            return 1

        def weights(self, j):
            return 0.5, 2.0

    rule = ml.rules.compose("mine", objective=ml.objectives.classifier(), boundary=Half())
    row = Layout(make_learner(rule)).rows[0]
    top = row.boxes[-1].first
    assert row.arrives == "the error of loss 2" and row.above == {top: 2.0} and row.own[top] == 0.5
    assert set(row.own) == set(range(top + 1))


@pytest.mark.filterwarnings("ignore:BackLink length 2")
@pytest.mark.parametrize("modules", [1, 2, 7])
@pytest.mark.parametrize("rule", [ml.rules.bp(), ml.rules.backlink(length=2)], ids=lambda rule: rule.name)
def test_every_unit_is_in_one_box_and_no_boxes_overlap(rule, modules):
    layout = Layout(make_learner(rule, modules))
    boxes = [box for row in layout.rows for box in row.boxes]
    assert [u for box in boxes for u in range(box.first, box.first + box.count)] == list(range(len(NET.units)))
    assert len({(box.left, box.low) for box in boxes}) == len(boxes)
    for below, above in zip(layout.rows, layout.rows[1:], strict=False):
        assert below.low + below.height < above.low
        assert all(below.low < box.low < below.low + below.height for box in below.boxes)


def test_equal_units_are_one_box_that_says_how_many_and_linked_ones_stay_apart():
    deep = ml.nets.resnet(56, size=8, rng=ml.rng(0))
    boxes = Layout(make_learner(ml.rules.bp(), 2, deep)).rows[0].boxes
    assert [box.words for box in boxes] == ["1", "2 to 10 (9 equal ones)", "11", "12 to 14 (3 equal ones)"]
    linked = Layout(make_learner(ml.rules.backlink(length=1), 2, deep)).rows[0].boxes
    assert [box.words for box in linked] == ["1", "2 to 10 (9 equal ones)", "11", "12", "13", "14"]
    assert len(linked) > COLUMNS and linked[COLUMNS].low > linked[0].low  # a second line of boxes


def test_the_bytes_are_those_of_the_summary():
    learner = make_learner(ml.rules.backlink())
    kept = kept_bytes(learner, 16)
    assert kept is not None
    texts = [text.get_text() for text in network(learner, 16).axes[0].texts]
    shown = [float(text.split()[1].replace(",", "")) for text in texts if text.startswith("keeps")]
    assert shown == pytest.approx([n / 1e6 for n in kept.peak], abs=0.0051)


def test_its_text_states_what_it_shows():
    alt = network(make_learner(ml.rules.gll()), 4).alt
    assert alt.startswith(f"{NET.name} by GLL, K = 3, bytes for batches of 4.") and alt.count("no error crosses") == 3


def test_parts_of_the_svg_have_names():
    svg = to_svg(network(make_learner(ml.rules.backlink()), 4))
    names = set(re.findall(r'id="((?:unit|loss|up|down)-\d+)"', svg))
    expected = {f"unit-{u + 1}" for u in range(7)} | {"loss-1", "loss-2", "loss-3", "up-1", "up-2", "down-1", "down-2"}
    assert names == expected


def test_a_batch_of_nothing_is_one_line():
    with pytest.raises(ml.UserError, match="batch_size"):
        network(make_learner(ml.rules.gll()), 0)
