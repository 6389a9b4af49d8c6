"""Views that train nothing: splits, classes, bytes and simulated times, beside what the papers print."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import published
from minilocal.memory import GPU, estimate
from minilocal.parallel.simulate.costs import PartCosts
from minilocal.parallel.simulate.measure import Measure
from minilocal.report.document import Picture, Table
from minilocal.reproduce import VIEWS, Result, load, plan
from minilocal.reproduce.views.memory import claims as memory_claims
from minilocal.reproduce.views.run_time import Time
from minilocal.reproduce.views.run_time import claims as time_claims


def shown(name: str, **options: Any) -> tuple[list[Picture], list[Table], list[str]]:
    asked = plan(load(name), "tiny", **options)
    assert asked.scale == "full"  # whatever is asked for: nothing is trained
    (view,) = asked.experiment.views
    parts = VIEWS[view](asked, [Result(cell) for cell in asked.taken])
    assert all(part.figure.alt and part.caption for part in parts if isinstance(part, Picture))
    kinds: Any = [[p for p in parts if isinstance(p, kind)] for kind in (Picture, Table, str)]
    pictures, tables, texts = kinds
    return pictures, tables, texts


def lines(picture: Picture) -> dict[str, list[float]]:
    (axes,) = picture.figure.axes
    return {str(line.get_label()): np.asarray(line.get_ydata(), float).tolist() for line in axes.lines}


def test_splits_are_those_of_the_paper_with_longer_modules_at_the_bottom():
    (deep, shallow), (table,), _ = shown("backlink-fig2")
    assert [dict(row) for row in table.rows] == [
        {"network": "ResNet-110", "units": "55", "K = 2": "1 × 28, 1 × 27", "K = 4": "3 × 14, 1 × 13",
         "K = 8": "7 × 7, 1 × 6", "K = 16": "7 × 4, 9 × 3"},
        {"network": "ResNet-32", "units": "16", "K = 2": "2 × 8", "K = 4": "4 × 4", "K = 8": "8 × 2",
         "K = 16": "16 × 1"},
    ]  # fmt: skip
    patches: Any = deep.figure.axes[0].patches
    assert [patch.get_width() for patch in patches[:6]] == [28, 27, 14, 14, 14, 13]
    marks = [[np.asarray(line.get_xdata())[0] for line in p.figure.axes[0].lines] for p in (deep, shallow)]
    assert marks == [[19, 37], [6, 11]]  # the stem and 18 blocks, and 18 more; the stem and 5, and 5 more


def test_classes_are_those_that_the_loader_draws():
    (picture,), (table,), _ = shown("backlink-fig6")
    y = np.repeat(np.arange(10), 5000)
    images = np.zeros((len(y), 1, 1, 1), np.uint8)
    whole = ml.data.from_arrays(images, y, images[:1], y[:1], classes=[str(c) for c in range(10)])
    tail = np.bincount(whole.long_tailed().train_y)
    assert lines(picture) == {"CIFAR-10": [5000] * 10, "long-tailed CIFAR-10": tail.tolist()}
    assert table.rows[9] == {"class": "9", "CIFAR-10": "5000", "long-tailed CIFAR-10": str(tail[9])}
    assert table.rows[10]["long-tailed CIFAR-10"] == str(tail.sum())
    assert tail[1] == 3846 and tail[9] == 471  # 5000 / 1.3 is 3846.2, and 5000 / 1.3⁹ is 471.5


def test_memory_is_the_estimate_of_a_gpu_over_k():
    cells = "*-resnet32-bp-K1,*-resnet32-*-K16"
    (usual, kept), (table, claims), _ = shown("backlink-fig7", cells_=cells)
    net = ml.nets.resnet(32, classes=10, rng=ml.rng(0))
    sgd = ml.optim.SGD(momentum=0.9, weight_decay=1e-4)
    for name, rule in {
        "BP, checkpointed": ml.rules.bp(keep="inputs"),
        "BP, accumulated": ml.rules.bp(accumulate=16),
        "BackLink, l = 1": ml.rules.backlink(length=1, aux="1c2f"),
    }.items():
        total = estimate(net, rule, 16, 512, optimizer=sgd, machine=GPU()).total
        assert lines(usual)[name][1] == total / 1e9
        assert np.isnan(lines(usual)[name][0])
    assert "BackLink, l = 1, inputs kept" in lines(kept) and "BackLink, l = 1" not in lines(kept)
    assert "BackLink, l = 2" not in lines(usual)  # a module has one unit
    assert table.rows[0] == {"ResNet-32 on CIFAR-10": "BP", "K = 1": "1.32 (100)", "K = 16": "1.32 (100)"}
    assert [row["here"] for row in claims.rows] == ["76 %", "43 %", "44 %"]
    assert [row["here, inputs kept"] for row in claims.rows] == ["-", "21 %", "-"]


def test_claims_are_the_most_of_all_k_and_lengths_and_of_the_last_k_where_one_is_printed():
    totals = {
        "BP": {2: 100, 16: 100},
        "GLL": {2: 80, 16: 20},
        "BackLink, l = 1": {2: 88, 16: 21},
        "BackLink, l = 1, inputs kept": {2: 80, 16: 20},
        "InfoPro": {2: 160, 16: 30},
    }
    rows = memory_claims(totals, "ResNet-32", {"conv"})
    assert [(row["here"], row["here, inputs kept"]) for row in rows] == [("80 %", "-"), ("10 %", "0 %"), ("50 %", "-")]
    assert rows[1]["the text"] == "BackLink: at most 23 % more than GLL (usually below 5)"
    assert not memory_claims(totals, "ResNet-32", {"linear"}) and not memory_claims(totals, "VGG16", {"conv"})


def test_text_claims_name_networks_and_methods_of_the_tables():
    rows = published.table("backlink_text_claims")
    table = published.table("backlink_ieee_table3")
    assert list(rows[0]) == list(table[0])
    for column in ("network", "aux", "dataset"):
        assert {row[column] for row in rows} <= {row[column] for row in table}
    assert {row["method"] for row in rows} <= {row["method"].partition(" (")[0] for row in table}
    assert {row["value"] for row in rows if row["metric"].startswith("memory")} == {"69", "81", "79", "23", "12", "71"}
    assert {row["source"] for row in rows} == {"backlink-ieee", "backlink-preprint"}


@pytest.fixture
def one_second_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forwards of a second and backwards of two, messages without bytes."""
    units, others = PartCosts(forward=1.0, backward=2.0, backward_weights=1.0), PartCosts()
    monkeypatch.setattr(Measure, "timed", lambda self, kind, *_: units if kind == "unit" else others)


