"""`minilocal locality`: the table, its legend, and what it refuses."""

from __future__ import annotations

import pytest

from minilocal import cli


def call(capsys, *words):
    status = cli.main(["locality", *words])
    out, err = capsys.readouterr()
    return status, out, err


def test_it_prints_a_row_for_each_rule_and_phase(capsys):
    status, out, _ = call(capsys, "--rule", "backlink", "--rule", "gll", "--net", "mlp", "--modules", "3,3,1")
    assert status == 0 and "Every rule does what its own answers say." in out
    assert "mlp of 7 units in modules of 3, 3, 1" in out
    row = next(line for line in out.splitlines() if line.startswith("BackLink")).split()
    assert row[1:3] == ["0", "1/3"] and "own + next" in " ".join(row) and "1 unit, 1 up" in " ".join(row)
    row = next(line for line in out.splitlines() if line.startswith("GLL"))
    assert "0/3" in row and "nothing" in row


def test_options_of_the_rule_are_taken(capsys):
    status, out, _ = call(capsys, "--rule", "backlink", "--set", "rule.length=2", "--net", "mlp", "--modules", "2")
    assert status == 0 and "2/4" in out and "2 units, 1 up" in out


def test_the_papers_tables_stand_beside_what_was_measured(capsys):
    _, out, _ = call(capsys, "--rule", "dgl", "--rule", "backlink", "--modules", "3")
    assert out.count("BackLink paper (IEEE), Table I") == 1 and out.count("FDG paper, Table 1") == 1
    lines = out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("BackLink") and "printed" in line)
    printed, measured = lines[at].split(), lines[at + 1].split()
    assert printed[1:3] == ["printed", "Yes"] and measured[:2] == ["here", "Yes"]
    assert "DGL, any lockings: printed 'No', here 'Yes'; the print is true of asynchronous DGL" in out


def test_a_rule_brings_its_own_rows_only(capsys):
    _, out, _ = call(capsys, "--rule", "backlink", "--modules", "2")
    assert "Table I" in out and "Here it is as they print it." in out
    assert not [name for name in ("GLL", "DNI", "DDG", "PredSim", "InfoPro", "FDG") if name in out]
    _, out, _ = call(capsys, "--rule", "bp", "--modules", "2")
    assert "paper" not in out.partition("felt  ")[2].partition("\n\n")[2]  # no table has a row of BP


@pytest.mark.parametrize("words, says", [
    (["--set", "rule.length=2"], "name it with --rule"),
    (["--rule", "bp", "--set", "net.name=mlp"], "options of the rule"),
    (["--rule", "backlnk"], "did you mean 'backlink'"), (["--rule", "bp", "--set", "rule.length=1"], "has no option"),
    (["--rule", "bp", "--modules", "1"], "one module has none"), (["--rule", "bp", "--modules", "99"], "99 modules"),
    (["--rule", "bp", "--net", "resnt8"], "is not known"), (["--rule", "foo"], "rule 'foo' is not known. Known: bp,"),
    (["--rule", "bp", "--net", "foo"], "Known: tower, mlp,"), (["--rule", "bp", "--net", "towr"], "mean 'tower'"),
    (["--rule", "infopro", "--net", "mlp"], ""),
])  # fmt: skip
def test_what_it_refuses_is_one_line(capsys, words, says):
    status, out, err = call(capsys, *words)
    assert status == 2 and says in err and err.count("\n") == 1 and out == ""
