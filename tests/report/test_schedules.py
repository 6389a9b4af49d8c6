"""The Gantt figure of a report: simulated from the configuration, one a panel, and what it leaves out is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minilocal import UserError, draw
from minilocal.report import build
from minilocal.report import gantt as of_schedules
from minilocal.report.document import Picture
from tests.helpers.written_run import write_run

NET: dict[str, Any] = {"net__name": "resnet8", "net__modules": 4}


def schedules(folder: Path) -> list[Picture]:
    return [p for p in build(folder).document.pictures if p.name.startswith("schedule")]


def test_rules_that_lock_stand_beside_those_that_do_not(tmp_path):
    for rule in ("bp", "gll", "backlink", "fdg"):
        write_run(tmp_path / rule, [20, 10], rule__name=rule, **NET)
    (one,) = schedules(tmp_path)
    assert one.name == "schedule-resnet8-digits"
    assert "simulated, not measured" in one.caption and "50·10⁹ a second" in one.caption and "2.7 GB/s" in one.caption
    steps = {part.split(" ")[0].rstrip(","): part for part in one.figure.alt.partition("works: ")[2].split("; ")}
    share = {rule: int(part.rstrip(".").rpartition(" ")[2].rstrip("%")) for rule, part in steps.items()}
    assert list(share) == ["BP", "GLL", "BackLink", "FDG"] and 2 * share["BP"] < share["GLL"]
    assert share["BP"] <= 25 + 1  # four devices, one at a time
    (axes,) = one.figure.axes
    assert len(axes.get_yticklabels()) == 4 and not any(text.get_visible() for text in axes.texts)
    (same,) = schedules(tmp_path)
    assert draw.to_svg(one.figure) == draw.to_svg(same.figure)


def test_a_learning_rate_makes_no_schedule_and_every_rule_comes_before_a_second_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(of_schedules, "MOST_RULES", 3)
    write_run(tmp_path / "gll", [20, 10], rule__name="gll", **NET)
    write_run(tmp_path / "gll2", [20, 10], rule__name="gll", optim__lr=0.2, **NET)
    for length in (1, 2):
        write_run(tmp_path / f"{length}", [20, 10], rule__name="backlink", rule__length=length, **NET)
    write_run(tmp_path / "pgl", [20, 10], rule__name="pgl", **NET)
    (one,) = schedules(tmp_path)
    shown = one.figure.alt.partition("works: ")[2].split("; ")
    assert [name.partition(",")[0] for name in shown] == ["GLL", "BackLink", "PGL"] and "(local epochs)" in shown[2]
    assert one.caption.endswith("BackLink, l = 2, lr = 0.1 is left out, for want of room.")


def test_a_rule_that_cannot_be_simulated_is_named(tmp_path, monkeypatch):
    simulated = of_schedules._simulated

    def refused(group):
        if group.rule == "GLL":
            raise UserError("no schedule is known.")
        return simulated(group)

    for rule in ("bp", "gll"):
        write_run(tmp_path / rule, [20, 10], rule__name=rule, **NET)
    monkeypatch.setattr(of_schedules, "_simulated", refused)
    (one,) = schedules(tmp_path)
    assert one.caption.endswith("GLL cannot be simulated: no schedule is known.") and "GLL" not in one.figure.alt


@pytest.mark.parametrize("rules", [["bp"], ["gll", "bp"]])
def test_one_module_has_no_schedule(rules, tmp_path):
    for rule in rules:
        write_run(tmp_path / rule, [20, 10], rule__name=rule, net__name="resnet8", net__modules=1)
    assert not schedules(tmp_path)
