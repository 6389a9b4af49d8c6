"""The short form of the part `supply`; and each of its checks seen to fail."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest

from minilocal.private import why_not_private
from tests.faults.supply import audit, bounds, caches, lock, oldest, packages, repositories, workflows
from tests.faults.supply.checks import faults
from tests.faults.supply.commands import COMMANDS, ROOT, SHORT, environment, folder, watched
from tests.faults.supply.defects import DEFECTS
from tests.faults.supply.part import without_care

EVERYTHING = ("test", "lint", "notebooks", "docs", "fast", "mpi", "svhn", "pictures", "verify")


@pytest.mark.parametrize("name", SHORT)
def test_a_command_writes_where_it_should_and_calls_nobody(name):
    umask = 0o077 if name == "sweep" else 0o002
    with folder() as top:
        seen = watched(top, COMMANDS[name], umask=umask)
        assert seen.events and not faults(seen, umask)


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_noticed(defect):
    with folder() as top:
        command = COMMANDS["data --sheet" if defect == "loosened" else "data"]
        assert faults(watched(top, command, defect=defect), 0o022)


def test_importing_the_package_does_nothing(tmp_path):
    code = "import minilocal; minilocal.rules.backlink()"
    with folder() as top:
        subprocess.run([sys.executable, "-c", code], env=environment(top), cwd=top / "work", check=True)
        assert not (top / "seen").read_text() and not any(p.is_file() for p in (top / "home").rglob("*"))


def test_folders_of_compiled_code_are_judged_as_by_openssh():
    tried, wrong = caches.faults(why_not_private)
    assert tried >= 10 and not wrong
    assert len(caches.faults(lambda place: "")[1]) == tried - len(caches.GOOD)  # each bad one is noticed
    assert len(caches.faults(lambda place: "never")[1]) == len(caches.GOOD)


def test_git_runs_no_program_of_a_repository_and_tells_of_no_other():
    assert not repositories.faults()
    assert len(without_care()) >= 3


def test_a_checkout_that_is_damaged_or_anothers_is_not_told_of():
    assert not repositories.refused()


def test_the_lock_file_is_for_every_system_and_has_no_address():
    text = lock.FILE.read_text("utf-8")
    assert not list(lock.faults(text))
    assert not re.search(r"https?:|file:|^-|--index|@", text, re.MULTILINE)


def test_a_lock_file_that_does_not_satisfy_pyproject_is_noticed():
    text = lock.FILE.read_text("utf-8")
    older = re.sub(r"^msgspec==.*? ", "msgspec==0.18.0 ", text, flags=re.MULTILINE)
    assert list(lock.faults(older)) and all("msgspec 0.18.0 is not >=0.19" in fault for fault in lock.faults(older))
    gone = re.sub(r"^tqdm==.*\n( +--hash.*\n)+", "", text, flags=re.MULTILINE)
    assert "tqdm is missing on linux, Python 3.11" in lock.faults(gone)
    with pytest.raises(ValueError, match="not a package with its hashes: 'tqdm=="):
        lock.pinned(re.sub(r"^(tqdm==\S+).*\n( +--hash.*\n)+", r"\1\n", text, flags=re.MULTILINE))


def test_every_dependency_has_a_lower_bound_and_an_extra_the_same_as_the_tests():
    without = {r.name for r in bounds.requirements(*EVERYTHING) if not r.oldest}
    assert without == {"mpich", "jupyter"}  # of these two any will do: a launcher, and a list of other packages
    oldest_of: dict[str, set[str | None]] = {}
    for each in bounds.requirements(*EVERYTHING):
        oldest_of.setdefault(each.name, set()).add(each.oldest)
    assert {name: versions for name, versions in oldest_of.items() if len(versions) > 1} == {}
    assert bounds.constraints()[0] == "matplotlib==3.10"
    assert all((ROOT / test).exists() for test in oldest.TESTS)


def test_a_requirement_that_is_more_than_bounds_is_not_read():
    with pytest.raises(ValueError, match="not read here"):
        bounds.requirement("numpy>=2; python_version < '3.12'")


@pytest.mark.skipif(not find_spec("hatchling"), reason="hatchling is not installed")
def test_builds_have_the_files_that_git_knows_and_are_the_same_bytes():
    assert packages.faults()[1] == []


def test_a_file_too_much_or_too_few_in_a_build_is_noticed():
    assert packages.differences("the wheel", {"a", "b"}, {"b", "c"}) == ["the wheel has a", "the wheel lacks c"]


def test_the_workflows_are_pinned_and_may_only_read():
    tried, wrong = workflows.all_faults()
    assert tried and not wrong


@pytest.mark.parametrize(
    "before, after, fault",
    [
        (r"@[0-9a-f]{40}", "@v4", "not pinned"),
        (r" # v\S+", "", "does not say its version"),
        ("contents: read", "contents: write", "permissions"),
        (r"run: \.ci/run", "run: echo ${{ github.head_ref }}", "in a shell"),
        (r"run: \.ci/run", "run: |\n          echo ${{ matrix.os }}", "in a shell"),
        ("pull_request:", "pull_request_target:", "pull_request_target is used"),
        ("persist-credentials: false", "fetch-tags: true", "leaves its token"),
    ],
)
def test_what_is_wrong_with_a_workflow_is_noticed(before, after, fault):
    text = (workflows.FOLDER / "ci.yml").read_text("utf-8")
    assert any(fault in one for one in workflows.faults(re.sub(before, after, text, count=1)))


def test_a_package_that_the_service_does_not_know_has_not_passed():
    skipped: dict[str, Any] = {"name": "numpy", "skip_reason": "not found"}
    known: dict[str, Any] = {"name": "tqdm", "version": "4", "vulns": [{"id": "PYSEC-1"}]}
    assert audit.answer([skipped]) == audit.Answer(0, [], "the service knew nothing of 1 of 1 packages")
    both = audit.answer([skipped, known])
    assert (both.asked, both.known_faults) == (1, ["tqdm 4: PYSEC-1"]) and both.not_asked
