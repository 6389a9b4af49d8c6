"""Every preset is a configuration that checks, and a Learner that can be built."""

from __future__ import annotations

from typing import Any

import pytest

from minilocal.cli.train import preset_source, presets
from minilocal.config import resolve
from minilocal.split import infopro, infopro_star
from minilocal.train.from_config import learner_of, schedule


@pytest.mark.parametrize("name", presets())
def test_it_checks_and_builds(name):
    config, remarks = resolve([preset_source(name)])
    assert not remarks and config.data.name == "cifar10"
    learner = learner_of(config, 10, 3, 32)
    assert len(learner.modules) >= 2


def cut(name, *more):
    config, _ = resolve([preset_source(name), *more])
    return [len(m.units) for m in learner_of(config, 10, 3, 32).modules]


def test_infopro_and_pgl_are_cut_as_infopro_cuts():
    """On ResNet-110 the larger modules are at the top, and BackLink's at the bottom."""
    deeper = ("--net", {"net.name": "resnet110"})
    assert cut("pgl", deeper) == cut("infopro-softmax", deeper) == infopro(110, 16) == [3] * 9 + [4] * 7
    assert cut("infopro-contrast", deeper) == infopro(110, 4) and cut("pgl") == [1] * 16
    assert cut("infopro-star") == infopro_star(110, 4)


FDG = {  # reference: that paper's Tables 2 and 4
    "fdg": ("resnet56", 4, 0.3, True, 28), "fdg-resnet56": ("resnet56", 2, 0.5, False, 28),
    "fdg-resnet110": ("resnet110", 2, 0.5, True, 55), "fdg-wrn28-10": ("wrn28-10", 2, 0.7, False, 13),
}  # fmt: skip


@pytest.mark.parametrize("name", FDG)
def test_fdgs_recipes_are_its_papers(name):
    net, modules, beta, warms_up, units = FDG[name]
    config, _ = resolve([preset_source(name)])
    assert (config.net.name, config.net.modules, config.rule.options["beta"]) == (net, modules, beta)
    o = config.optim
    assert (o.name, o.momentum, o.nesterov, o.weight_decay, o.batch_size, o.epochs) == (
        "sgd",
        0.9,
        False,
        5e-4,
        128,
        300,
    )
    at = schedule(config)
    assert [at.lr(e) for e in (0, 1, 2)] == [0.01 if warms_up else 0.1] * 3
    assert [at.lr(e) for e in (3, 149, 150, 225, 275)] == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.0001])
    assert sum(cut(name)) == units


def test_other_networks_of_a_recipe_start_from_it():
    assert cut("fdg-wrn28-10", ("--net", {"net.name": "resnet18"})) == [5, 4]
    assert cut("fdg-resnet56", ("--net", {"net.name": "resnet20"})) == [5, 5]
    assert cut("fdg", ("--modules", {"net.modules": 3})) == [10, 9, 9]


def test_a_run_that_is_too_short_for_a_recipe_is_told_so():
    _, remarks = resolve([preset_source("fdg"), ("--epochs", {"optim.epochs": 2})])
    assert remarks == [
        "schedule hold:3:0.01+steps:150,225,275 changes as late as epoch 276, and this run ends after 2."
    ]


def test_a_data_sets_own_constants_reach_a_rule_that_rebuilds_images():
    config, _ = resolve([("a", {"rule.name": "infopro", "net.name": "resnet8", "net.modules": 2})])
    assert config.rule.options["mean"] is None
    learner = learner_of(config, 10, 1, 16, {"mean": (0.3,), "std": (0.4,)})
    objective: Any = learner.modules[0].objective
    assert objective.branches[0].loss.mean == (0.3,)
    own, _ = resolve([("a", {"rule.name": "infopro", "rule.mean": 0.5, "net.name": "resnet8", "net.modules": 2})])
    learner = learner_of(own, 10, 1, 16, {"mean": (0.3,), "std": (0.4,)})
    objective = learner.modules[0].objective
    loss = objective.branches[0].loss
    assert (loss.mean, loss.std) == ((0.5,), (0.4,))
