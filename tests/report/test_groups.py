"""Groups of runs: no run is lost or overwritten, and each curve is called by what sets it apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from minilocal.report.groups import CROWD, Panel, panels
from minilocal.report.runs import read
from tests.helpers.written_run import write_run

BP: dict[str, Any] = {"rule__name": "bp"}
GLL: dict[str, Any] = {"rule__name": "gll"}


def link(length=1, alpha=0.5):
    return {"rule__name": "backlink", "rule__length": length, "rule__alpha": alpha}


def grouped(folder: Path, *runs: dict[str, Any]) -> list[Panel]:
    """The panels of runs with these keys, whose last error is 10 for the first, 11 for the second, ..."""
    keys = [dict(run) for run in runs]
    written = [write_run(folder / str(n), run.pop("errors", [50.0, 10.0 + n]), **run) for n, run in enumerate(keys)]
    parts, _ = panels([read(path) for path in written])
    return parts


def names(panel: Panel) -> list[str]:
    return [group.name for group in panel.groups]


def numbers(panel: Panel) -> list[list[str]]:
    """The folders of each group."""
    return [[run.folder.name for run in group.runs] for group in panel.groups]


def test_runs_of_two_networks_stay_apart(tmp_path):
    mlp, resnet = grouped(tmp_path, BP, GLL, {**BP, "net__name": "resnet8"}, {**GLL, "net__name": "resnet8"})
    assert (mlp.title, names(mlp), numbers(mlp)) == ("mlp, K = 2, all images of digits", ["BP", "GLL"], [["0"], ["1"]])
    assert (resnet.title, numbers(resnet)) == ("resnet8, K = 2, all images of digits", [["2"], ["3"]])
    assert mlp.name != resnet.name


def test_seeds_are_one_group_wherever_they_ran(tmp_path):
    seeds = [{**BP, "run__seed": s, "run__threads": s, "run__out": f"/{s}"} for s in (2, 0, 1)]
    (panel,) = grouped(tmp_path, *seeds, GLL)
    assert numbers(panel) == [["1", "2", "0"], ["3"]] and names(panel) == ["BP", "GLL"]
    np.testing.assert_array_equal(panel.groups[0].last, [11, 12, 10])
    assert panel.title == "mlp, K = 2, all images of digits"


def test_a_rules_option_is_named_where_its_runs_differ_in_it(tmp_path):
    (panel,) = grouped(tmp_path / "a", link(), link(2), link(1, 0.25), GLL)
    assert sorted(names(panel)) == [
        "BackLink, α = 0.25, l = 1", "BackLink, α = 0.5, l = 1", "BackLink, α = 0.5, l = 2", "GLL"
    ]  # fmt: skip
    (panel,) = grouped(tmp_path / "b", link(2), GLL)
    assert names(panel) == ["GLL", "BackLink, l = 2"]


def test_any_other_key_that_differs_is_named(tmp_path):
    decays = {"optim__lr": 0.1, "optim__weight_decay": 0.0}
    (panel,) = grouped(
        tmp_path, {**BP, **decays}, {**BP, **decays, "optim__lr": 0.2}, {**BP, **decays, "optim__weight_decay": 0.1}
    )
    assert sorted(names(panel)) == [
        "BP, lr = 0.1, weight decay = 0.0", "BP, lr = 0.1, weight decay = 0.1", "BP, lr = 0.2, weight decay = 0.0"
    ]  # fmt: skip


def test_one_seed_twice_is_one_run_where_the_numbers_agree(tmp_path):
    runs = [read(write_run(tmp_path / name, [50, 20], **GLL)) for name in ("a", "b")]
    (panel,), remarks = panels(runs)
    assert numbers(panel) == [["a"]]
    assert remarks == [f"{tmp_path / 'b'} repeats {tmp_path / 'a'}, number for number: it counts once."]


def test_one_seed_twice_with_other_numbers_overwrites_nothing(tmp_path):
    runs = [read(write_run(tmp_path / name, [50, last], **GLL)) for name, last in (("a", 20), ("b", 30), ("c", 40))]
    (panel,), remarks = panels(runs)
    assert numbers(panel) == [["a"], ["b"], ["c"]] and [group.last.item() for group in panel.groups] == [20, 30, 40]
    assert names(panel) == ["GLL", "GLL, again", "GLL, again 2"]
    assert len(remarks) == 2 and "'s configuration" not in remarks[0] and str(tmp_path / "b") in remarks[0]


def test_the_first_epochs_of_a_finished_run_repeat_it(tmp_path):
    whole, part = read(write_run(tmp_path / "whole", [50, 20], **GLL)), read(write_run(tmp_path / "part", [50], **GLL))
    (panel,), remarks = panels([part, whole])
    assert numbers(panel) == [["whole"]] and len(remarks) == 1


def test_an_unfinished_run_stands_apart_and_is_marked(tmp_path):
    (panel,) = grouped(tmp_path, GLL, {**GLL, "run__seed": 1}, {**GLL, "run__seed": 2, "errors": [50]})
    assert numbers(panel) == [["0", "1"], ["2"]] and names(panel) == ["GLL", "GLL, unfinished"]
    assert [group.state for group in panel.groups] == ["2", "1 of 2, unfinished"]


def test_unfinished_seeds_are_compared_at_an_epoch_that_all_have(tmp_path):
    runs = [
        read(write_run(tmp_path / str(s), errors, local=[90.0 - s], optim__epochs=9, run__seed=s))
        for s, errors in enumerate(([50.0, 40.0, 30.0], [60.0, 55.0]))
    ]
    ((panel,), _) = panels(runs)
    (group,) = panel.groups
    assert group.epochs == 2 and group.state == "2 of 9, unfinished" and group.last.tolist() == [40, 55]
    assert group.local_errors.tolist() == [[90, 40], [89, 55]] and group.best.tolist() == [40, 55]


def test_a_file_of_ones_own_rule_with_the_same_name_keeps_its_own_curve(tmp_path):
    for folder, alpha in (("one", 0.5), ("two", 0.25)):
        (tmp_path / folder).mkdir()
        text = f"import minilocal as ml\n\n\ndef mine():\n    return ml.rules.backlink(alpha={alpha})\n"
        (tmp_path / folder / "own.py").write_text(text)
    own = [{"rule__name": f"{tmp_path / folder}/own.py:mine"} for folder in ("one", "two")]
    (panel,) = grouped(tmp_path / "runs", *own)
    assert len(set(names(panel))) == 2 and numbers(panel) == [["0"], ["1"]]


def test_two_files_of_images_with_one_name_keep_their_own_figures(tmp_path):
    images = [{**BP, "data__name": f"npz:/{folder}/mine.npz"} for folder in ("one", "two")]
    parts = grouped(tmp_path, *images)
    assert [panel.name for panel in parts] == ["mlp-mine-npz", "mlp-mine-npz-2"]
    assert [numbers(panel) for panel in parts] == [[["0"]], [["1"]]]


def test_a_crowded_panel_is_parted_by_the_number_of_modules(tmp_path):
    rates = [{**rule, "optim__lr": 0.01 * n} for n in range(1, CROWD // 2 + 1) for rule in (BP, GLL)]
    (panel,) = grouped(tmp_path / "a", *rates)
    assert len(panel.groups) == CROWD
    parts = grouped(tmp_path / "b", *rates, {**GLL, "net__modules": 3})
    assert [len(part.groups) for part in parts] == [CROWD, 1] and [p.name for p in parts] == [
        "mlp-digits-k2", "mlp-digits-k3"
    ]  # fmt: skip


def test_a_file_without_a_key_that_is_younger_has_its_default(tmp_path):
    now, then = write_run(tmp_path / "now", [50, 20], **GLL), write_run(tmp_path / "then", [50, 30], run__seed=1, **GLL)
    tables = json.loads((then / "config.json").read_text())
    del tables["net"]["fc_norm"], tables["run"]["tf32"]
    (then / "config.json").write_text(json.dumps(tables))
    (panel,), _ = panels([read(now), read(then)])
    assert numbers(panel) == [["now", "then"]]
