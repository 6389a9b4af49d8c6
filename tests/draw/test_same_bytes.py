"""One figure is one text: whatever was drawn before it, and in every process."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from minilocal import draw, rules

BARS = [(0, 0.0, 1.0, "forward", 0, 0), (0, 1.0, 1.2, "backward", 0, 0), (1, 2.2, 0.2, "message", -1, -1)]
POINTS = {"BP": (2.0, 5.0, 0.5), "GLL": (1.0, 8.0, float("nan")), "BackLink, l = 2": (1.5, 7.0, 1.0)}
FIGURES: dict[str, Callable[[], draw.Figure]] = {
    "bars": lambda: draw.bars({"BP": 1, "GLL": 2}, label="MB"),
    "curves": lambda: draw.curves({"BP": [[3, 2, 1], [4, 2, 2]], "GLL": [4, 3]}),
    "directions": lambda: draw.directions({"module 1": (0.6, 1.0), "module 2": (-0.2, 0.4)}),
    "gantt": lambda: draw.gantt(BARS, ["device 1", "device 2"], until=3.0),
    "heat": lambda: draw.heat({"a": [1, 2], "b": [2, 3]}, along="l", label="error"),
    "rule": lambda: draw.rule_picture(rules.backlink(length=1), 3, 6),
    "scatter": lambda: draw.scatter(POINTS, label="error", along="MB"),
    "timeline": lambda: draw.timeline({"BP": [1, 3, 2]}, label="bytes", work="units"),
    "windows": lambda: draw.windows((4, 4), 3, pad=1, pixel=(0, 0)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_written_twice_is_one_text(name):
    """Layout moves axes a little each time that they are drawn, and clip paths are named by where they lie."""
    figure = FIGURES[name]()
    first = draw.to_svg(figure)
    draw.to_png(figure)
    assert draw.to_svg(figure) == first == draw.to_svg(FIGURES[name]())


def digests() -> str:
    return " ".join(hashlib.sha256(draw.to_svg(make()).encode()).hexdigest() for make in FIGURES.values())


def test_figures_of_two_processes_are_one_text():
    code = "from tests.draw.test_same_bytes import digests; print(digests())"
    for seed in ("1", "2"):  # of Python's hashes
        environment = {"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": ":".join(sys.path)}
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert process.stdout.strip() == digests(), process.stderr
