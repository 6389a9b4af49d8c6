"""What a user meets at the prompt: completion, help, and examples that run as they stand."""

from __future__ import annotations

import doctest
import importlib

import pytest

import minilocal as ml

EXAMPLES = ["minilocal", "minilocal.verify.differences"]


def test_completion_shows_what_is_there_and_nothing_else():
    seen = {name for name in dir(ml) if not name.startswith("__")}
    assert seen == set(ml.__all__)
    assert {"draw", "train", "config", "record", "measure", "verify", "load"} <= seen
    assert all(getattr(ml, name) is not None for name in seen)


@pytest.mark.parametrize("part", ["rules", "nets", "optim", "wants", "crosses", "layers", "verify"])
def test_completion_in_a_part_of_the_package(part):
    module = getattr(ml, part)
    seen = {name for name in dir(module) if not name.startswith("_")}
    assert seen == set(module.__all__) and not seen & {"Any", "annotations", "inspect", "importlib", "dataclass"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run_as_they_stand(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted and not found.failed
