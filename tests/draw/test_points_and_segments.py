"""Curves over named points, bars with deviations, and divisions as segments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from minilocal import UserError, draw

NAN = float("nan")


def test_a_curve_goes_over_named_points_at_equal_distances():
    figure = draw.curves({"BackLink": [3.0, NAN, 1.0]}, points=["0.01", "0.1", "1"], along="lr")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.01", "0.1", "1"]
    assert list(axes.get_xticks()) == [1, 2, 3] == np.asarray(axes.lines[0].get_xdata()).tolist()
    assert axes.lines[0].get_marker() == "o"  # a point with gaps beside it is seen


def test_points_that_are_alone_are_told_apart_and_have_the_band_of_their_seeds():
    """Seen to fail: two links at K = 4 had one colour, one marker and one place, and no band was to be seen."""
    rows: dict[str, Any] = {
        "GLL": [[4, 8], [5, 9]], "BackLink, l = 2": [[3, NAN], [2, NAN]], "BackLink, l = 4": [[1, NAN], [2, NAN]],
    }  # fmt: skip
    (axes,) = draw.curves(rows, points=["4", "16"], along="K").axes
    gll, two, four = (np.asarray(line.get_xdata()) for line in axes.lines)
    assert gll.tolist() == [1, 2] and two[0] < 1 < four[0] and two[0] + four[0] == 2
    assert [line.get_marker() for line in axes.lines] == ["o", "o", "s"]
    lines = [c for c in axes.collections if isinstance(c, LineCollection)]
    assert [np.asarray(line.get_segments())[0, :, 1].tolist() for line in lines] == [[2, 3], [1, 2]]


def test_a_point_that_is_alone_at_its_place_stands_there():
    (axes,) = draw.curves({"GLL": [4, 8], "BackLink": [NAN, 3]}, points=["4", "16"]).axes
    assert np.asarray(axes.lines[1].get_xdata()).tolist() == [1, 2]


def test_a_curve_has_a_number_for_each_point():
    with pytest.raises(UserError, match=r"'GLL' has 3 numbers for the points 2, 4\."):
        draw.curves({"GLL": [1, 2, 3]}, points=["2", "4"])


def test_a_bar_has_a_line_of_its_deviation_and_says_it():
    figure = draw.bars({"FDG": 8.0, "BP": 7.0}, label="%", deviations={"FDG": 0.5, "BP": NAN})
    (axes,) = figure.axes
    containers: Any = axes.containers
    (lines,) = next(c for c in containers if hasattr(c, "errorbar")).errorbar.lines[2]
    ends = [(segment[:, 0].min(), segment[:, 0].max()) for segment in lines.get_segments()]
    assert ends == [(7.5, 8.5), (7.0, 7.0)]
    assert figure.alt == "%: FDG 8.0 ± 0.5; BP 7.0."
    assert not draw.bars({"BP": 7.0}, label="%", deviations={"BP": NAN}).axes[0].collections


def test_segments_are_as_long_as_their_numbers_and_follow_each_other():
    figure = draw.segments({"K = 2": [3, 2], "K = 5": [1] * 5}, along="units", marks={"16×16": 2}, title="net")
    (axes,) = figure.axes
    patches: Any = axes.patches
    assert [(p.get_x(), p.get_width()) for p in patches[:2]] == [(0, 3), (3, 2)]
    assert [(p.get_x(), p.get_width()) for p in patches[2:]] == [(k, 1) for k in range(5)]
    assert patches[0].get_facecolor() != patches[1].get_facecolor()  # neighbours differ
    assert {text.get_text().strip() for text in axes.texts} == {"3", "2", "1", "16×16"}
    assert np.asarray(axes.lines[0].get_xdata()).tolist() == [2, 2]
    assert figure.alt == "net. 5 units, divided: K = 2: 3, 2; K = 5: 1, 1, 1, 1, 1."


@pytest.mark.parametrize("rows", [{}, {"K = 1": [3], "K = 2": [1, 1]}])
def test_rows_of_segments_hold_the_same_number_of_things(rows):
    with pytest.raises(UserError, match="segments: the rows hold"):
        draw.segments(rows, along="units")
