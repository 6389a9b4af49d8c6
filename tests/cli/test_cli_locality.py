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


@pytest.mark.parametrize("words, says", [
    (["--set", "rule.length=2"], "name it with --rule"),
    (["--rule", "bp", "--set", "net.name=mlp"], "options of the rule"),
    (["--rule", "backlnk"], "did you mean 'backlink'"), (["--rule", "bp", "--set", "rule.length=1"], "has no option"),
    (["--rule", "bp", "--modules", "1"], "one module has none"), (["--rule", "bp", "--modules", "99"], "99 modules"),
    (["--rule", "bp", "--net", "resnt8"], "is not known"), (["--rule", "infopro", "--net", "mlp"], ""),
])  # fmt: skip
def test_what_it_refuses_is_one_line(capsys, words, says):
    status, out, err = call(capsys, *words)
    assert status == 2 and says in err and err.count("\n") == 1 and out == ""
