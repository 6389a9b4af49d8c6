"""What a run says while it goes: losses, the time that is left, and nothing where nothing is wanted."""

from __future__ import annotations

import io
import sys
import time
from math import nan
from typing import Any

import pytest

import minilocal as ml
from minilocal import cli, data, record
from minilocal.errors import UserError
from minilocal.train import duration, losses_text, train
from minilocal.train.clock import Clock
from tests.helpers.small_run import configuration, words


@pytest.mark.parametrize(
    ("losses", "text"),
    [
        ([1.0, None, nan, -0.0001], "1.000 - - 0.000"),
        ([1.0, 2.0, 3.0, 4.0], "1.000 2.000 3.000 4.000"),
        ([1.5, 2.25, nan, 1.0, 0.5], "1.500 … 0.500, max 2.250"),
        ([nan] * 15 + [0.162], "- … 0.162"),
        ([None] * 5, "- … -"),
        ([2.8e26], "2.80e+26"),
    ],
)
def test_losses_in_a_line(losses, text):
    assert losses_text(losses) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (3.2, "0:03"), (59.7, "1:00"), (3723, "1:02:03"), (90_000, "25 h"), (nan, "?")]
)
def test_a_duration(seconds, text):
    assert duration(seconds) == text


def test_the_time_that_is_left():
    """10 epochs of 100 steps; 50 steps took 5 s, an evaluation 3 s."""
    clock = Clock(10, 100)
    assert duration(clock.left(0, 0)) == "?"
    clock.steps_done, clock.step_seconds = 50, 5.0
    assert clock.left(0, 50) == pytest.approx(95)
    clock.evaluations, clock.evaluation_seconds = 1, 3.0
    assert clock.left(1, 0) == pytest.approx(90 + 9 * 3)
    assert clock.left(10, 0) == 0


def test_only_a_long_run_is_announced_and_once():
    short, long = Clock(10, 100), Clock(200, 391)
    for clock in (short, long):
        assert clock.announce(0, 1) == ""  # too soon to tell
        clock.steps_done, clock.step_seconds = 10, 12.0
    assert short.announce(0, 10) == ""
    assert long.announce(0, 10).startswith("at this pace it takes 26 h more")
    assert long.announce(0, 11) == ""


def test_a_long_run_says_so_while_it_trains(tmp_path, monkeypatch):
    from minilocal.train import clock

    monkeypatch.setattr(clock, "LONG", 0.0)
    monkeypatch.setattr(clock, "SURE", (2, 0.0))
    lines: list[str] = []
    train(configuration(tmp_path / "run"), say=lines.append)
    assert [line.partition(" takes")[0] for line in lines] == [f"run folder {tmp_path / 'run'}", "at this pace it"]


@pytest.mark.filterwarnings("ignore")  # of its auxiliary networks behind fully connected units
@pytest.mark.parametrize(("period", "duration", "silent"), [(3, 1, False), (2, 1, True), (3, 0, True)])
def test_a_run_without_its_rules_global_epochs_says_so(tmp_path, period, duration, silent):
    """Seen to fail: PGL of P = 10 in 5 epochs was GLL, and nothing said it."""
    lines: list[str] = []
    keys = {"rule__name": "pgl", "rule__period": period, "rule__duration": duration, "optim__epochs": 2}
    train(configuration(tmp_path / "run", **keys), say=lines.append)
    line = "PGL: none of 2 epochs is global, so only local losses teach; in the last 1 of every 3 epochs the main "
    line += "weights learn from the last loss: train longer, or make rule.period shorter"
    assert lines[:-1] == [line] * (not silent)


def test_an_epochs_line_ends_with_time_taken_and_left(capsys):
    from minilocal.cli.train import Lines

    lines = Lines(3)
    row = {"lr": 0.1, "losses": [2.3] * 15 + [1.0], "test_error": 100.0, "seconds": 55.0, "evaluation_seconds": 5.0}
    lines({**row, "epoch": 1})
    lines({**row, "epoch": 2, "validation_error": 3.0})
    first, second = capsys.readouterr().out.splitlines()
    assert first == "epoch   1  lr 0.1  losses 2.300 … 1.000, max 2.300  test 100.00 %  1:00<2:00"
    assert second.endswith("  validation  3.00 %  test 100.00 %  2:00<1:00") and len(first) <= 80


def test_quiet_says_where_everything_is_and_no_more(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *words(), "--out", "r", "--quiet"]) == 0
    out, err = capsys.readouterr()
    error = record.rows("r")[-1]["test_error"]
    assert out == f"test error {error:.2f} % after epoch 2; everything is in r\n" and err == ""
    assert cli.main(["train", "--resume", "r", "--epochs", "3", "--quiet"]) == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert cli.main(["train", *words(), "--out", "r", "--quiet"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("bar", [True, False])
def test_the_bar_shows_losses_and_the_runs_time(tmp_path, monkeypatch, bar):
    """BP's lower modules have no loss: a dash, never nan."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    real = ml.Learner.step

    def slow(self, x, y, lr):
        time.sleep(0.11)  # the bar is drawn ten times a second at most
        return real(self, x, y, lr)

    monkeypatch.setattr(ml.Learner, "step", slow)
    train(configuration(tmp_path / "run", rule__name="bp"), bar=bar)
    shown = terminal.getvalue()
    if bar:
        assert "epoch 1/2" in shown and ", - 2." in shown and ", run 0:0" in shown
    assert bool(shown) == bar and "nan" not in shown


def test_unverified_data_are_said_and_recorded(tmp_path, monkeypatch):
    from dataclasses import replace

    real = data.digits.load
    notes = ("read from there", "checksum differs from the official archive: not verified")
    monkeypatch.setattr(data.digits, "load", lambda: replace(real(), notes=notes))
    lines: list[str] = []
    path = train(configuration(tmp_path / "run"), say=lines.append).path
    assert lines[0] == f"digits: {notes[1]}" and len(lines) == 2
    about = record.recorded_environment(path)["data"]
    assert about["notes"] == list(notes) and about["name"] == "digits" and len(about["digest"]) == 32


def test_a_run_from_plain_tables(tmp_path):
    tables = {"rule": {"name": "gll"}, "net": {"name": "mlp", "modules": 2}, "data": {"limit_train": 40}}
    result = train({**tables, "optim": {"epochs": 1}, "run": {"out": str(tmp_path / "run")}})
    assert record.config(result.path)["rule"]["name"] == "gll" and len(result.rows) == 1
    with pytest.raises(UserError, match=r"train\(config\): key 'net.nme' is not known"):
        train({"net": {"nme": "mlp"}})
    name: Any = "gll"
    with pytest.raises(UserError, match="give a Config, or a dict"):
        train(name)


def test_a_run_from_plain_tables_says_what_its_rule_recommends(tmp_path):
    lines: list[str] = []
    tables = {
        "rule": {"name": "dni"}, "net": {"name": "mlp", "modules": 2}, "data": {"limit_train": 40, "limit_test": 20},
        "optim": {"epochs": 1}, "run": {"out": str(tmp_path / "run")},
    }  # fmt: skip
    train(tables, say=lines.append, bar=False)
    assert lines[0] == "DNI recommends Adam at 0.001: used, since neither optim.name nor optim.lr (--lr) was given."
