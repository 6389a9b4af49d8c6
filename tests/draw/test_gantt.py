"""Gantt charts: a row for each device, batches in colours, kinds of work in patterns."""

from __future__ import annotations

from typing import Any

import pytest

from minilocal import UserError, draw
from minilocal.draw.gantt import PATTERNS
from tests.draw.legend import legend_of

BARS = [
    (0, -0.5, 1.0, "forward", 0, 3),
    (0, 0.5, 1.0, "backward", 0, 3),
    (0, 1.5, 0.25, "message", -1, -1),
    (1, 1.75, 1.0, "forward", 1, 3),
    (1, 3.0, 1.0, "forward", 1, 4),
    (1, 9.0, 1.0, "forward", 1, 5),
]


def test_a_bar_for_each_piece_of_work_cut_at_the_ends():
    figure, same = (draw.gantt(BARS, ["device 1", "device 2"], until=3.5, title="two devices") for _ in range(2))
    (axes,) = figure.axes
    patches: Any = axes.patches
    boxes = [(p.get_x(), p.get_width(), round(p.get_y() + p.get_height() / 2, 6)) for p in patches]
    assert boxes == [(0, 0.5, 0), (0.5, 1.0, 0), (1.5, 0.25, 0), (1.75, 1.0, 1), (3.0, 0.5, 1)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["device 1", "device 2"]
    assert axes.yaxis_inverted() and axes.get_xlabel() == "time (s)" and axes.get_xlim() == (0, 3.5)
    assert [text.get_text() for text in axes.texts] == ["3", "3", "3", "4"]
    assert "device 1 43%; device 2 43%" in figure.alt
    assert draw.to_svg(figure) == draw.to_svg(same)


def test_colours_are_batches_and_patterns_are_kinds():
    figure = draw.gantt(BARS, ["a", "b"], until=3.5)
    patches: Any = figure.axes[0].patches
    forward, backward, message, above, another = patches
    assert forward.get_facecolor() == backward.get_facecolor() == above.get_facecolor() != another.get_facecolor()
    assert forward.get_hatch() != backward.get_hatch()
    assert message.get_height() < forward.get_height()
    works = [pattern for kind, pattern in PATTERNS.items() if kind != "message"]
    assert len(set(works)) == len(works), "kinds differ without colours too"
    legend = legend_of(figure.axes[0])
    assert [text.get_text() for text in legend.get_texts()] == ["forward", "backward", "message"]


def test_neighbours_of_one_piece_of_work_are_one_bar_and_bars_below_a_pixel_are_none():
    bars = [
        (0, 0.0, 1.0, "forward", 0, 0), (0, 1.0, 1.0, "forward", 0, 0), (0, 2.0, 1.0, "forward", 1, 0),
        (0, 3.0, 1e-4, "update", 1, 0), (1, 3.0, 1.0, "forward", 1, 0),
    ]  # fmt: skip
    figure = draw.gantt(bars, ["a", "b"], until=4.0)
    boxes: list[Any] = list(figure.axes[0].patches)
    assert [(box.get_x(), box.get_width()) for box in boxes] == [(0, 2), (2, 1), (3, 1)]


def test_short_times_are_in_milliseconds():
    figure = draw.gantt([(0, 0.0, 0.004, "update", 0, 0)], ["a"], until=0.01)
    patches: Any = figure.axes[0].patches
    assert figure.axes[0].get_xlabel() == "time (ms)" and patches[0].get_width() == pytest.approx(4)


def test_no_work_is_refused():
    with pytest.raises(UserError, match="no work to draw"):
        draw.gantt([BARS[-1]], ["a", "b"], until=1.0)


def test_iterations_in_place_of_seconds():
    bars = [(0, 0.0, 0.5, "forward", 0, 0), (1, 0.5, 0.5, "backward", 1, 0)]
    figure = draw.gantt(bars, ["module 1", "module 2"], until=1, along="iteration", title="DDG")
    assert figure.axes[0].get_xlabel() == "iteration" and figure.axes[0].get_xlim() == (0, 1)
    assert figure.alt.startswith("DDG. What each row does in 1 iteration, batches in colours.")
