"""`minilocal report` at the prompt."""

from __future__ import annotations

import pytest

from minilocal.cli import main
from tests.helpers.written_run import write_run


@pytest.fixture
def runs(tmp_path):
    write_run(tmp_path / "runs/bp", [50.0, 10.0], rule__name="bp")
    write_run(tmp_path / "runs/gll", [50.0, 20.0], rule__name="gll")
    return tmp_path / "runs"


def test_it_prints_its_table_and_names_the_page(runs, tmp_path, capsys):
    assert main(["report", str(runs), "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mlp, K = 2, all images of digits" and lines[2].split()[:4] == ["BP", "1", "2", "10.00"]
    assert lines[-1].startswith(f"report: {tmp_path / 'out/report.html'}, and ")
    endings = {path.suffix for path in (tmp_path / "out").iterdir()}
    assert endings == {".html", ".md", ".csv", ".svg"}


def test_a_format_and_a_pattern_are_chosen_and_quiet_is_one_line(runs, tmp_path, capsys):
    words = ["report", f"{runs}/g*", "--out", str(tmp_path / "out"), "--format", "csv", "--quiet"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"report: {tmp_path / 'out/results.csv'}\n"
    assert (
        "BP" not in (tmp_path / "out/results.csv").read_text() and "GLL" in (tmp_path / "out/results.csv").read_text()
    )


def test_a_damaged_run_is_one_line_of_warning(runs, tmp_path, capsys):
    (runs / "gll/metrics.jsonl").write_text("x\n")
    assert main(["report", str(runs), "--out", str(tmp_path / "out"), "--format", "csv"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"minilocal: warning: {runs / 'gll'} is left out: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "there is no such folder"),
        (["empty"], "nothing to report in empty: there is no run that can be read."),
        ([], "the following arguments are required: RUN"),
        (["runs", "--format", "pdf"], "--format 'pdf' is not known"),
        (["runs", "--format", ","], "names nothing"),
        (["runs", "--frmat", "md"], "did you mean '--format'?"),
    ],
)
def test_a_mistake_is_one_line(runs, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main(["report", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and not (tmp_path / "runs/report").exists()
