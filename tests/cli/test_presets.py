"""Every preset is a configuration that checks, and a Learner that can be built."""

from __future__ import annotations

import pytest

from minilocal.cli.train import preset_layer, presets
from minilocal.config import resolve
from minilocal.split import infopro_star
from minilocal.train.build import learner_of


@pytest.mark.parametrize("name", presets())
def test_it_checks_and_builds(name):
    found, remarks = resolve([preset_layer(name)])
    assert not remarks and found.data.name == "cifar10"
    made = learner_of(found, 10, 3, 32)
    assert len(made.modules) >= 2


def test_the_split_of_infopro_star_is_its_papers():
    found, _ = resolve([preset_layer("infopro-star")])
    assert found.net.modules == infopro_star(110, 4)


def test_a_data_sets_own_constants_reach_a_rule_that_rebuilds_images():
    found, _ = resolve([("a", {"rule.name": "infopro", "net.name": "resnet8", "net.modules": 2})])
    assert found.rule.options["mean"] is None
    made = learner_of(found, 10, 1, 16, {"mean": (0.3,), "std": (0.4,)})
    assert made.modules[0].objective.branches[0].loss.mean == (0.3,)
    given, _ = resolve([("a", {"rule.name": "infopro", "rule.mean": 0.5, "net.name": "resnet8", "net.modules": 2})])
    made = learner_of(given, 10, 1, 16, {"mean": (0.3,), "std": (0.4,)})
    loss = made.modules[0].objective.branches[0].loss
    assert (loss.mean, loss.std) == ((0.5,), (0.4,))
