"""Lesson 9: the source that it shows, and what it says of its runs."""

from __future__ import annotations

import inspect
import re

import pytest

from minilocal.boundaries.synthetic import Synthesiser
from minilocal.engine.delayed import DelayedEngine
from tests.helpers.lessons import printed, row

NAME = "09_late_errors"
FDG = ("FDG, β = 1", "FDG, β = 0.5")


@pytest.mark.parametrize(
    "shown",
    [DelayedEngine._forward, DelayedEngine._backward_pending, Synthesiser.gradients],
    ids=lambda thing: thing.__name__,
)
def test_the_source_that_it_shows_is_the_source_that_is_there(shown):
    assert inspect.getsource(shown).strip() in printed(NAME), f"make lesson NAME={NAME}: {shown} has changed"


def test_at_rate_0_a_late_gradient_is_bps_to_the_bit():
    lines = re.findall(r"^(\w+).* module (\d): batch t - (\d), times .*largest difference (.*)$", printed(NAME), re.M)
    assert {gap for *_, gap in lines} == {"0"}
    assert ["".join(line[:3]) for line in lines] == ["DDG12", "DDG21", "DDG30", "FDG14", "FDG23", "FDG33"]


def test_the_stored_run_had_jax():
    assert len(re.findall(r"largest difference from JAX", printed(NAME))) == 5


def test_what_it_says_of_its_runs_is_what_they_gave():
    _, text = printed(NAME).split("test error in % of 360 images", 1)
    table, rest = text.split("one image is")
    ends = {name: row(table, name)[::2] for name in ("BP", "DDG", *FDG, "DNI, Adam", "BP, Adam")}
    for name in ("DDG", *FDG):
        assert ends["BP"][0] < ends[name][0] < ends[name][1]  # above BP, and further above in four modules
    assert ends["BP, Adam"][0] < ends["DNI, Adam"][0] < ends["DNI, Adam"][1]
    assert ends["FDG, β = 0.5"][1] < ends["DDG"][1] < ends["FDG, β = 1"][1]  # FDG has twice the delay, unless shrunk
    assert max(ends, key=lambda name: ends[name][0]) == max(ends, key=lambda name: ends[name][1]) == "DNI, Adam"

    cosines, rates = rest.split("test error in % after")
    by_rate = {
        (name, rate): [float(c) for c in numbers.split()]
        for name, rate, numbers in re.findall(r"^(.+?) +at learning rate +(\S+) +(.*)$", cosines, re.M)
    }
    assert len(by_rate) == 5
    for (name, rate), by_module in by_rate.items():
        if name == "DNI, Adam":
            assert (
                max(map(abs, by_module[:2])) < 0.3 and by_module[3] == 1
            )  # next to nothing of it in the lower modules
            continue
        assert by_module == sorted(by_module)  # less in the lower modules
        assert name != "DDG" or by_module[3] == 1
        assert rate == "0.001" or all(a <= b for a, b in zip(by_module, by_rate[name, "0.001"], strict=True))
        if name != "DDG" and rate != "0.001":  # FDG's has less of it than DDG's
            assert all(a < b for a, b in zip(by_module, by_rate["DDG", rate], strict=True))

    bp, ddg, fdg, shrunk = (row(rates, name) for name in ("BP", "DDG", *FDG))
    for delayed in (ddg, fdg):
        assert delayed[0] - bp[0] < 5 and delayed[-1] - bp[-1] > 20  # near BP at the smallest rate, far at the largest
    assert shrunk[0] > fdg[0] and shrunk[0] > 2 * bp[0] and max(shrunk[2] - fdg[2], shrunk[3] - fdg[3]) < 0
