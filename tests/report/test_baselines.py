"""A report's memory: BP, checkpointed and accumulated, beside the rules, and PGL's average over a period."""

from __future__ import annotations

import csv
import warnings
from typing import Any

import pytest

from minilocal import rules
from minilocal.memory import CPU, estimate, over_period
from minilocal.report import Report, build
from minilocal.report.document import Table
from minilocal.train import build as build_run
from tests.helpers.small_run import configuration
from tests.helpers.written_run import write_run

NET: dict[str, Any] = {"net__name": "resnet8", "net__modules": 4, "optim__batch_size": 32}
CHECKPOINTED, ACCUMULATED = "BP, checkpointed (baseline)", "BP, accumulated (baseline)"


def memory_of(report: Report) -> dict[str, dict[str, str]]:
    tables = [part for section in report.document.sections for part in section.parts if isinstance(part, Table)]
    (table,) = [table for table in tables if "of BP" in table.rows[0]]
    return {row["runs"]: dict(row) for row in table.rows}


def peak(rule: Any, **options: Any) -> float:
    """MB, on the two threads of a written run."""
    _, learner = build_run(configuration(None, net__name="resnet8"))
    return estimate(learner.net, rule, 4, 32, optimizer=learner.optimizer, machine=CPU(2), **options).step / 1e6


def test_three_baselines_stand_before_the_rules_with_the_numbers_of_their_estimates(tmp_path):
    write_run(tmp_path / "gll", [20, 10], rule__name="gll", **NET)
    report = build(tmp_path, tmp_path / "out")
    rows = memory_of(report)
    assert list(rows) == ["BP (baseline)", CHECKPOINTED, ACCUMULATED, "GLL"]
    expected = [rules.bp(), rules.bp(keep="inputs"), rules.bp(accumulate=4), rules.gll()]
    for row, rule in zip(rows.values(), expected, strict=True):
        assert row["memory (MB)"] == f"{peak(rule):.3g}" and row["of BP"] == f"{peak(rule) / peak(rules.bp()):.2f}"
    (bars,) = [p for p in report.document.pictures if p.name.startswith("memory")]
    assert "Baselines are no runs." in bars.caption
    assert all(f"{name} {row['memory (MB)']}" in bars.figure.alt for name, row in rows.items())
    report.write(["csv"])
    written = list(csv.DictReader((tmp_path / "out/memory.csv").open(encoding="utf-8")))
    assert [(row["runs"], row["is_run"]) for row in written][2:] == [(ACCUMULATED, "False"), ("GLL", "True")]
    assert float(written[0]["estimated_step_mb"]) == peak(rules.bp())


def test_a_run_of_a_baseline_stands_for_it(tmp_path):
    write_run(tmp_path / "bp", [20, 10], rule__name="bp", **NET)
    write_run(tmp_path / "inputs", [20, 10], rule__name="bp", rule__keep="inputs", **NET)
    assert list(memory_of(build(tmp_path))) == [ACCUMULATED, "BP, keep = caches", "BP, keep = inputs"]


def test_bp_without_modules_stands_for_it_too(tmp_path):
    write_run(tmp_path / "bp", [20, 10], rule__name="bp", **{**NET, "net__modules": 1})
    write_run(tmp_path / "gll", [20, 10], rule__name="gll", **NET)
    rows = list(memory_of(build(tmp_path)))
    assert "BP (baseline)" not in rows and rows[-2:] == ["BP, K = 1", "GLL, K = 4"] and len(rows) == 4


def test_each_number_of_modules_and_each_batch_has_its_own(tmp_path):
    write_run(tmp_path / "2", [20, 10], rule__name="gll", **{**NET, "net__modules": 2})
    write_run(tmp_path / "4", [20, 10], rule__name="gll", **NET)
    rows = list(memory_of(build(tmp_path)))
    assert rows[:3] == ["BP (baseline)", *(f"BP, {kind}, K = 2 (baseline)" for kind in ("checkpointed", "accumulated"))]
    assert len(rows) == 1 + 2 * 2 + 2
    write_run(tmp_path / "64", [20, 10], rule__name="gll", **{**NET, "optim__batch_size": 64})
    assert {"BP, batch = 32 (baseline)", "BP, batch = 64 (baseline)"} < set(memory_of(build(tmp_path)))


@pytest.mark.parametrize("epochs, averaged", [(20, True), (8, False)])
def test_pgl_has_its_average_over_a_period(tmp_path, epochs, averaged):
    """After 8 epochs no global one has come."""
    write_run(tmp_path / "pgl", [20, 10], rule__name="pgl", optim__epochs=epochs, **NET)
    row = memory_of(build(tmp_path))["PGL, unfinished"]
    with warnings.catch_warnings(action="ignore"):
        _, learner = build_run(configuration(None, net__name="resnet8"))
        period = over_period(learner.net, rules.pgl(), 4, 32, optimizer=learner.optimizer, machine=CPU(2))
    assert period.average() == pytest.approx(0.2 * period.guided.step + 0.8 * period.local.step)
    assert ("average over a period (MB)" in row) == averaged
    if averaged:
        assert row["average over a period (MB)"] == f"{period.average() / 1e6:.3g}"
        assert row["memory (MB)"] == f"{period.guided.step / 1e6:.3g}" and row["of BP"] == "1.00"
    else:
        assert row["memory (MB)"] == f"{period.local.step / 1e6:.3g}"


def test_what_cannot_be_estimated_has_no_row_and_one_remark(tmp_path):
    write_run(tmp_path / "gll", [20, 10], rule__name="gll", environment={}, data__name="npz:mine.npz", **NET)
    report = build(tmp_path)
    assert not any(p.name.startswith(("memory", "schedule")) for p in report.document.pictures)
    assert len([line for line in report.left_out if "memory" in line]) == 1


def test_bp_on_the_same_network_stands_before_a_rule_with_contexts(tmp_path):
    """Contexts stay in the network that is tested: its size is shown, and BP's on it."""
    write_run(tmp_path / "contsup", [20, 10], rule__name="contsup", rule__context="R1E", **NET)
    rows = memory_of(build(tmp_path, tmp_path / "out"))
    assert list(rows) == ["BP (baseline)", CHECKPOINTED, ACCUMULATED, "BP, contexts R1E (baseline)", "ContSup"]
    both = rules.bp(context="R1E"), rules.contsup(context="R1E")
    for name, rule in zip(list(rows)[3:], both, strict=True):
        assert rows[name]["memory (MB)"] == f"{peak(rule):.3g}"
    sizes = [int(row["tested: parameters"].replace(",", "")) for row in rows.values()]
    assert len(set(sizes[:3])) == 1 and sizes[3] == sizes[4] > sizes[0]
