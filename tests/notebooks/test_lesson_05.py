"""Lesson 5: it shows the source that is there, and says of its bytes what they are."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from minilocal.engine import Module, SynchronousEngine
from minilocal.layers import BatchNorm, Linear, ReLU
from tests.helpers.lessons import printed

NAME = "05_memory"


@pytest.mark.parametrize(
    "shown", [Linear.forward, ReLU.forward, BatchNorm.forward, SynchronousEngine.step, Module.backward]
)
def test_the_source_that_it_shows_is_the_source_that_is_there(shown: Any) -> None:
    assert inspect.getsource(shown).strip() in printed(NAME), f"make lesson NAME={NAME}: {shown} has changed"


def shares(text: str, name: str) -> list[float]:
    """The percentages of BP by K in the table below Fig. 7."""
    table = text.split("% of BP's")[1].split("weights")[0]
    (line,) = re.findall(rf"^{re.escape(name)}  (.*)$", table, re.M)
    return [float(n) for n in re.findall(r"(\d+)%", line)]


def test_what_it_says_of_figure_7_is_what_was_estimated() -> None:
    text = printed(NAME)
    checkpointed, accumulated, gll, one, four, inputs = (
        shares(text, name)
        for name in (
            "BP, checkpointed", "BP, accumulated", "GLL", "BackLink, l = 1", "BackLink, l = 4",
            "BackLink, l = 4, inputs kept",
        )
    )  # fmt: skip
    assert len(gll) == 4 and gll[-1] > 2 * 100 / 16  # far more than a sixteenth
    for others in (gll, one):  # checkpointed BP is a few points away from both
        assert max(abs(a - b) for a, b in zip(checkpointed, others, strict=True)) <= 4
    assert all(a == min(column) for a, *column in zip(accumulated, accumulated, gll, one, checkpointed, strict=True))
    assert four[2] > one[2] > gll[2] and inputs[2] <= gll[2] + 2
    assert len(four) == 3  # a link of 4 is too long at K = 16


def test_its_savings_are_the_paper_s_and_its_overhead_is_that_of_kept_inputs() -> None:
    text = printed(NAME)
    rows = dict(re.findall(r"^(.*?(?:than BP|than GLL)) +(\d.*)$", text, re.M))
    numbers = {name: [int(n) for n in re.findall(r"(\d+) %", row)] for name, row in rows.items()}
    for name in ("GLL, less than BP", "BackLink, l = 1, less than BP"):
        printed_there, estimated = numbers[name]
        assert abs(printed_there - estimated) <= 3
    (paper, caches), (inputs,) = (
        numbers[name] for name in ("BackLink, more than GLL", "BackLink, l = 4, inputs kept, more than GLL")
    )
    assert caches > 2 * paper and inputs <= paper


def test_what_it_says_of_work_is_what_was_counted() -> None:
    lines = re.findall(r"^(.*?) +memory +(\d+) % +multiply-adds × ([\d.]+)$", printed(NAME), re.M)
    work = {name: float(n) for name, _, n in lines}
    assert 1.25 < work["BP, checkpointed"] < 1.34  # about a third more
    assert work["BP"] == work["BP, accumulated"] == work["GLL"] == 1 < work["BackLink, l = 1"]
    assert work["BackLink, l = 1"] < work["BackLink, l = 1, inputs kept"]
