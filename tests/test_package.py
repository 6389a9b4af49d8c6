"""What a user meets at the prompt: completion, help, and examples that run as they stand."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import minilocal as ml
from minilocal.rules.option_docs import args

PACKAGE = Path(ml.__file__).parent
EXAMPLES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.glob("**/*.py")
    if re.search(r"^ *>>> ", path.read_text("utf-8"), re.MULTILINE)
)


def test_completion_shows_what_is_there_and_nothing_else():
    seen = {name for name in dir(ml) if not name.startswith("__")}
    assert seen == set(ml.__all__)
    assert {"draw", "train", "config", "record", "memory", "locality", "verify", "load"} <= seen
    assert all(getattr(ml, name) is not None for name in seen)


PARTS = [
    "rules", "nets", "optim", "objectives", "boundaries", "layers", "ops", "verify", "data", "draw", "train", "config",
    "record", "memory", "locality", "when", "bench", "losses", "interop", "equations", "costs",
    "parallel", "report", "sweep", "teach", "convergence",
]  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_completion_in_a_part_of_the_package(part):
    module = getattr(ml, part)
    seen = {name for name in dir(module) if not name.startswith("_")}
    assert seen == set(module.__all__) and not seen & {"Any", "annotations", "inspect", "importlib", "dataclass"}


def test_there_are_examples():
    assert {"minilocal", "minilocal.learner", "minilocal.draw.step_through"} <= set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run_as_they_stand(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted and not results.failed


PUBLIC = [ml.rules.compose, ml.nets.mlp, ml.nets.resnet, *(getattr(ml.rules, name) for name in ml.rules.NAMES)]


@pytest.mark.parametrize("make", PUBLIC, ids=lambda make: make.__name__)
def test_every_parameter_is_named_in_help(make):
    assert list(args(inspect.getdoc(make) or "")) == list(inspect.signature(make).parameters)


@pytest.mark.parametrize("make", [ml.boundaries.link], ids=["link"])
def test_every_option_of_a_boundary_is_in_its_help(make):
    assert all(f"`{name}`" in (inspect.getdoc(make) or "") for name in inspect.signature(make).parameters)
