"""docs/figures/curves.py: no run is lost, and each curve is called by what sets it apart."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from minilocal import UserError

SCRIPT = Path(__file__).parents[2] / "docs/figures/curves.py"


@pytest.fixture(scope="module")
def curves():
    return runpy.run_path(str(SCRIPT))


def config(rule, seed=0, net="resnet8", out="a", **optim):
    return {
        "rule": rule,
        "net": {"name": net, "modules": 4},
        "data": {"name": "digits", "limit_train": None, "dir": out},
        "optim": {"lr": 0.1, "epochs": 2, "weight_decay": 0.0, **optim},
        "run": {"seed": seed, "threads": seed, "out": out},
    }


BP, GLL = {"name": "bp"}, {"name": "gll", "aux": "0c1f"}


def link(length=1, alpha=0.5):
    return {"name": "backlink", "length": length, "alpha": alpha, "aux": "0c1f"}


def test_runs_of_two_networks_stay_apart(curves):
    groups, title = curves["grouped"]([config(BP), config(GLL), config(BP, net="mlp"), config(GLL, net="mlp")])
    assert groups == [("BP, resnet8", [0]), ("GLL, resnet8", [1]), ("BP, mlp", [2]), ("GLL, mlp", [3])]
    assert title == "K = 4, all images of digits"


def test_seeds_are_one_curve_wherever_they_ran(curves):
    groups, title = curves["grouped"]([config(BP, s, out=str(s)) for s in (0, 1, 2)] + [config(GLL)])
    assert groups == [("BP", [0, 1, 2]), ("GLL", [3])]
    assert title == "resnet8, K = 4, all images of digits"


def test_a_rules_option_is_named_where_its_runs_differ_in_it(curves):
    groups, _ = curves["grouped"]([config(link()), config(link(2)), config(link(1, 0.25)), config(GLL)])
    assert [name for name, _ in groups] == [
        "BackLink, α = 0.5, l = 1", "BackLink, α = 0.5, l = 2", "BackLink, α = 0.25, l = 1", "GLL"
    ]  # fmt: skip
    assert curves["grouped"]([config(link(2)), config(GLL)])[0] == [("BackLink, l = 2", [0]), ("GLL", [1])]


def test_any_other_key_that_differs_is_named(curves):
    groups, _ = curves["grouped"]([config(BP), config(BP, lr=0.2), config(BP, weight_decay=0.1)])
    assert [name for name, _ in groups] == [
        "BP, lr = 0.1, weight decay = 0.0", "BP, lr = 0.2, weight decay = 0.0", "BP, lr = 0.1, weight decay = 0.1"
    ]  # fmt: skip


def test_one_seed_twice_is_refused(curves):
    with pytest.raises(UserError, match="GLL: two of its runs have one seed"):
        curves["grouped"]([config(GLL), config(BP), config(GLL, out="b")])


def test_folders_become_a_figure(curves, tmp_path):
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        (tmp_path / str(seed) / "config.json").write_text(json.dumps(config(BP, seed)))
        (tmp_path / str(seed) / "metrics.jsonl").write_text(f'{{"epoch": 1, "test_error": {9 + seed}}}\n')
    curves["main"](str(tmp_path / "0"), str(tmp_path / "1"), figure=str(tmp_path / "figure.png"))
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
