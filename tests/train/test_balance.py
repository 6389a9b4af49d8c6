"""A run whose modules are balanced by cost: the cut is found once, and recorded as unit counts."""

from __future__ import annotations

from typing import Any

import pytest

import minilocal as ml
from minilocal import cli, costs, record
from minilocal.config import Config, NetTable
from minilocal.train import build, load, train
from tests.helpers.small_run import configuration, words

CUT = [1, 2, 1]  # of ResNet-8's four units


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The calls of `costs.measure`; whatever is measured, unit 1 costs the most."""
    calls: list[tuple[Any, ...]] = []

    def measure(net, rule, modules, by, **options):
        calls.append((net.name, rule.name, modules, by, options))
        return costs.Costs(by, modules, [5.0, 1.0, 1.0, 1.0], lambda k, first, last, below: 0.0)

    monkeypatch.setattr(costs, "measure", measure)
    return calls


@pytest.fixture
def minilocal(capsys):
    """`minilocal WORDS`: (status, stdout, stderr)."""

    def call(*words: str) -> tuple[int, str, str]:
        status = cli.main(words)
        out, err = capsys.readouterr()
        return status, out, err

    return call


KEYS = {"net__name": "resnet8", "net__modules": 3, "net__balance": "time", "optim__epochs": 1}


def test_the_cut_is_printed_and_recorded_in_place_of_the_balance(tmp_path, measured):
    lines: list[str] = []
    result = train(configuration(tmp_path / "run", **KEYS), say=lines.append)
    assert "balanced by time: modules of 1, 2, 1 units" in lines
    assert [len(m.units) for m in result.learner.modules] == CUT
    tables = record.config(result.path)
    assert tables["net"]["modules"] == CUT and tables["net"]["balance"] is None
    recorded = record.recorded_environment(result.path)["balance"]
    assert recorded == {"by": "time", "modules": CUT, "costs": [5.0, 2.0, 1.0]}
    options = {"images": 16, "dtype": "float32", "device": "cpu"}
    assert measured == [("resnet8", "BackLink", 3, "time", options)]


def test_a_resumed_run_measures_nothing(tmp_path, measured, monkeypatch):
    path = train(configuration(tmp_path / "run", **KEYS)).path
    monkeypatch.setattr(costs, "measure", None)
    result = train(resume=path, epochs=2)
    assert len(result.rows) == 2 and [len(m.units) for m in result.learner.modules] == CUT
    assert [len(m.units) for m in load(path)[1].modules] == CUT
    again = cli.main(["train", "--config", str(path / "config.json"), "--out", str(tmp_path / "again"), "--quiet"])
    assert again == 0 and record.config(tmp_path / "again")["net"]["modules"] == CUT


def test_resuming_with_the_same_flags_agrees_and_with_others_does_not(tmp_path, measured, minilocal):
    keys = {"net__name": "resnet8", "net__modules": 3, "optim__epochs": 1}
    flags = [*words(**keys), "--balance", "time"]
    run, plain = str(tmp_path / "run"), str(tmp_path / "plain")
    assert minilocal("train", *flags, "--out", run)[0] == 0
    assert minilocal("train", *words(**keys), "--out", plain)[0] == 0
    measured.clear()
    assert minilocal("train", "--resume", run, *flags)[0] == 0
    assert minilocal("train", "--resume", run, "--balance", "time")[0] == 0
    assert minilocal("train", "--resume", run, *flags, "--epochs", "2")[0] == 0
    assert minilocal("train", "--resume", run, "--modules", "1,2,1")[0] == 0
    assert not measured
    for words_of, line in {
        (
            run,
            "--balance",
            "memory",
        ): f"'memory' (--balance) does not agree with {run}: its modules are balanced by time.",
        (plain, "--balance", "time"): f"'time' (--balance) does not agree with {plain}: its modules are not balanced.",
        (run, "--balance", "time", "--modules", "2"): "does not agree with",
        (run, "--modules", "3"): f"net.modules = 3 (--modules) does not agree with {run}",
    }.items():
        status, out, err = minilocal("train", "--resume", *words_of)
        assert (status, out) == (2, "") and line in err and err.count("\n") == 1, err


def test_a_run_that_saved_nothing_starts_again_with_a_balance(tmp_path, measured, monkeypatch, minilocal):
    keys, run = {"net__name": "resnet8", "net__modules": 3, "optim__epochs": 1}, str(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr("minilocal.train.loop.Loop.run", lambda *arguments: (_ for _ in ()).throw(ml.UserError("stop")))
        assert minilocal("train", *words(**keys), "--out", run)[0] == 2
    assert minilocal("train", "--resume", run, "--modules", "3", "--balance", "time")[0] == 0
    assert record.config(run)["net"]["modules"] == CUT


def test_what_is_built_from_a_configuration_is_balanced_too(measured):
    assert [len(m.units) for m in build(configuration(None, **KEYS))[1].modules] == CUT


@pytest.mark.parametrize("by", costs.MEASURES)
def test_each_measure_in_a_run(tmp_path, by):
    result = train(configuration(tmp_path / "run", net__name="resnet8", net__balance=by, optim__epochs=1))
    assert len(result.learner.modules) == 2 and len(result.rows) == 1


def test_more_modules_than_units_are_refused_before_a_folder_is_made(tmp_path):
    with pytest.raises(ml.UserError, match="K = 5 modules for a network of 4 units: give 1 to 4"):
        train(configuration(tmp_path / "run", net__name="resnet8", net__balance="flops", net__modules=5))
    assert not (tmp_path / "run").exists()


def test_a_config_that_was_built_by_hand_is_checked():
    with pytest.raises(ml.UserError, match="which is cut already"):
        train(Config(net=NetTable(modules=[5, 5], balance="time")))
