"""docs/gpu.md's tables: modelled times are the formula's, counts are the networks', batches are as predicted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import minilocal as ml
from minilocal.bench import step_launches
from minilocal.memory import GPU, estimate
from minilocal.objectives import NAMES

PAGE = (Path(__file__).parents[1] / "docs" / "gpu.md").read_text(encoding="utf-8")
ARITHMETIC, BANDWIDTH, NODE = 0.65, 0.80, 1.2e-6  # as in the formula
EPOCHS, IMAGES = 200, 50_000


def table(*heads):
    """The rows below the heads that begin with these."""
    lines = PAGE[PAGE.index("| " + " | ".join(heads)) :].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    end = next(i for i, line in enumerate(lines) if not line.startswith("|"))
    return rows[2:end]


STEPS = table("step", "images", "A (GFLOP)")
CARDS = table("card", "F (TFLOP/s)")


def test_the_formula_is_the_one_that_is_computed_here():
    assert f"t = A / ({ARITHMETIC} F)  +  D / ({BANDWIDTH:.2f} B)  +  {NODE * 1e6} µs · n" in PAGE


@pytest.mark.parametrize("row", CARDS, ids=[row[0] for row in CARDS])
def test_each_time_is_the_formulas(row):
    _, F, B, *printed = row
    times = [
        float(A) * 1e9 / (ARITHMETIC * float(F) * 1e12) + float(D) / (BANDWIDTH * float(B)) + NODE * int(n)
        for _, _, A, D, n in STEPS
    ]
    *milliseconds, minutes = map(float, printed)
    assert milliseconds == pytest.approx([1e3 * t for t in times], rel=0.02)
    assert minutes == pytest.approx(EPOCHS * -(-IMAGES // int(STEPS[0][1])) * times[0] / 60, rel=0.02)


@pytest.mark.parametrize("row", STEPS, ids=[" ".join(row[:2]) for row in STEPS])
def test_arithmetic_bytes_and_launches_are_counted(row):
    """BackLink's error from above passes backward through every unit but those of the last module once more."""
    step, images, *printed = row
    name, _, rule = step.partition(", ")
    net = ml.nets.get(name.lower().replace("-", ""), rng=ml.rng(0))
    rule, _, K = rule.partition(", K = ")
    K = int(K or 1)
    linked = net.macs - net.units[-1].macs(net.shapes[-2]) if rule == "BackLink" else 0
    assert not linked or len(net.units) == K  # of one unit each
    counted = step_launches(net, ml.rules.get(rule.lower()), K, int(images))
    wanted = [2e-9 * int(images) * (3 * net.macs + 2 * linked), counted.moved / 1e9, counted.launches]
    assert list(map(float, printed)) == pytest.approx(wanted, abs=0.06), wanted


def test_a_batch_takes_what_is_predicted():
    net, rules = ml.nets.resnet(32, rng=ml.rng(0)), ml.rules
    chosen = [rules.bp(), rules.gll(aux="1c2f"), rules.backlink(aux="1c2f"), rules.backlink(aux="1c2f", keep="inputs")]
    for images, *printed in table("images", "BP", "GLL"):
        predicted = [estimate(net, rule, 16, int(images), machine=GPU()).total / 1e6 for rule in chosen]
        assert list(map(float, printed)) == pytest.approx(predicted, abs=0.6)


def test_which_networks_tf32_changes():
    """The widest weight of each, of the network and of its heads: above 64 there are TF32 products."""
    widest = {
        aux: max(w.shape[-1] for w in learner.parameters().values() if w.ndim > 1)
        for aux in ("0c1f", "1c1f", "0c2f", "1c2f")
        for learner in [ml.Learner(ml.nets.resnet(32, rng=ml.rng(0)), ml.rules.gll(aux=aux), 3, rng=ml.rng(0))]
    }
    assert {aux: n > 64 for aux, n in widest.items()} == {"0c1f": False, "1c1f": False, "0c2f": True, "1c2f": True}
    assert set(widest) <= set(NAMES) and all(f"`{aux}`" in PAGE for aux in widest)
    for name in re.findall(r"\| (ResNet-18, .*?) \|", PAGE)[0].split(", "):
        net = ml.nets.get(name.lower().replace("resnet-", "resnet").replace("wrn-", "wrn"), rng=ml.rng(0))
        assert max(w.shape[-1] for w in net.parameters().values() if w.ndim == 4) > 64, name