def test_run_times_are_simulated_over_k_beside_the_printed_limits(one_second_a_unit):
    (picture,), (table, claims), texts = shown("backlink-fig9", cells_="*-bp-*,*-gll-*,*-l4-K8")
    numbers, bp = lines(picture), 55 * 3 - 1  # the first unit needs no error at its input
    assert numbers["BP"] == pytest.approx([100] * 4, rel=1e-3)  # locked: devices wait for each other
    longest = [28, 14, 7, 4]  # modules' units, and none sends an error down
    assert numbers["GLL"] == pytest.approx([100 * (3 * units - 1) / bp for units in longest], rel=1e-3)
    assert [row["ResNet-110"] for row in table.rows] == ["BP", "GLL", "BackLink, l = 4"]
    assert [table.rows[2][f"K = {K}"] == "" for K in (2, 4, 8, 16)] == [True, True, False, True]
    assert claims.rows[0]["printed"] == "at most 53 % less than BP, on P100s"
    assert claims.rows[0]["here"] == "at most 93 %, GLL at K = 16"
    assert "docs/benchmarks/parallel.md" in texts[-1]


def test_fdgs_times_stand_beside_its_table(one_second_a_unit):
    (picture,), (_, claims), _ = shown("fdg-run-time")
    assert [dict(row) for row in claims.rows] == [
        {"rule": f"FDG, K = {K}", "printed": f"{printed} % of BP", "here": f"{own:.1f} % of BP"}
        for K, printed, own in zip((2, 3, 4), ("60.64", "52.03", "44.32"), lines(picture)["FDG"], strict=True)
    ]


def test_limits_are_the_largest_saving_and_the_largest_excess_over_gll():
    times = [
        Time("GLL", 2, 60.0, 0), Time("GLL", 4, 40.0, 0),
        Time("BackLink, l = 1", 2, 63.0, 0), Time("BackLink, l = 4", 4, 50.0, 0),
    ]  # fmt: skip
    rows = time_claims(times, "ResNet-110")
    assert [row["here"] for row in rows] == [
        "at most 60 %, GLL at K = 4", "at most 60 %, GLL at K = 4", "at most 50 %, BackLink, l = 4 at K = 4",
        "at most 25 %, BackLink, l = 4 at K = 4", "at most 25 %, BackLink, l = 4 at K = 4",
    ]  # fmt: skip
    assert rows[3]["printed"] == "at most 5 % more than GLL, on P100s (in most cases)"
    assert not time_claims(times, "ResNet-32")
