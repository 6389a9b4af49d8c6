"""Lesson 7: it shows the source that is there, and says of σ, ratios and cosines what was measured."""

from __future__ import annotations

import inspect
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from minilocal import convergence
from tests.helpers.lessons import code, printed, row

NAME = "07_descent"
LOCAL = ("GLL", "BackLink, l = 1", "BackLink, l = 2")


@pytest.mark.parametrize("shown", [convergence.Agreement, convergence.over])
def test_the_source_that_it_shows_is_the_source_that_is_there(shown: Any) -> None:
    assert inspect.getsource(shown).strip() in printed(NAME), f"make lesson NAME={NAME}: {shown} has changed"


def alt(title: str) -> str:
    """What the figure of this title says of itself."""
    outputs = [output for cell in code(NAME) for output in cell.outputs]
    alts = [output.metadata["image/png"]["alt"] for output in outputs if "image/png" in output.get("data", {})]
    (text,) = (text for text in alts if text.startswith(title))
    return str(text)


def test_what_it_says_of_sigma_is_what_was_measured() -> None:
    ends = dict(re.findall(r"(GLL|BackLink, l = \d|FDG) ([\d.]+ to [\d.]+)", alt("σ of (9)")))
    for name in LOCAL:  # from more than a half to less
        first, last = map(float, ends[name].split(" to "))
        assert last < 0.5 < first
    table = printed(NAME).split("test error (%)")[1]
    numbers = {name: row(table, name) for name in ("BP", *LOCAL, "FDG")}
    assert all(n[0] > 0 and n[1] < 1.2 for n in numbers.values())  # (9) held, and (10) with a σ_g near 1
    sigma, cosine, error = ({name: n[column] for name, n in numbers.items()} for column in (2, 4, 5))
    gll, one, two = LOCAL
    assert sigma[one] > sigma[two] and error[one] > error[two]
    assert sigma["FDG"] > 0.9 and error["FDG"] == max(error.values())
    assert cosine[gll] < cosine[one] < cosine[two] and error[gll] > error[one] > error[two]


def test_what_it_says_of_modules_is_what_was_measured() -> None:
    text = printed(NAME).split("test error (%)")[1].split("module 2, l = 4")[0]
    cosines = [[float(n) for n in re.findall(rf"^{name} +(\d\.\d+ +\d\.\d+ +\d\.\d+)$", text, re.M)[0].split()]
               for name in LOCAL]  # fmt: skip
    assert all(of_rule[0] < of_rule[1] < of_rule[2] == 1 for of_rule in cosines)
    assert all(nearer[k] > farther[k] for farther, nearer in pairwise(cosines) for k in (0, 1))


def test_what_it_says_of_links_is_what_was_measured() -> None:
    rows = re.findall(r"module (\d), l = (\d) ([\d. -]+?)[;.]?(?=;|$| module)", alt("What a link does") + ";")
    table = {(int(k), int(length)): [float(n) for n in text.rstrip(".").split()] for k, length, text in rows}
    assert len(table) == 8
    for k, first in ((1, 1), (2, 3)):
        of_module = np.array([table[k, length] for length in (1, 2, 3, 4)])
        assert (np.diff(of_module, axis=1) > 0).all()  # to the right, both come nearer
        assert (np.diff(of_module[:, first:], axis=0) > 0).all()  # and further down, in these columns
    at_075 = [table[2, length][1] for length in (1, 2, 3, 4)]
    assert max(at_075) - min(at_075) < 0.1  # with α = 0.75 the length hardly matters
    assert table[2, 4][-1] == 1
