"""`minilocal reproduce`: lists, a table of a few steps, its folder, and what it refuses."""

from __future__ import annotations

import json

import pytest

SHORT = ["--set", "optim.epochs=1", "--set", "data.limit_train=64", "--set", "data.limit_test=20"]
FEW = ["backlink-table3", "--rows", "cifar10-resnet32-bp,cifar10-resnet32-gll", "--cells", "*-bp,*-K2"]


def test_the_list_has_every_experiment_and_every_cell(minilocal):
    status, out, _ = minilocal("reproduce", "--list")
    assert status == 0 and "backlink-table3" in out
    status, out, _ = minilocal("reproduce", "backlink-table3", "--list")
    assert status == 0
    (line,) = [line for line in out.splitlines() if line.startswith("cifar10-resnet32-backlink-l1-K16 ")]
    assert line.split()[:4] == ["cifar10-resnet32-backlink-l1-K16", "12.40", "1", "backlink,"]
    (left,) = [line for line in out.splitlines() if line.startswith("svhn-resnet110-gll-K2 ")]
    assert left.endswith("left out: not at this scale, unless --rows names it")


def test_cells_are_trained_and_stand_beside_the_printed_ones(minilocal, tmp_path):
    status, out, _ = minilocal("reproduce", *FEW, *SHORT, "--out", "few")
    assert status == 0 and "at scale tiny, optim.epochs=1" in out
    rows = [line for line in out.splitlines() if line.startswith(("BP ", "GLL ")) and "|" in line]
    assert " | 6.94 [1]" in rows[0] and rows[1].rstrip().endswith(" | 7.96")
    assert "digits, not CIFAR-10" in out and "1 of 200 epochs" in out
    recorded = json.loads((tmp_path / "few" / "sweep.json").read_text())
    assert recorded["experiment"]["name"] == "backlink-table3" and recorded["experiment"]["scale"] == "tiny"
    assert {cell["labels"]["cell"] for cell in recorded["cells"]} == {"cifar10-resnet32-bp", "cifar10-resnet32-gll-K2"}
    assert {"report.html", "report.md", "experiment.csv"} <= {f.name for f in (tmp_path / "few" / "report").iterdir()}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["backlink-tabel3"], "experiment 'backlink-tabel3' is not known; did you mean 'backlink-table3'?"),
        ([], "reproduce: give the NAME of an experiment; minilocal reproduce --list shows all."),
        (["backlink-table3", "--scale", "smal"], "scale 'smal' is not known; did you mean 'small'?"),
        (["backlink-table3", "--trials", "0"], "trials = 0: give a whole number, 1 or more."),
        (["backlink-table3", "--rows", "cifar10-resnet32-gl"], "did you mean 'cifar10-resnet32-gll'?"),
        (["backlink-table3", "--cells", "*-K3"], "cell '*-K3' is not known"),
    ],
)
def test_what_is_refused_is_one_line_with_the_nearest_name(minilocal, words, line):
    status, out, err = minilocal("reproduce", *words)
    assert status == 2 and not out and err.count("\n") == 1 and line in err
