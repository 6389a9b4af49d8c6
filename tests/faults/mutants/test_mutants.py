"""Mutants in small: one that a test kills, one that no test sees, one without end, and the file that grows."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.faults.mutants import run
from tests.faults.mutants.bound import lower_bound, percent
from tests.faults.mutants.table import OWN, ROOT, modules, part_of

needs_cosmic_ray = pytest.mark.skipif("not __import__('importlib.util').util.find_spec('cosmic_ray')")


@pytest.mark.parametrize(
    ("held", "tried", "bound"),
    [(300, 300, 0.05 ** (1 / 300)), (0, 9, 0.0), (1, 1, 0.05), (1, 2, 1 - 0.95**0.5)],
)
def test_the_bound_is_where_so_many_or_more_are_1_in_20(held, tried, bound):
    assert lower_bound(held, tried) == pytest.approx(bound, rel=1e-9)


def test_a_bound_is_rounded_down():
    assert percent(0.98999) == "98.9 %" and percent(1) == "100.0 %"


def test_every_module_of_the_parts_is_there_and_belongs_to_its_part():
    for part in OWN:
        assert modules(part) and {part_of(module) for module in modules(part)} == {part}


def test_a_file_that_was_cut_short_is_read_and_a_later_verdict_stands(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "VERDICTS", tmp_path / "verdicts.jsonl")
    lines = [{"key": "a", "end": "survived"}, {"key": "b", "end": "killed"}, {"key": "a", "end": "killed"}]
    run.VERDICTS.write_text("\n".join(map(json.dumps, lines)) + '\n{"key": "c", "en')
    first, last = run.first_and_last()
    assert {key: verdict["end"] for key, verdict in first.items()} == {"a": "survived", "b": "killed"}
    assert {key: verdict["end"] for key, verdict in last.items()} == {"a": "killed", "b": "killed"}


@needs_cosmic_ray
def test_the_sample_is_the_same_each_time_and_begins_as_a_smaller_one_does():
    from tests.faults.mutants.places import changes
    from tests.faults.mutants.sample import sample_part

    five = sample_part("losses", 5)
    assert five == sample_part("losses", 8)[:5] and len({(m.line, m.column) for m in five}) == 5
    assert all(changes((ROOT / m.module).read_text(), m) for m in five)
    assert five != sample_part("losses", 5, seed=0)


@needs_cosmic_ray
def test_no_mutant_is_of_an_annotation_or_of_a_type_that_cannot_be():
    from tests.faults.mutants.places import changes, mutants, plausible

    source = "from __future__ import annotations\n"
    source += "def f(a: int | None = 1, *, b: int | None) -> int | None:\n    return a - 2\n"
    all_of_them = [m for m in mutants("m.py", source) if changes(source, m)]
    assert {(m.line, m.operator.partition("_")[0]) for m in all_of_them} == {
        (2, "NumberReplacer"), (3, "NumberReplacer"), (3, "ReplaceBinaryOperator"),
    }  # fmt: skip
    assert not plausible("core/ReplaceBinaryOperator_Add_RShift") and plausible("core/ReplaceBinaryOperator_Add_Sub")
    assert not plausible("core/ReplaceComparisonOperator_Eq_Is") and plausible("core/AddNot")


TRIAL = """
import shutil, tempfile
from pathlib import Path
from tests.faults.mutants.checkout import copy_of_the_repository
from tests.faults.mutants.covering import Covering
from tests.faults.mutants.places import mutants
from tests.faults.mutants.table import ROOT
from tests.faults.mutants.trial import run
from tests.faults.mutants.warm import in_a_fork

def endless():
    while True: pass

module, by_hand = "minilocal/losses.py", "tests/losses/test_losses.py::test_squared_error_of_a_pair_by_hand"
blind = "tests/losses/test_losses.py::test_cross_entropy_of_a_pair_by_hand"
source = (ROOT / module).read_text()
mutant = next(m for m in mutants(module, source) if "(0.5 / N)" in source.splitlines()[m.line - 1])
folder, scratch = copy_of_the_repository(), Path(tempfile.mkdtemp())
try:
    for test in by_hand, blind:
        print(run(mutant, Covering({test: 0.1}, {(module, mutant.line): {test}}), folder, scratch).end)
    print((folder / module).read_text() == source == (ROOT / module).read_text())
    print(in_a_fork(folder, endless, 0.1, scratch / "log").status)
finally:
    shutil.rmtree(folder)
    shutil.rmtree(scratch)
"""


@needs_cosmic_ray
def test_a_mutant_is_killed_by_a_test_that_sees_it_and_survives_one_that_does_not():
    """In a process of its own: this one may have threads of JAX's, which a fork does not take along."""
    ended = subprocess.run([sys.executable, "-c", TRIAL], cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout.split() == ["killed", "survived", "True", "None"], ended.stderr
