"""The demo: runs side by side in processes of their own, a table, what they say together, and the page."""

from __future__ import annotations

import os
import re
import signal
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minilocal import UserError, cli, record
from minilocal.cli.demo import recipe
from minilocal.cli.demo.processes import run_all
from minilocal.cli.demo.results import Runs, findings
from minilocal.config import tables_of
from minilocal.train.stop import Interrupted
from tests.helpers.checkpoints import checkpoint

TINY = [
    "--net", "mlp", "--modules", "2", "--limit-train", "40", "--limit-test", "20", "--batch-size", "16",
    "--lr", "0.01", "--threads", "1",
]  # fmt: skip


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The demo on a network and on images that take no time, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recipe, "NET", "mlp")
    monkeypatch.setattr(recipe, "MODULES", 3)
    monkeypatch.setattr(recipe, "DATA", {"name": "digits", "limit_train": 40, "limit_test": 20})


def test_it_prints_a_row_a_rule_and_writes_ordinary_runs_and_a_page(small, capsys):
    assert cli.main(["demo", "--epochs", "2", "--seeds", "2", "--seed", "4", "--out", "d"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "6 runs" in out and "seed 4, 5" in out
    last = {}
    for name, rule in (("BP", "bp"), ("GLL", "gll"), ("BackLink", "backlink")):
        errors = np.array([[r["test_error"] for r in record.rows(f"d/{rule}-seed{seed}")] for seed in (4, 5)])
        last[name] = errors[:, -1].mean()
        row = next(line.split() for line in out.splitlines() if re.match(rf"{name} .*\d$", line))
        assert [float(word) for word in row[1:5]] == pytest.approx([*errors.mean(axis=0), *errors[:, -1]], abs=0.051)
    finding = "Last test error: BP {BP:.1f} %, GLL {GLL:.1f} %, BackLink {BackLink:.1f} %: ".format(**last)
    assert finding in out
    page = Path("d/report.html").read_text()
    assert finding in page and "name='viewport'" in page
    assert page.count("<svg") == page.count('<svg role="img" aria-label="') == 6
    assert page.count("<img ") == len(re.findall(r'<img [^>]*alt="A handwritten \d\."', page)) >= 10
    *_, again = re.findall(r"<code>minilocal (train [^<]*)</code>", page)
    assert cli.main([*again.split(), "--show"]) == 0 and "--out" not in again and "--seed 5" in again
    assert cli.main(["train", "--resume", "d/gll-seed5"]) == 0
    assert "d/gll-seed5 is finished: 2 of 2 epochs" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, named", [("--epochs 0", "optim.epochs"), ("--seed -1", "run.seed"), ("--seeds 0", "--seeds = 0")]
)
def test_what_it_refuses_it_refuses_before_it_prints(small, capsys, words, named):
    assert cli.main(["demo", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert out == "" and named in err and err.count("\n") == 1 and not Path("runs").exists()


def test_a_file_in_the_way_is_refused_before_it_prints(small, capsys):
    Path("f").touch()
    assert cli.main(["demo", "--out", "f"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "f is a file, not a folder" in err and err.count("\n") == 1 and Path("f").stat().st_size == 0


def test_a_run_as_a_command_is_that_run(tmp_path):
    from minilocal.cli import train
    from minilocal.config import resolve

    for rule in recipe.RULES.values():
        asked = recipe.config(rule, 3, Namespace(epochs=2, out=str(tmp_path)))
        words = recipe.words(asked)
        assert words[0] == "train"
        assert resolve(train.sources_of(train.parser().parse(words[1:])))[0] == asked


def test_it_replaces_its_own_last_runs_all_of_them_or_none(tmp_path):
    options = Namespace(epochs=5, out=str(tmp_path))
    ours = [recipe.config(recipe.RULES["GLL"], seed, options) for seed in (0, 1)]
    longer = recipe.config(recipe.RULES["GLL"], 0, Namespace(epochs=9, out=str(tmp_path)))
    foreign = tables_of(ours[1]) | {"rule": {"name": "gll", "aux": "1c2f"}}
    folders = [Path(str(run.run.out)) for run in ours]
    for folder, tables in zip(folders, (tables_of(longer), foreign), strict=True):
        record.RunFolder.create(folder, tables, {}).close()
    with pytest.raises(UserError, match="seed1 holds a run that is not the demo's: give another --out"):
        recipe.make_way(ours)
    assert folders[0].exists()
    recipe.make_way(ours[:1])
    assert not folders[0].exists() and folders[1].exists()


def test_ctrl_c_says_how_to_go_on_with_the_demo(small, capsys, monkeypatch):
    from minilocal.cli.demo.table import Table

    monkeypatch.setattr(Table, "show", lambda self: os.kill(os.getpid(), signal.SIGINT))
    assert cli.main(["demo", "--out", "d", "--seeds", "1"]) == 130
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "saved in d. The same minilocal demo starts again" in err


def test_a_run_that_is_stopped_saves_what_it_has(tmp_path):
    out = tmp_path / "r"

    def stop():
        if record.rows(out):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        run_all([["train", *TINY, "--epochs", "9999", "--out", str(out)]], stop)
    assert checkpoint(out)[1]["progress"]["epoch"] >= 1
    record.RunFolder(out).close()  # nobody holds it


def test_what_a_run_is_refused_for_is_one_line():
    with pytest.raises(UserError, match=r"^net\.name.* did you mean 'mlp'"):
        run_all([["train", "--net", "mlpp"]], lambda: None)


def test_what_is_nobodys_mistake_is_shown_whole(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/proc/nowhere")  # Python itself does not start
    with pytest.raises(RuntimeError, match="minilocal --version ended with status 1"):
        run_all([["--version"]], lambda: None)


@pytest.mark.parametrize(
    "last, finding",
    [
        ({"BP": [4, 6], "GLL": [15, 17], "BackLink": [9, 7]}, "BackLink wins back 8.0 of the 11.0 points"),
        ({"BP": [4, 6], "GLL": [15, 17], "BackLink": [4, 5]}, "BackLink is not worse than BP here"),
        ({"BP": [4, 6], "GLL": [8, 8], "BackLink": [9, 9]}, "BackLink won nothing back in these runs"),
        ({"BP": [4, 6], "GLL": [4, 5], "BackLink": [9, 9]}, "nothing to win back"),
    ],
)
def test_the_finding_is_of_the_means(last, finding):
    class Played(Runs):
        peak = 8

        def errors(self):
            return np.array([[50.0, error] for error in last.get(self.name, [])])

    two: Any = [None, None]  # runs whose configuration is not read
    seen = {name: Played(name, two) for name in last}
    lines = findings(seen, Played("BP, checkpointed", []))
    bp, gll, link = (np.mean(last[name]) for name in ("BP", "GLL", "BackLink"))
    assert lines[0].startswith(f"Last test error: BP {bp:.1f} %, GLL {gll:.1f} %, BackLink {link:.1f} %: ")
    assert finding in lines[0] and "no evidence" in lines[-1]
    assert ("below GLL in 2 of them" in lines[1]) == (link < gll)
