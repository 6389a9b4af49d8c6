"""Timelines: a stair for each run, in its rule's colour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minilocal import UserError, draw
from tests.draw.legend import legend_of


def test_a_stair_has_a_tread_for_each_piece_of_work():
    figure = draw.timeline({"BP": [1, 3, 2], "BP, checkpointed": [1, 2, 1], "GLL": [1, 1]}, label="bytes", work="units")
    (axes,) = figure.axes
    patches: Any = axes.patches
    bp, spared, gll = patches
    np.testing.assert_array_equal(bp.get_data().values, [1, 3, 2])
    np.testing.assert_array_equal(gll.get_data().edges, [0, 1, 2])
    assert bp.get_edgecolor() == spared.get_edgecolor() != gll.get_edgecolor()
    assert bp.get_linestyle() != spared.get_linestyle()
    assert [t.get_text() for t in legend_of(axes).get_texts()] == ["BP", "BP, checkpointed", "GLL"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("units", "bytes")
    assert draw.to_svg(figure) == draw.to_svg(figure)


def test_no_runs_are_refused():
    with pytest.raises(UserError, match="no run to draw"):
        draw.timeline({}, label="bytes")
