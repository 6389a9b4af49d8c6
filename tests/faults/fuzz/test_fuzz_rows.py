"""The rows of `make fuzz`: a reader has one, it holds for the reader's code, and what is there is not tried again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.faults.fuzz import part, rows
from tests.faults.readers.table import ALL, READERS

COSTS, LOCK = READERS["costs"], READERS["lock"]
ROW = rows.Row("costs", rows.code_of(COSTS), 1, 10.0, "2026-11-28", 90, 30, 4, ())


@pytest.fixture(autouse=True)
def file_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "ROWS", tmp_path / "trust/fuzz.jsonl")
    return rows.ROWS


def test_a_row_holds_for_its_code_alone_the_last_one_counts_and_a_cut_line_is_left_out(file_of_rows):
    assert rows.read([COSTS]) == {}
    later, of_other_code = replace(ROW, inputs=91), replace(ROW, reader="lock", code="0" * 16)
    for row in ROW, later, of_other_code:
        rows.append(row)
    with file_of_rows.open("a") as file:
        file.write('{"reader": "lo')
    assert rows.read([COSTS, LOCK]) == {"costs": later}


def test_each_reader_has_code_and_two_that_share_no_module_differ():
    codes = {name: rows.code_of(reader) for name, reader in ALL.items()}
    assert len(codes) == len(ALL) and codes["costs"] != codes["lock"]


def test_what_has_a_row_is_not_tried_again_and_none_begins_too_late(monkeypatch, file_of_rows):
    monkeypatch.setattr(part, "READERS", {"costs": COSTS})
    assert part.run(0).figures[0].tried == 0 and not file_of_rows.exists()  # too late
    rows.append(ROW)
    measured = part.run(1)
    assert measured.figures[0].tried == 90 and measured.holds
    assert len(file_of_rows.read_text().splitlines()) == 1


def test_a_finding_is_a_failure_of_the_section_and_fewer_minutes_are_not_shown(file_of_rows):
    rows.append(replace(ROW, findings=("costs, seed 1, input 7: it hung",)))
    assert part.measured().failures == ["costs, seed 1, input 7: it hung"] and not part.measured().holds
    rows.append(replace(ROW, minutes=1.0))
    assert "costs" not in part.measured().text


def test_a_row_is_measured_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(part, "EACH", 0.01)
    row = part._row("costs", float("inf"))
    assert row is not None and row.inputs > 0 and row.findings == () and json.dumps(row.code)
