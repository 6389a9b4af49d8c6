"""docs/benchmarks/parallel_check.py: its words run, and it compares round by round."""

from __future__ import annotations

from argparse import Namespace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

import minilocal as ml
from minilocal.parallel.simulate import PartCosts

SCRIPT = Path(__file__).parents[3] / "docs" / "benchmarks" / "parallel_check.py"


@pytest.fixture(scope="module")
def check():
    spec = spec_from_file_location("parallel_check", SCRIPT)
    assert spec is not None
    module = module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    return module


def test_a_difference_is_the_median_of_the_rounds(check):
    rounds = [{"gll": {"2": {"simulated": s, "measured": m}}} for s, m in ((1.0, 2.0), (4.0, 5.0), (3.0, 2.0))]
    assert check.compare(rounds, "gll", "2") == (3.0, 2.0, 4.0 / 5.0 - 1)
    costs = [PartCosts(1.0, output=4), PartCosts(3.0, output=4)]
    assert check.mean(costs) == PartCosts(2.0, output=4)


def test_simulated_and_measured_seconds_stand_beside_each_other(check):
    rules = ["bp", "backlink:length=1"]
    options = Namespace(net="resnet8", rules=rules, aux="0c1f", modules=2, batch_size=4)
    ones = PartCosts(1.0, 1.0, 1.0)
    network = ml.nets.get("resnet8", rng=ml.rng(0))
    learners = [ml.Learner(network, check.rule_of(text, "0c1f"), 2, rng=ml.rng(0)) for text in rules]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check.Measure, "timed", lambda self, *part: ones)
        row = {"parts": check.parts(network, learners, 4), "link": (0.0, 1e9)}
    row |= {text: {"1": 10.0, "2": 9.0} for text in rules}
    (round_,) = check.beside(options, [[row], [row]])
    assert round_["bp"]["1"] == {"simulated": 10.0, "measured": 10.0}  # five forwards and backwards
    assert round_["backlink:length=1"]["2"] == {"simulated": 8.0, "measured": 9.0}  # two units, a copy, and the head
