"""docs/papers.md, held: the tests, commands, options and functions that it names exist, and its table is right."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import minilocal as ml
from minilocal import cli, equations
from minilocal.array import Array
from minilocal.cli.train import parser as train
from minilocal.cli.train import sources_of
from minilocal.config import resolve

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "papers.md").read_text("utf-8")
CODE = sorted(set(re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", PAGE)))
TESTS = sorted(set(re.findall(r"tests/[\w/]+\.py(?:::\w+)?", PAGE)))
COMMANDS = [text for text in CODE if text.startswith("minilocal ")]
FLAGS = [text for text in CODE if text.startswith("--")]
PYTHON = [text for text in CODE if text.startswith("ml.")]
READINGS = [text for text in CODE if re.fullmatch(r'\w+="[\w+-]+"', text)]


def test_there_is_something_to_hold():
    assert len(TESTS) > 60 and len(COMMANDS) >= 5 and len(FLAGS) >= 10 and len(PYTHON) >= 20 and len(READINGS) >= 10
    assert [f"A{n}" for n in range(1, 20)] == re.findall(r"^### (A\d+)\. ", PAGE, re.M)


@cache
def functions(path: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", TESTS)
def test_every_test_that_it_names_is_there(name):
    path, _, function = name.partition("::")
    assert (ROOT / path).is_file() and (not function or function in functions(path))


@pytest.mark.parametrize("text", COMMANDS)
def test_every_command_parses(text):
    _, command, *words = text.split()
    assert command in cli.COMMANDS
    options = import_module(f"minilocal.cli.{command}").parser().parse(words)
    if command == "train":
        resolve(sources_of(options))
    for rule in getattr(options, "rule", None) or []:
        settings = dict(word.removeprefix("rule.").split("=") for word in options.set)
        ml.rules.get(rule, **settings)


@pytest.mark.parametrize("text", FLAGS)
def test_every_flag_is_taken_with_its_value(text):
    words = text.split()
    if len(words) == 1:
        assert words[0] in train().format_help()
        return
    network = "resnet110" if "star" in text else "resnet32"
    resolve(sources_of(train().parse([*words, "--net", network, "--epochs", "300"])))


@pytest.mark.parametrize("text", PYTHON)
def test_every_line_of_python_runs(text):
    eval(" ".join(text.split()), {"ml": ml})


@pytest.mark.parametrize("text", READINGS)
def test_every_reading_is_a_keyword_of_algorithm_1_or_of_a_rule(text):
    keyword, word = re.findall(r"[\w+-]+", text)
    if keyword not in inspect.signature(equations.algorithm_1).parameters:
        ml.rules.backlink(**{keyword: word})
        return
    rng = np.random.default_rng(0)
    layers: list[tuple[Array, Array]] = [(rng.standard_normal((3, 3)), np.zeros(3)) for _ in range(4)]
    heads: list[tuple[Array, Array]] = [(rng.standard_normal((3, 3)), np.zeros(3)) for _ in range(2)]
    modules = [2, 4] if keyword == "counts" else [2, 2]
    readings = {"modules": modules, "length": 1, "alpha": 0.5, "eta": 0.1, keyword: word}
    equations.algorithm_1(layers, heads, rng.standard_normal((3, 5)), np.zeros(5, int), **readings)


def test_every_keyword_of_algorithm_1_is_explained():
    for name, parameter in inspect.signature(equations.algorithm_1).parameters.items():
        if isinstance(parameter.default, str):
            assert f'`{name}="' in PAGE or f"`{name}=`" in PAGE, f"a reader asks what {name} is"


def test_its_functions_of_the_equations_are_there():
    rows = [line.split("|")[1:-1] for line in PAGE.splitlines() if re.match(r"\| .*\|.*\|.*\| `\w+` \|$", line)]
    assert len(rows) == 8
    assert all(callable(getattr(equations, row[-1].strip(" `"))) for row in rows)


UNITS = {"ResNet-32": 16, "ResNet-110": 55, "VGG16": 16, "AlexNet": 8}


def test_the_cells_in_which_the_readings_differ():
    """A module below the last and above the first has at most l units there."""
    part = PAGE[PAGE.index("The readings differ in 20") : PAGE.index("### A2.")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 8 and sum(int(cells[0]) for *_, cells in rows) == 20
    for network, K, l, units, _ in rows:
        sizes = ml.split.sizes(UNITS[network], int(K))
        assert sorted(set(sizes), reverse=True) == [int(n) for n in units.split(" and ")]
        assert min(sizes[1:-1]) <= int(l)


def test_what_this_repository_cites_is_in_it():
    """No page and no comment names a document that a reader cannot open, or a section of one."""
    if not ((ROOT / ".git").exists() and shutil.which("git")):
        pytest.skip("not a clone, or no git")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listed.stdout.splitlines() if name.endswith((".py", ".md", ".toml", ".ipynb"))]
    files = [path for path in files if path.is_file() and path != Path(__file__)]
    names = {Path(name).name for name in listed.stdout.splitlines()} | {"sampler.md"}  # of another repository, named so
    missing = []
    for path in files:
        text = path.read_text("utf-8")
        text = re.sub(r"https?://\S+", "", text)
        missing += [f"{path}: {m}" for m in re.findall(r"[\w-]+\.md\b", text) if m not in names]
        missing += [f"{path}: {m}" for m in re.findall(r"§\s*\d.*|not at hand|our reading", text)]
    assert not missing
