"""Figures: they show the given numbers, in the rule's colour, and leave matplotlib's settings unchanged."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

import minilocal as ml
from minilocal import UserError, draw
from minilocal.draw.style import COLOURS, CYCLE, MODULES, colours
from minilocal.rules import NAMES
from tests.draw.legend import legend_of


def test_a_curve_has_a_line_per_run_over_epochs_from_one():
    axes = draw.curves({"BP": [30, 20, 10], "GLL": [40, 35, 30]}, title="digits").axes[0]
    bp, gll = axes.lines
    assert np.array_equal(bp.get_xdata(), [1, 2, 3]) and np.array_equal(bp.get_ydata(), [30, 20, 10])
    assert np.array_equal(gll.get_ydata(), [40, 35, 30])
    assert [t.get_text() for t in legend_of(axes).get_texts()] == ["BP", "GLL"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title(loc="left")) == ("epoch", "test error (%)", "digits")


def test_of_several_seeds_the_mean_is_drawn_in_a_band_from_the_least_to_the_largest():
    axes = draw.curves({"GLL": [[10, 8], [14, 6], [12, 10]]}).axes[0]
    assert np.array_equal(axes.lines[0].get_ydata(), [12, 8])
    band = np.asarray(axes.collections[0].get_paths()[0].vertices)
    assert (band[:, 1].min(), band[:, 1].max()) == (6, 14)
    legend = legend_of(axes)
    assert legend.get_title().get_text() == "mean of 3 seeds, least to largest"
    assert legend.get_texts()[0].get_text() == "GLL"


def test_where_runs_have_not_as_many_seeds_each_says_its_own():
    legend = legend_of(draw.curves({"GLL": [[10, 8], [14, 6]], "BP": [9, 7]}).axes[0])
    assert [t.get_text() for t in legend.get_texts()] == ["GLL (mean of 2 seeds, least to largest)", "BP"]
    assert legend.get_title().get_text() == ""


def test_what_is_repeated_has_a_name():
    legend = legend_of(draw.curves({"GLL": [[10, 8], [14, 6]]}, repeats="rounds").axes[0])
    assert legend.get_title().get_text() == "mean of 2 rounds, least to largest"


def test_a_curve_can_go_along_modules_and_leave_some_out():
    nan = float("nan")
    axes = draw.curves({"BP": [nan, nan, 4], "GLL": [30, 20, 10]}, along="module").axes[0]
    assert axes.get_xlabel() == "module"
    bp, gll = axes.lines
    assert (bp.get_marker(), gll.get_marker()) == ("o", "None")  # one number alone is a point
    np.testing.assert_array_equal(bp.get_ydata(), [nan, nan, 4])


def test_a_rule_keeps_its_colour_and_its_variants_differ_by_dashes():
    axes = draw.curves({"BackLink, l = 1": [1, 2], "GLL": [1, 2], "BackLink, l = 2": [2, 3]}).axes[0]
    one, gll, two = axes.lines
    assert one.get_color() == two.get_color() == COLOURS["backlink"] != gll.get_color() == COLOURS["gll"]
    assert one.get_linestyle() != two.get_linestyle()
    assert colours(["GLL", "BackLink"])["GLL"] == colours(["mine", "GLL"])["GLL"]


def test_every_rule_has_a_colour_of_its_own():
    assert set(NAMES) <= set(COLOURS)
    assert len(set(COLOURS.values())) == len(COLOURS)


def test_no_module_has_the_colour_of_a_rule():
    assert not {*MODULES} & {*COLOURS.values(), *CYCLE}
    assert len(set(MODULES)) == len(MODULES) > 1


def test_names_that_are_no_rule_get_colours_of_their_own():
    assert len(set(colours(["a", "b", "c", "GLL", "BackLink"]).values())) == 5


def test_bars_are_as_long_as_their_values_and_say_them():
    axes = draw.bars({"BP": 31.25, "GLL": 7.0}, label="MB", form="{:.2f}").axes[0]
    patches: Any = axes.patches
    assert [bar.get_width() for bar in patches] == [31.25, 7.0]
    assert {"31.25", "7.00"} <= {t.get_text() for t in axes.texts}
    assert [t.get_text() for t in axes.get_yticklabels()] == ["BP", "GLL"]
    assert axes.yaxis_inverted()  # the first is on top


def test_nothing_to_draw_is_said():
    with pytest.raises(UserError, match="no run"):
        draw.curves({})
    with pytest.raises(UserError, match="no value"):
        draw.bars({}, label="MB")
    with pytest.raises(UserError, match=r"seeds of 'GLL' have \[1, 2\] epochs"):
        draw.curves({"GLL": [[1, 2], [1]]})


def test_a_figure_becomes_a_png_and_svg_text_and_shows_itself():
    figure = draw.bars({"BP": 1}, label="MB")
    assert draw.to_png(figure).startswith(b"\x89PNG")
    shown, about = figure._repr_png_()
    assert about == {"alt": "MB: BP 1.0."}
    assert len(shown) < 0.6 * len(draw.to_png(figure))  # by a palette
    whole, small = (imread(io.BytesIO(png))[..., :3] for png in (draw.to_png(figure), shown))
    assert np.abs(whole - small).max() < 0.05  # 256 colours are nearly all that a figure has
    svg = ElementTree.fromstring(draw.to_svg(figure))
    assert svg.tag.endswith("svg")
    assert "MB" in {text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")}  # text is text, not outlines
    assert draw.to_svg(draw.bars({"BP": 1}, label="MB")) == draw.to_svg(figure)


def test_matplotlib_is_left_as_it_was():
    before = dict(matplotlib.rcParams)
    draw.to_svg(draw.curves({"BP": [1, 2]}))
    assert dict(matplotlib.rcParams) == before


def test_no_pyplot_and_no_screen():
    draws = "import sys; from minilocal import draw; draw.to_png(draw.bars({'BP': 1}, label='MB'))"
    code = f"{draws}; print('matplotlib.pyplot' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "False"


def test_a_heat_map_has_a_cell_for_each_number():
    figure = draw.heat({"GLL": [0.5, -0.25], "BackLink": [1, 0]}, along="layer", title="cosines", label="cosine")
    axes = figure.axes[0]
    cells = {tuple(map(round, text.get_position())): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "0.50", (1, 0): "-0.25", (0, 1): "1.00", (1, 1): "0.00"}
    assert [t.get_text() for t in axes.get_yticklabels()] == ["GLL", "BackLink"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["1", "2"] and axes.get_xlabel() == "layer"
    image = axes.images[0]
    assert image.norm.vmin == -1 and image.norm.vmax == 1  # white is 0
    assert figure.alt == "cosines. cosine by layer: GLL 0.50 -0.25; BackLink 1.00 0.00."
    assert draw.heat({"GLL": [0.0]}, along="layer").axes[0].images[0].norm.vmax == 1
    refused: list[dict[str, list[float]]] = [{}, {"a": []}, {"a": [1], "b": [1, 2]}]
    for rows in refused:
        with pytest.raises(UserError, match="give each row the same"):
            draw.heat(rows, along="layer")


def test_every_figure_says_what_it_shows():
    nan = float("nan")
    curves = draw.curves({"BP": [nan, 30, 10], "GLL": [[40, 35, 30], [20, 15, 10]], "none": [nan] * 3}, title="digits")
    assert curves.alt == "digits. test error (%) by epoch, first to last: BP 30 to 10; GLL 30 to 20; none none."
    assert draw.bars({"BP": 1.25}, label="MB", form="{:.2f}").alt == "MB: BP 1.25."
    over = draw.timeline({"BP": [1, 3, 2]}, label="live MB")
    assert over.alt == "live MB over the pieces of work of a step, at most: BP 3."
    rule = ml.rules.backlink(length=1)
    shown = draw.rule_picture(rule, modules=2, units=4).alt
    errors = "of loss 1 through units 2, 1; of loss 2 through units 4, 3, 2"
    assert shown == f"BackLink, K = 2: 4 units in modules of 2, 2. Errors: {errors}."
