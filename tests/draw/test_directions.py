"""Directions: an arrow as long as the norm ratio, whose part along ∇L is σ."""

from __future__ import annotations

from typing import Any

import pytest

from minilocal import UserError, draw
from tests.draw.legend import legend_of


def arrows(figure: draw.Figure) -> list[tuple[float, float]]:
    texts: Any = figure.axes[0].texts
    return [tuple(text.xy) for text in texts if getattr(text, "arrow_patch", None) is not None]


def test_an_arrow_ends_at_sigma_and_what_is_across():
    figure = draw.directions({"module 1": (0.6, 1.0), "module 2": (-0.3, 0.5)}, title="GLL")
    assert arrows(figure) == [(1.0, 0.0), pytest.approx((0.6, 0.8)), pytest.approx((-0.3, 0.4))]
    (axes,) = figure.axes
    assert [text.get_text() for text in legend_of(axes).get_texts()] == ["∇L", "module 1", "module 2"]
    assert len({line.get_color() for line in axes.lines[1:]}) == 3
    assert figure.alt.startswith("GLL. Directions") and "module 2 -0.30 along, 0.40 across." in figure.alt


def test_every_arrow_lies_inside_the_axes():
    figure = draw.directions({"short": (0.1, 0.2), "long": (2.0, 5.0), "back": (-3.0, 4.0)})
    draw.to_png(figure)
    (axes,) = figure.axes
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert all(left < x < right and low < y < high for x, y in arrows(figure))


def test_bp_has_all_of_its_length_along():
    assert arrows(draw.directions({"BP": (1.0, 1.0)})) == [(1.0, 0.0), (1.0, 0.0)]
    assert arrows(draw.directions({"rounded": (1.0 + 1e-15, 1.0)}))[1][1] == 0


@pytest.mark.parametrize("step", [(1.0, 0.5), (float("nan"), 1.0), (0.5, float("nan")), (0.5, float("inf"))])
def test_no_step_is_longer_along_than_in_all(step):
    with pytest.raises(UserError, match="directions: 'GLL' has σ = "):
        draw.directions({"GLL": step})


def test_no_steps_are_refused():
    with pytest.raises(UserError, match="no step to draw"):
        draw.directions({})
