"""Views of what runs measure beside their errors: σ, cosines to BP's gradient, linear probes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minilocal.report.document import Part, Picture, Table
from minilocal.reproduce import VIEWS, Plan, load, plan
from minilocal.reproduce.plan import PlannedCell
from tests.helpers.made_up_results import errors, made_up

EPOCHS = 3


def planned(name: str, **options: Any) -> Plan:
    return plan(load(name), "tiny", trials=2, changes={"optim.epochs": EPOCHS}, **options)


def shown(view: str, asked: Plan, rows: Any) -> tuple[list[Picture], list[Table], list[str]]:
    parts: list[Part] = VIEWS[view](asked, made_up(asked, rows))
    pictures = [part for part in parts if isinstance(part, Picture)]
    assert len({picture.name for picture in pictures}) == len(pictures)
    return pictures, [p for p in parts if isinstance(p, Table)], [p for p in parts if isinstance(p, str)]


def lines(picture: Picture) -> dict[str, list[float]]:
    (axes,) = picture.figure.axes
    return {str(line.get_label()): np.asarray(line.get_ydata(), float).tolist() for line in axes.lines}


def entry(sigma: float, modules: int = 4) -> dict[str, Any]:
    """A row's entry: the norm ratio is 2 σ, and the cosine of module k is k / 10."""
    cosines = [k / 10 for k in range(1, modules + 1)]
    return {"sigma": sigma, "norm_ratio": 2 * sigma, "cosine": 0.5, "modules": {"cosine": cosines}}


def with_sigma(cell: PlannedCell, seed: int) -> list[dict[str, Any]]:
    """σ = 1 before training, then α + epoch + seed, but below 0 at last where l = 4 and α = 0.25."""
    options, rows = cell.config.rule.options, errors(*range(EPOCHS))
    for row in rows:
        row["convergence"] = entry(options["alpha"] + row["epoch"] + seed)
    rows[0]["convergence_before"] = entry(1.0)
    if (options["length"], options["alpha"]) == (4, 0.25):
        rows[-1]["convergence"] = entry(-0.5)
    return rows


def test_sigma_and_the_norm_ratio_are_drawn_from_the_initial_weights_on():
    pictures, tables, texts = shown("assumption", planned("backlink-fig3"), with_sigma)
    assert [p.name for p in pictures] == [
        "sigma-resnet-32-on-digits-k-4", "norm-ratio-resnet-32-on-digits-k-4",
        "sigma-resnet-32-on-digits-k-16", "norm-ratio-resnet-32-on-digits-k-16",
    ]  # fmt: skip
    four = lines(pictures[0])
    assert set(four) == {"BackLink, l = 1, α = 0.5", *(f"BackLink, l = 4, α = {a}" for a in ("0.25", "0.5", "0.75"))}
    assert four["BackLink, l = 1, α = 0.5"] == [1.0, 2.0, 3.0, 4.0]  # the mean over both trials
    assert lines(pictures[1])["BackLink, l = 1, α = 0.5"] == [2.0, 4.0, 6.0, 8.0]
    (axes,) = pictures[0].figure.axes
    assert np.asarray(axes.lines[0].get_xdata()).tolist() == [0, 1, 2, 3]
    row = tables[0].rows[0]
    assert list(row.values()) == ["BackLink, l = 1, α = 0.5", "1.000", "1.000", "2.500", "4.000", "9.000"]
    assert texts[-1] == "σ is positive wherever it is measured in 4 of 5 cells; the least is -0.500."


def with_cosines(cell: PlannedCell, seed: int) -> list[dict[str, Any]]:
    rows = errors(*range(EPOCHS))
    for row in rows:
        row["convergence"] = {"modules": {"cosine": [row["epoch"] / 10 + seed / 100] * 4}}
    return rows


def test_cosines_are_drawn_over_modules_and_as_a_map_over_epochs():
    pictures, tables, _ = shown("alignment", planned("alignment", cells_="*-K4"), with_cosines)
    curves, *maps = pictures
    assert set(lines(curves)) == {"GLL", "BackLink, l = 1", "BackLink, l = 4"}
    np.testing.assert_allclose(lines(curves)["GLL"], [0.305] * 4)
    assert tables[0].rows[0]["module 4"] == "0.30" and len(tables[0].rows) == 3
    assert [p.name for p in maps] == [
        f"alignment-{rule}-resnet-32-on-digits-k-4" for rule in ("gll", "backlink-l-1", "backlink-l-4")
    ]
    (axes,) = maps[0].figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["module 4", "module 3", "module 2", "module 1"]
    image: Any = axes.images[0].get_array()
    np.testing.assert_allclose(image, [[0.105, 0.205, 0.305]] * 4)


def test_a_cell_without_a_measurement_is_left_out():
    def rows(cell: PlannedCell, seed: int) -> list[dict[str, Any]]:
        return errors(*range(EPOCHS)) if cell.config.rule.name == "gll" else with_cosines(cell, seed)

    pictures, tables, _ = shown("alignment", planned("alignment", cells_="*-K4"), rows)
    assert set(lines(pictures[0])) == {"BackLink, l = 1", "BackLink, l = 4"} and len(tables[0].rows) == 2
    assert not shown("assumption", planned("backlink-fig3"), lambda *_: errors(*range(EPOCHS)))[0]
    assert not shown("probes", planned("linear-probes"), lambda *_: errors(*range(EPOCHS)))[0]


def test_probes_are_drawn_over_modules():
    def rows(cell: PlannedCell, seed: int) -> list[dict[str, Any]]:
        result = errors(*range(EPOCHS))
        result[-1]["probe_errors"] = [40.0 - 2 * k + seed for k in range(16)]
        return result

    (picture,), (table,), _ = shown("probes", planned("linear-probes"), rows)
    assert set(lines(picture)) == {"BP", "GLL", "BackLink, l = 1"}
    assert lines(picture)["BP"] == [40.5 - 2 * k for k in range(16)]
    (axes,) = picture.figure.axes
    assert axes.get_title(loc="left") == "ResNet-32 on digits (K = 16)" and axes.get_xlabel() == "module"
    assert table.rows[0]["module 1"] == "40.50 ± 0.71" and table.rows[0]["module 16"] == "10.50 ± 0.71"
