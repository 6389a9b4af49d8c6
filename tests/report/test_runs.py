"""Reading run folders for a report: damage is named in one line, and the rest is reported."""

from __future__ import annotations

import json

import numpy as np
import pytest

from minilocal import UserError
from minilocal.report.runs import read, read_all
from tests.helpers.written_run import write_run


def test_a_run_that_is_whole(tmp_path):
    run = read(write_run(tmp_path / "a", [40.0, 20.0], local=[60.0], run__seed=3))
    assert (run.seed, run.epochs, run.finished, run.state, run.seconds) == (3, 2, True, "2", 2.0)
    np.testing.assert_array_equal(run.errors, [40, 20])
    np.testing.assert_array_equal(run.local_errors(2), [60, 20])
    np.testing.assert_array_equal(run.local_errors(1), [60, 40])
    assert run.machine == "a processor, 2 threads"


def test_a_number_that_was_not_finite_and_an_epoch_that_is_missing_are_nan(tmp_path):
    path = write_run(tmp_path / "a", [40.0, None, 20.0], optim__epochs=3)
    np.testing.assert_array_equal(read(path).errors, [40, np.nan, 20])
    lines = (path / "metrics.jsonl").read_text().splitlines()
    (path / "metrics.jsonl").write_text("\n".join([lines[0], lines[2], ""]))
    assert np.isnan(read(path).errors[1]) and read(path).finished


def test_rows_without_local_errors_and_seconds_are_rows(tmp_path):
    path = write_run(tmp_path / "a", [40.0])
    (path / "metrics.jsonl").write_text('{"epoch": 1, "test_error": 30.0}\n')
    run = read(path)
    assert run.local_errors(1).size == 0 and np.isnan(run.seconds) and run.errors.tolist() == [30.0]


def test_a_machine_is_a_gpu_or_several(tmp_path):
    facts = {"processor": "a host", "device": {"name": "a GPU"}}
    assert (
        read(write_run(tmp_path / "a", [1.0], environment=facts, run__device="cuda:0")).machine == "a GPU, host a host"
    )
    moved = {"processor": "one", "threads": 1, "resumed": [{"processor": "two"}]}
    assert read(write_run(tmp_path / "b", [1.0], environment=moved)).machine == "one, 1 thread, later another one"
    by_numba = {"processor": "one", "threads": 2, "kernels": "numba"}
    assert read(write_run(tmp_path / "d", [1.0], environment=by_numba)).machine == "one, 2 threads, Numba's kernels"
    by_numba |= {"kernels": "numpy", "resumed": [{"kernels": "numba"}]}
    assert read(write_run(tmp_path / "e", [1.0], environment=by_numba)).machine == "one, 2 threads, later another one"
    assert "not recorded" in read(write_run(tmp_path / "c", [1.0], environment={})).machine


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("config.json", "{", "config.json is damaged"),
        ("config.json", '{"rule": {"name": "nobody"}}', "'nobody' is not known"),
        ("config.json", '{"future": {}}', "table 'future' is not known"),
        ("metrics.jsonl", "nonsense\n", "is not an epoch's row"),
        ("metrics.jsonl", '{"epoch": 3, "test_error": 1}\n', "not increasing numbers from 1 to 2"),
        ("metrics.jsonl", '{"epoch": 1, "test_error": 1}\n{"epoch": 1, "test_error": 1}\n', "not increasing"),
        ("metrics.jsonl", '{"epoch": 1}\n', "test_error = 'missing' is no number"),
        ("metrics.jsonl", '{"epoch": 1, "test_error": "x"}\n', "test_error = 'x' is no number"),
        ("metrics.jsonl", '{"epoch": 1, "test_error": 1, "local_errors": 5}\n', "local_errors = '5' is no number"),
        ("metrics.jsonl", '{"epoch": 1, "test_error": 1, "local_errors": [true]}\n', "local_errors = True"),
        ("metrics.jsonl", '{"epoch": 1, "test_error": 1, "probe_errors": 5}\n', "probe_errors = '5' is no number"),
        ("metrics.jsonl", '{"epoch": 1, "test_error": 1, "seconds": "s"}\n', "seconds = 's' is no number"),
    ],
)
def test_a_damaged_run_is_named_in_one_line_and_left_out(tmp_path, file, text, message):
    write_run(tmp_path / "good", [40.0, 20.0])
    bad = write_run(tmp_path / "bad", [40.0, 20.0])
    (bad / file).write_text(text)
    runs, (line,) = read_all([tmp_path])
    assert [run.folder.name for run in runs] == ["good"]
    assert line.startswith(f"{bad} is left out: ") and message in line and "\n" not in line


def test_a_damaged_record_of_the_machine_costs_the_machine_only(tmp_path):
    path = write_run(tmp_path / "a", [40.0])
    (path / "environment.json").write_text("[1")
    assert read(path).machine.startswith("a machine that is not recorded")


def test_a_torn_last_row_is_not_there_yet(tmp_path):
    path = write_run(tmp_path / "a", [40.0, 20.0])
    with open(path / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"epoch": 3})[:5])
    assert read(path).epochs == 2


def test_a_report_over_nothing_is_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"nothing to report in .*empty: there is no run that can be read\.$"):
        read_all([tmp_path / "empty"])
    write_run(tmp_path / "new", [])
    with pytest.raises(UserError, match="1 without a finished epoch"):
        read_all([tmp_path / "new"])
    bad = write_run(tmp_path / "bad", [1.0])
    (bad / "metrics.jsonl").write_text("x\n")
    with pytest.raises(UserError, match=r"there is no run that can be read\. .*bad is left out"):
        read_all([bad])
