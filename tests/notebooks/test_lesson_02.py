"""What lesson 2 shows and says is what is there."""

from __future__ import annotations

import inspect
import re

import pytest

from minilocal import ops
from tests.helpers.lessons import printed

NAME = "02_convolution"
SHOWN = [
    ops.conv.im2col, ops.conv.col2im, ops.conv2d, ops.conv2d_backward, ops.batch_norm_stats, ops.batch_norm_apply,
    ops.batch_norm_backward, ops.max_pool, ops.max_pool_backward, ops.relu, ops.relu_backward,
]  # fmt: skip


@pytest.mark.parametrize("thing", SHOWN, ids=lambda thing: thing.__name__)
def test_the_source_that_it_shows_is_the_source_that_is_there(thing):
    assert inspect.getsource(thing).strip() in printed(NAME), f"make lesson NAME={NAME}: {thing} has changed"


def test_what_it_says_of_im2col_is_what_it_counted():
    text = printed(NAME)
    assert "9 times as many numbers" in text and "k = 4, stride 4, padding 0: × 1.00" in text
    exact = re.findall(r"; +(-?\d+) = (-?\d+)$", text, re.M)
    assert len(exact) == 5 and all(left == right for left, right in exact)  # the adjoint, to the digit


def test_fast_forms_are_faster():
    assert float(re.findall(r"the plain code takes ([\d.]+) times as long", printed(NAME))[0]) > 1


def test_what_it_says_of_errors_over_depth_is_what_its_networks_gave():
    grows = dict(re.findall(r"^(\w[\w ]*, gain [\d.]+) .*× ([\d.]+) a unit$", printed(NAME), re.M))
    factor = {name: float(number) for name, number in grows.items()}
    assert len(factor) == 5
    assert all(1.1 < factor[name] < 1.3 for name in factor if name.startswith("batch norm"))  # it grows, at any gain
    for gain in (1.0, 2.0, 0.41):  # without a norm a unit multiplies the error by the gain
        assert factor[f"no norm, gain {gain:g}"] == pytest.approx(gain, rel=0.1)


def test_what_it_says_of_training_is_what_its_runs_gave():
    after = printed(NAME).split("test error in % of")[1]
    ends = re.findall(r"^(\w[\w ]*, gain [\d.]+) +([\d.]+) \(([\d.]+) to ([\d.]+)\)$", after, re.M)
    least, most = ({name: float(numbers[n]) for name, *numbers in ends} for n in (1, 2))
    assert most["batch norm, gain 0.41"] < 30  # it learns with every seed,
    assert least["no norm, gain 0.41"] > 85  # without the norm it does not,
    assert least["no norm, gain 1"] > most["batch norm, gain 0.41"]  # and a gain of 1 is slower
