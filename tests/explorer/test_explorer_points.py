"""The explorer's data: each number is what the package says at that point."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

import pytest

import minilocal as ml
from minilocal import locality, memory
from minilocal.draw.rule_diagram import error_paths
from minilocal.explorer import nbytes, schedule
from minilocal.explorer.boundary import errors_of, locks, messages
from minilocal.explorer.choices import BATCHES, CHOICES, LENGTH, REACH, Variant, counts, variants
from minilocal.explorer.errors import ours, published, results
from minilocal.explorer.points import Points
from minilocal.locality.influence import toy_net
from minilocal.parallel.simulate import Placement, simulate
from minilocal.parallel.simulate.counted import Counted
from minilocal.summary import kept_bytes

ROOT = Path(__file__).parents[2]
RESNET20 = Points("resnet20")
POINTS = [  # K, variant
    (4, Variant("bp")), (4, Variant("backlink", "1c2f", 2)), (2, Variant("dni")), (2, Variant("fdg")),
    (4, Variant("pgl-global", "aux-adapt")), (4, Variant("predsim")), (8, Variant("infopro", "1c2f")),
    (4, Variant("interlocking", "1c2f", 2)), (4, Variant("auglocal", "", 3)), (4, Variant("hpff")),
]  # fmt: skip
IDS = [f"K{K}-{variant.key.replace('/', '-')}" for K, variant in POINTS]


def line(pair: Any, images: int) -> float:
    """As the page has it."""
    (a, b), (first, second) = pair, nbytes.ANCHORS
    return float(a + (b - a) * (images - first) / (second - first))


def learner_of(variant: Variant, K: int) -> ml.Learner:
    with warnings.catch_warnings(action="ignore"):
        learner = ml.Learner(RESNET20.net, variant.rule(), K, rng=ml.rng(0), device=memory.GPU().library)
    learner.epoch = variant.epoch()
    return learner


@pytest.mark.parametrize(("K", "variant"), POINTS, ids=IDS)
def test_a_point_has_the_package_s_bytes_and_schedule(K, variant):
    point, learner = RESNET20.point(K, variant), learner_of(variant, K)
    for n, images in enumerate(nbytes.ANCHORS):
        kept = kept_bytes(learner, images)
        assert kept is not None
        assert point["keeps"][n] == kept.peak and point["waits"][n] == kept.waiting
    for n, images in enumerate(BATCHES):
        step = memory.estimate(RESNET20.net, learner.rule, K, images, epoch=learner.epoch, machine=memory.GPU())
        assert point["total"][n] == step.total
    costs = Counted(RESNET20.net, schedule.IMAGES, schedule.RATE).modules(learner.modules)
    ran = simulate(Placement(learner.rule, costs, is_global=variant.choice.is_global), schedule.LINK, steps=200)
    assert point["step"] == pytest.approx(ran.step, rel=1e-3)
    assert point["idle"] == pytest.approx(ran.idle, abs=0.01)
    assert sum(map(sum, point["messages"][1])) == round(ran.nbytes)
    works = [sum(w for w, kind in zip(bars[1::4], bars[2::4], strict=True) if kind < 4) for bars in point["bars"]]
    assert [w / schedule.TICKS for w in works] == pytest.approx(ran.busy, abs=0.01)


@pytest.mark.parametrize(("K", "variant"), POINTS, ids=IDS)
def test_what_a_module_keeps_of_another_batch_is_within_a_percent_of_the_line(K, variant):
    images, learner = 256, learner_of(variant, K)
    kept, of_anchors = kept_bytes(learner, images), nbytes.kept(learner)
    assert kept is not None
    for name, exact_bytes in (("keeps", kept.peak), ("waits", kept.waiting)):
        lines = [line(pair, images) for pair in zip(*of_anchors[name], strict=True)]
        assert lines == pytest.approx(exact_bytes, rel=0.01)


def test_peaks_are_those_of_the_results_of_fig_7():
    """ResNet-32, K = 4, conv heads, 512 images."""
    with open(ROOT / "docs" / "results" / "backlink-fig7" / "table-1.csv", encoding="utf-8") as file:
        printed = {row["ResNet-32 on CIFAR-10"]: row["K = 4"].split()[0] for row in csv.DictReader(file)}
    points = Points("resnet32")
    cut = points.cut(4)["baselines"]
    peaks = {name: cut[name] for name in ("BP", "BP, checkpointed", "BP, accumulated")}
    for name, variant in {"GLL": Variant("gll", "1c2f"), "BackLink, l = 2": Variant("backlink", "1c2f", 2)}.items():
        peaks[name] = nbytes.peaks(points.net, variant.rule(), points.sizes(4), points.machine)
    assert {name: f"{of[-1] / 1e9:.3g}" for name, of in peaks.items()} == {name: printed[name] for name in peaks}


# ---------------------------------------------------------------- what crosses


MEASURED = {
    "bp": ml.rules.bp(), "gll": ml.rules.gll(), "backlink": ml.rules.backlink(length=1),
    "backlink, module": ml.rules.backlink(length="module"), "total": ml.rules.backlink(length="module", error="total"),
    "pgl": ml.rules.pgl(period=2, duration=1), "dni": ml.rules.dni(), "ddg": ml.rules.ddg(), "fdg": ml.rules.fdg(),
    "predsim": ml.rules.predsim(), "auglocal": ml.rules.auglocal(), "hpff": ml.rules.hpff(),
    **{f"interlocking, {n}": ml.rules.interlocking(reach=n) for n in (0, 1, 2)},
}  # fmt: skip


@pytest.mark.parametrize("name", MEASURED)
def test_locks_by_the_answers_are_those_that_perturbation_finds(name):
    rule = MEASURED[name]
    for measured in locality.measure(rule, toy_net(units=4, channels=4, size=4), 3):
        epoch = 1 if measured.phase == "global epochs" else 0
        assert locks(rule, measured.sizes, epoch) == measured.locks


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("weighting", ["literal", "unfolded"])
def test_exponents_give_the_weights_of_every_alpha(weighting, alpha):
    learner = learner_of(Variant("backlink", "0c1f", 2), 4)
    rule = ml.rules.backlink(length=2, alpha=alpha, weighting=weighting)
    expected: dict[int, dict[int, float]] = {}
    sizes = [len(m.units) for m in learner.modules]
    for path in error_paths(rule, sizes):
        for unit, weight in zip(path.units, path.weights, strict=True):
            expected.setdefault(unit, {})[path.loss] = weight
    for k, row in enumerate(errors_of(learner)):
        top = sum(sizes[: k + 1]) - 1
        for loss, field in ((k, "own"), (row.get("source", 0), "above")):
            numbers = row.get(field, 0)
            for j, n in enumerate([0] * numbers if isinstance(numbers, int) else numbers):
                base = alpha if n > 0 else 1 - alpha
                weight = 1.0 if n == 0 else base ** (abs(n) if weighting == "literal" else 1)
                assert expected[top - j].pop(loss) == weight
    assert not any(expected.values())


def test_what_comes_down_is_what_the_rule_says():
    rows = {v: errors_of(learner_of(Variant(*v), 3)) for v in (("bp",), ("gll", "0c1f"), ("dni",), ("fdg",))}
    assert [row.get("arrives") for row in rows["bp",]] == ["the error of loss 3", "the error of loss 3", None]
    assert not any("arrives" in row or "above" in row for row in rows["gll", "0c1f"])
    assert [row.get("target", False) for row in rows["dni",]] == [True, True, False]
    assert all(row["delayed"] and row["upward"] for row in rows["fdg",][:2])


def test_messages_of_gll_go_up_only_and_are_the_outputs():
    learner = learner_of(Variant("gll", "0c1f"), 4)
    place = Placement(learner.rule, Counted(RESNET20.net, 8, 1e9).modules(learner.modules))
    outputs = RESNET20.cut(4)["outputs"]
    assert messages(place) == [(8 * n, 0) for n in outputs[:-1]]


# ---------------------------------------------------------------- choices


def test_every_rule_and_length_is_a_variant_once():
    keys = [variant.key for variant in variants()]
    assert len(keys) == len(set(keys)) == sum(
        max(1, len(choice.aux)) * (len(choice.slider.values) if choice.slider else 1) for choice in CHOICES.values()
    )  # fmt: skip
    assert {choice.rule for choice in CHOICES.values()} == set(ml.rules.NAMES)
    assert counts(16) == counts(55) == [2, 4, 8, 16] and counts(10) == [2, 4, 8, 10]


def test_a_link_longer_than_its_modules_is_the_longest_that_differs():
    link = {length: Variant("backlink", "0c1f", length) for length in LENGTH.values}
    assert link[0].same_as([2, 2, 2]) == Variant("gll", "0c1f")
    assert link[4].same_as([2, 2, 2]) == link["module"].same_as([2, 2, 2]) == link[2]
    assert link["module"].same_as([6, 6]) == link["module"] and link[3].same_as([3, 2, 9]) == link[3]


def test_a_reach_beyond_the_last_module_is_the_shortest_that_ends_there():
    reach = {n: Variant("interlocking", "1c2f", n) for n in REACH.values}
    assert reach[0].same_as([4] * 4) == Variant("gll", "1c2f")
    assert [reach[n].same_as([4] * 4) for n in (1, 2, 3, 7, 15)] == [reach[n] for n in (1, 2, 3, 3, 3)]
    assert reach[15].same_as([1] * 16) == reach[15] and reach[2].same_as([8, 8]) == reach[1]
    assert Variant("auglocal", "", 5).same_as([8, 8]) == Variant("auglocal", "", 5)


def test_every_number_of_modules_has_its_reach_that_is_bp():
    assert {K - 1 for K in counts(16)} <= set(REACH.values)


def test_errors_that_pass_through_a_module_are_no_errors_of_its_units():
    """n = 2 of K = 4: two errors cross into module 2, and its units learn from the second one alone."""
    rows = errors_of(learner_of(Variant("interlocking", "1c2f", 2), 4))
    assert not any("own" in row for row in rows[:3]) and rows[3]["own"] == 2
    assert [(row["above"], row["source"]) for row in rows[:3]] == [(3, 2), (3, 3), (2, 3)]
    assert [(row["arrives"], row.get("errors", 1)) for row in rows[:3]] == [
        ("the error of loss 3", 1), ("the error of losses 3 to 4", 2), ("the error of loss 4", 1),
    ]  # fmt: skip


def test_hpffs_module_1_has_no_loss():
    first, *others = errors_of(learner_of(Variant("hpff"), 4))
    assert "own" not in first and "loss" not in first and first["above"] == 3
    assert [(row["own"], row.get("above", 0), row["loss"]) for row in others] == [(3, 3, "L"), (2, 2, "L"), (2, 0, "L")]


def test_a_rule_that_cannot_be_built_says_why():
    point = Points("vgg16").point(16, Variant("infopro", "0c1f"))
    assert point.keys() == {"why"} and "fully connected" in point["why"]


# ---------------------------------------------------------------- errors


def errors_at(variant: Variant, K: int) -> tuple[list[tuple[str, float]], list[float]]:
    settings = variant.settings("resnet32", K)
    own = ours(results(ROOT / "docs" / "results"), settings, K)
    return [(row["data"], row["error"]) for row in published(settings, K)], [row["error"] for row in own]


def recorded(folder: str, cell: str) -> float:
    """The last error of a cell in a table of docs/results."""
    with (ROOT / "docs" / "results" / folder / "experiment.csv").open(encoding="utf-8") as file:
        (row,) = (row for row in csv.DictReader(file) if row["cell"] == cell)
    return round(float(row["last_error_mean"]), 2)


def test_errors_are_those_of_the_tables_and_of_our_results():
    printed, own = errors_at(Variant("backlink", "1c2f", 1), 4)
    cell = "cifar10-resnet32-backlink-l1-K4"
    assert printed == [("CIFAR-10", 9.65)]
    assert {recorded(f"backlink-table3-{scale}", cell) for scale in ("small", "tiny")} <= set(own)
    printed, own = errors_at(Variant("gll", "0c1f"), 16)
    assert ("CIFAR-10", 24.21) in printed and ("CIFAR-10", 24.59) in printed
    tables = ("backlink-table2-tiny", "infopro-table2-tiny")
    assert {recorded(folder, "cifar10-resnet32-gll-K16") for folder in tables} <= set(own)
    assert errors_at(Variant("backlink", "1c2f", 3), 8) == ([], [])


def test_bp_has_its_errors_at_every_k_with_and_without_checkpointing():
    assert errors_at(Variant("bp"), 2) == errors_at(Variant("bp-inputs"), 16)
    assert ("CIFAR-10", 7.37) in errors_at(Variant("bp"), 2)[0] and errors_at(Variant("bp"), 2)[1]


def test_an_experiment_that_is_no_printed_table_is_left_out(tmp_path):
    """Seen to fail: errors of five learning rates stood at one point, and nothing told them apart."""
    names = "experiment,scale,cell,trials,last_error_mean,last_error_std,deviations"
    rates = [f"backlink-fig5,tiny,cifar10-resnet32-backlink-l1-K4-lr{lr},1,20.0,,digits" for lr in (0.01, 0.05)]
    (tmp_path / "rates").mkdir()
    (tmp_path / "rates" / "experiment.csv").write_text("\n".join([names, *rates]))
    assert results(tmp_path) == []
    table = "backlink-table2,tiny,cifar10-resnet32-backlink-l1-K4,1,20.0,,digits"
    (tmp_path / "rates" / "experiment.csv").write_text("\n".join([names, *rates, table]))
    (row,) = results(tmp_path)
    assert row.row["experiment"] == "backlink-table2, scale tiny"


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(ml.UserError, match="has no"):
        results(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "experiment.csv").write_text("cell\nb\n")
    with pytest.raises(ml.UserError, match="is no table of an experiment"):
        results(tmp_path)
    assert results(None) == []
