"""What reports draw with: scatter plots, heat maps with names, one palette for several figures, legends below."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minilocal import UserError, draw
from minilocal.draw.page import Page

POINTS = {"BP": (2.0, 5.0, 0.5), "BackLink, l = 1": (1.0, 8.0, np.nan), "BackLink, l = 2": (1.5, 7.0, np.nan)}


def test_points_have_their_rule_s_colour_and_a_marker_of_their_own():
    figure = draw.scatter(POINTS, label="error", along="MB", title="title")
    (axes,) = figure.axes
    bars: dict[str, Any] = {str(c.get_label()): c for c in axes.containers}
    lines = {name: bar.lines[0] for name, bar in bars.items()}
    link = draw.COLOURS["backlink"]
    assert [line.get_color() for line in lines.values()] == [draw.COLOURS["bp"], link, link]
    assert lines["BackLink, l = 1"].get_marker() != lines["BackLink, l = 2"].get_marker()
    assert {name: (float(line.get_xdata()[0]), float(line.get_ydata()[0])) for name, line in lines.items()} == {
        name: point[:2] for name, point in POINTS.items()
    }
    assert [bool(bar.has_yerr) for bar in bars.values()] == [True, False, False]
    assert figure.alt == "title. error against MB: BP 5 at 2; BackLink, l = 1 8 at 1; BackLink, l = 2 7 at 1.5."


def test_no_points_are_refused():
    with pytest.raises(UserError, match="scatter: there is no point"):
        draw.scatter({}, label="error", along="MB")


def test_a_heat_map_from_the_least_number_with_names_and_an_empty_cell():
    figure = draw.heat({"a": [5, 7.5], "b": [10, np.nan]}, along="l", columns=["1", "4"], from_least=True, form="{:g}")
    (axes,) = figure.axes
    (image,) = axes.get_images()
    assert image.norm.vmin == 5 and image.norm.vmax == 10
    assert [t.get_text() for t in axes.get_xticklabels()] == ["1", "4"]
    assert [t.get_text() for t in axes.texts] == ["5", "7.5", "10"] and "b 10 none" in figure.alt
    with pytest.raises(UserError, match="every number is NaN"):
        draw.heat({"a": [np.nan]}, along="l")


def test_a_palette_holds_for_every_figure_and_ends_with_its_block():
    names = {"odd": "#010203", "even": "#010203", "BP": "#040506"}
    with draw.palette(names):
        one = draw.curves({"odd": [1, 2], "even": [2, 1]}).axes[0].get_lines()
        two = draw.curves({"even": [2, 1], "BP": [1, 1]}).axes[0].get_lines()
    assert [line.get_color() for line in (*one, *two)] == ["#010203", "#010203", "#010203", "#040506"]
    assert one[1].get_linestyle() == two[0].get_linestyle() != one[0].get_linestyle()
    after = draw.curves({"BP": [1, 1]}).axes[0].get_lines()
    assert after[0].get_color() == draw.COLOURS["bp"]


def test_a_legend_below_keeps_its_entries_and_the_axes_their_height():
    figure = draw.curves({"BP": [1, 2], "GLL": [2, 3]})
    height = figure.get_size_inches()[1]
    draw.legend_below(figure)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["BP", "GLL"] and figure.axes[0].get_legend() is None
    assert figure.get_size_inches()[1] == pytest.approx(height + 0.4)
    seeds = draw.curves({"BP": [[1, 2], [2, 3]]})
    draw.legend_below(seeds)
    assert seeds.legends[0].get_title().get_text() == "mean of 2 seeds, least to largest"
    without = draw.bars({"BP": 1}, label="MB")
    draw.legend_below(without)
    assert not without.legends


def test_many_runs_of_one_rule_have_different_dashes():
    lines: Any = draw.curves({f"GLL, lr = {n}": [1, n] for n in range(8)}).axes[0].get_lines()
    assert len({str(line._dash_pattern) for line in lines}) == 8


def test_cells_of_a_page_have_shades_signs_and_room_for_sentences():
    page = Page("title")
    page.table([{"a": "+1.0", "b": "x" * 80}, {"a": "-2", "b": "12 " + "x" * 80}], {(1, "a"): "far"})
    html = page.html()
    assert "<td class='number'>+1.0</td>" in html and "<td class='number far'>-2</td>" in html
    assert html.count("<td class='long'>") == 2
