"""CONTRIBUTING.md, held: its files, commands and examples, the hooks, and what continuous integration runs."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import textwrap
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"^ *```python\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)]
WRITTEN = re.findall(r"^# ([\w/]+\.py)$", PAGE, re.MULTILINE)  # the files of the examples
FOLDERS = "minilocal|tests|docs|notebooks"
NAMED = sorted(set(re.findall(rf"(?:\.ci|\.github|{FOLDERS})/[\w/.-]*\w/?|\b[A-Z]+\.md", PAGE)))
COMMANDS = re.findall(r"(?:\.venv/bin/|`)minilocal ([a-z][^`\n]*)", PAGE)
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
HOOKS = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")


def test_there_is_something_to_hold():
    assert len(WRITTEN) == 4 and len(BLOCKS) == 8 and len(NAMED) > 20 and len(COMMANDS) >= 4


@pytest.mark.parametrize("name", NAMED)
def test_every_file_that_it_names_is_there_or_written_by_an_example(name):
    written = any(Path(name).with_suffix("") == Path(path).with_suffix("") for path in WRITTEN)
    assert (ROOT / name).exists() != written


@pytest.mark.parametrize("text", BLOCKS, ids=lambda text: text.splitlines()[0])
def test_every_example_is_python(text):
    try:
        ast.parse(text)
    except SyntaxError:
        ast.parse(f"x = [\n{text}]") if text.startswith("*") else ast.parse(f"x = {{\n{text}}}")  # a row of a table


@pytest.mark.parametrize("text", [text for text in BLOCKS if re.match(r"# [\w/]+\.py\n", text)])
def test_what_an_example_imports_is_there(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and f"{node.module}".replace(".", "/") + ".py" not in WRITTEN:
            module = importlib.import_module(f"{node.module}")
            assert all(hasattr(module, alias.name) or node.module == "minilocal" for alias in node.names)


@pytest.mark.parametrize("text", COMMANDS)
def test_every_command_is_one(text):
    name, *words = shlex.split(text)
    known = [word.replace("infolink", "backlink").replace("mine.py:NAME", "backlink") for word in words]
    if "--help" not in words:
        importlib.import_module(f"minilocal.cli.{name}").parser().parse(known)


def test_integration_runs_the_oldest_python_and_what_contributors_run():
    (versions,) = re.findall(r"python: \[(.*)\]", WORKFLOW)
    oldest, *newer = re.findall(r'"3\.(\d+)"', versions)
    assert PROJECT["requires-python"] == f">=3.{oldest}" and int(newer[-1]) > int(oldest)
    assert re.search(r"run: \.ci/run$", WORKFLOW, re.MULTILINE)
    assert (ROOT / ".ci" / "run").read_text().endswith("make lint test\n")


def test_the_hooks_run_tools_that_make_lint_installs():
    tools = re.findall(r"entry: \.venv/bin/(\w+)", HOOKS)
    installed = {
        re.split(r"[^\w-]", need)[0] for extra in ("lint", "test") for need in PROJECT["optional-dependencies"][extra]
    }
    assert tools == ["ruff", "ruff", "mypy", "python"] and {"ruff", "mypy", "pytest", "pre-commit"} <= installed
    (path,) = re.findall(r"python -m pytest .* (\S+)$", HOOKS, re.MULTILINE)
    assert (ROOT / path).is_file()


def test_a_bug_report_asks_for_doctor():
    form = (ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text("utf-8")
    assert "minilocal doctor" in form and "config.json" in form
