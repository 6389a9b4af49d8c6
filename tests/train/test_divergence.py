"""A run that diverges names the module that did, and a command that works."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest

import minilocal as ml
from minilocal import cli, record
from minilocal.errors import UserError
from minilocal.train import build, train
from minilocal.train.divergence import suspect, with_losses
from tests.helpers.small_run import STEPS, configuration, words


@pytest.mark.parametrize(
    ("losses", "may", "counts", "module"),
    [
        ([1.0, 2.0], [True, True], [], None),
        ([nan, 2.0], [False, True], [], None),  # BP's lower module
        ([nan, nan], [False, True], [], 1),
        ([nan, nan], [False, True], [0, 16], 1),
        ([nan, 2.0], [True, True], [0, 16], None),  # its first batch has not come up yet
        ([nan, 2.0], [True, True], [16, 16], 0),
        ([nan, nan], [True, True], [], 0),
        ([1.0, -inf], [True, True], [], 1),
        ([inf, nan], [False, True], [], 0),
    ],
)
def test_the_module_that_is_suspected(losses, may, counts, module):
    assert suspect(losses, may, counts) == module


def test_who_may_have_a_loss():
    for rule, expected in (("bp", [False, True]), ("gll", [True, True]), ("ddg", [False, True])):
        assert with_losses(build(configuration(None, rule__name=rule))[1]) == expected
    learner = build(configuration(None, rule__name="pgl", rule__period=2, rule__duration=1))[1]
    kinds = set()
    for epoch in range(4):
        learner.epoch = epoch
        assert with_losses(learner) == [not learner.rule.when.is_global(epoch), True]
        kinds.add(learner.rule.when.is_global(epoch))
    assert kinds == {True, False}


@pytest.mark.parametrize(("rule", "module"), [("bp", 2), ("ddg", 2), ("gll", 1)])
def test_the_module_that_is_named(tmp_path, monkeypatch, rule, module):
    real = ml.Learner.step

    def step(self, x, y, lr):
        self.parameters()["layers.0.weight"][...] = np.nan
        return real(self, x, y, lr)

    monkeypatch.setattr(ml.Learner, "step", step)
    with pytest.raises(UserError, match=f"loss of module {module} of 2 became nan"):
        train(configuration(tmp_path / "run", rule__name=rule))


def test_it_is_one_line_and_the_command_it_names_works(tmp_path, monkeypatch, capsys):
    """A convolutional network on two threads: no overflow is printed from the other thread either."""
    monkeypatch.chdir(tmp_path)
    asked = words(net__name="resnet8", optim__lr=1e8, run__threads=2, data__limit_train=200, optim__batch_size=64)
    assert cli.main(["train", *asked, "--out", "r"]) == 2
    out, err = capsys.readouterr()
    assert out == "run folder r\n" and err.count("\n") == 1
    command = err.strip().partition("at a lower rate: minilocal ")[2]
    assert command == "train --resume r --lr 0.1"
    assert cli.main(command.split()) == 0
    assert capsys.readouterr().out.startswith(
        "r held a run that had saved nothing: this one takes its place\nrun folder r\n"
    )
    tables = record.config("r")
    assert tables["optim"]["lr"] == 0.1 and tables["net"]["name"] == "resnet8" and len(record.rows("r")) == 2


def test_a_run_that_saved_something_is_kept(tmp_path, monkeypatch):
    real, done = ml.Learner.step, []

    def step(self, x, y, lr):
        done.append(1)
        if len(done) > STEPS:
            self.parameters()["layers.0.weight"][...] = np.nan
        return real(self, x, y, lr)

    with monkeypatch.context() as patch:
        patch.setattr(ml.Learner, "step", step)
        with pytest.raises(
            UserError, match=r"keeps the state after epoch 1\. Start another run at a lower rate: "
        ) as end:
            train(configuration(tmp_path / "run"))
    command = str(end.value).partition("rate: minilocal ")[2].split()
    assert command[-4:] == ["--lr", "0.005", "--out", f"{tmp_path / 'run'}-2"]
    assert cli.main(command) == 0 and record.config(tmp_path / "run-2")["optim"]["lr"] == 0.005
    with pytest.raises(UserError, match="holds a run already"):
        train(configuration(tmp_path / "run", optim__lr=0.005))
    assert record.config(tmp_path / "run")["optim"]["lr"] == 0.05


@pytest.mark.parametrize(("name", "lr", "tried"), [("sgd", 1e8, 0.1), ("sgd", 0.1, 0.01), ("adam", 1.0, 0.001)])
def test_the_rate_that_is_worth_trying(tmp_path, name, lr, tried):
    from minilocal.train.divergence import diverged

    error = diverged("it", configuration(None, optim__name=name, optim__lr=lr), "here", 0, tmp_path)
    assert str(error).endswith(f"--lr {tried:g}")


def test_a_rule_that_recommends_another_optimiser_says_how_to_use_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = words(rule__name="dni", net__name="resnet8", optim__name="sgd", optim__momentum=0.9, optim__lr=0.1)
    assert cli.main(["train", *asked, "--set=data.limit_train=400", "--out", "r"]) == 2
    command = capsys.readouterr().err.strip().rpartition("as the rule recommends: minilocal ")[2]
    assert command == "train --resume r --set optim.name=adam --lr 0.001"
    assert cli.main(command.split()) == 0
    assert record.config("r")["optim"]["name"] == "adam" and record.config("r")["optim"]["momentum"] is None


def test_workers_that_were_not_drawn_cost_one_look_at_the_state(tmp_path, monkeypatch):
    """Losses that come home together, as from a GPU, lead to one copy of the state to the host."""
    from minilocal.train import loop, trainer

    looks = []

    def look(state):
        looks.append(1)
        return ""

    monkeypatch.setitem(trainer.SYNC_EVERY, "cpu", 20)
    for file in (loop, trainer):
        monkeypatch.setattr(file, "not_finite", look)
    keys = {"rule__name": "dgl", "rule__buffer": 2, "net__modules": 4, "optim__lr": 1e-3, "data__limit_train": 320}
    train(configuration(tmp_path / "run", **keys))
    assert len(looks) == 4  # of two epochs, each with one visit and one checkpoint
