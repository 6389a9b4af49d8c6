"""Lesson 8: the source that it shows, and that what it says of its runs is what they gave."""

from __future__ import annotations

import inspect
import re

import pytest

import minilocal as ml
from tests.helpers.lessons import printed, prose, row

NAME = "08_objectives"
SHOWN = [
    ml.objectives.Branches.forward, ml.objectives.Branches.backward, ml.losses.similarity,
    ml.losses.binary_cross_entropy, ml.objectives.infopro.weights, inspect.getmodule(ml.rules.pgl),
]  # fmt: skip


@pytest.mark.parametrize("thing", SHOWN, ids=lambda thing: thing.__name__)
def test_the_source_that_it_shows_is_the_source_that_is_there(thing):
    assert inspect.getsource(thing).strip() in printed(NAME), f"execute {NAME} again: {thing.__name__} has changed"


def test_what_it_says_of_its_runs_is_what_they_gave():
    _, after = printed(NAME).split("mean, and least to largest of 3 seeds")
    errors, after = after.split("one image is")
    bands = {name: row(errors, name) for name in ("BP", "GLL", "DGL", "PredSim", "InfoPro", "PGL")}
    means = {name: band[0] for name, band in bands.items()}
    assert min(means, key=means.__getitem__) == "BP"  # all local rules end above BP on the mean,
    assert max(means, key=means.__getitem__) == "GLL"  # and the others below GLL
    overlapping = [bands[name] for name in ("GLL", "DGL", "PredSim", "InfoPro")]
    assert max(least for _, least, _ in overlapping) <= min(largest for _, _, largest in overlapping)

    by_module = after.split("the network has")[0]
    for name in ("DGL", "PredSim"):
        of_modules = row(by_module, name)
        assert abs(of_modules[0] - of_modules[-1]) < 2  # as little behind module 1 as behind the last one
    gll = row(by_module, "GLL")
    assert gll == sorted(gll, reverse=True)  # each module errs less than the one below it

    costs = after.split("the network has")[1]
    megabytes = {
        name: [float(n) for n in re.findall(rf"^{name} .*?(\d+\.\d+) +(\d+\.\d+) +(\d+\.\d+)$", costs, re.M)[0]]
        for name in bands
    }
    local, guided, average = megabytes.pop("PGL")
    (bp, *_) = megabytes.pop("BP")
    assert guided == bp and local < average < bp  # PGL's global steps take BP's bytes, and only its average is less
    assert max(map(max, megabytes.values())) < bp  # PGL alone


def test_what_it_says_of_reconstructions_is_what_they_gave():
    distances = printed(NAME).split("distance from the image in %")[1]
    of_rules = {name: row(distances, name)[:3] for name in ("BP", "GLL", "InfoPro")}
    assert all(modules == sorted(modules) for modules in of_rules.values())  # harder from module to module
    first, _, third = zip(*of_rules.values(), strict=True)
    assert max(first) - min(first) < 0.5  # behind module 1 they differ by less than half a point
    assert max(third) == of_rules["GLL"][2] and min(third) == of_rules["InfoPro"][2]
    assert f"{min(third)} % off" in prose(NAME).replace("\n", " ") and f"{max(third)} %" in prose(NAME)


def test_modules_without_labels_lose_about_an_image():
    text = printed(NAME)
    table = text.split("least to largest")[1].split("one image is")[0]
    for name, other in (("InfoPro", "InfoPro, λ2 = 0"), ("PredSim", "PredSim, β = 1")):
        assert row(text, other)[-1] - row(table, name)[0] < 1.2 * 100 / 360
