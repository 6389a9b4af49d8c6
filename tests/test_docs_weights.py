"""docs/results/weights, held: its table is that of its files; these load, are small, and have the errors they say."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

import minilocal as ml
from minilocal import cli, record
from minilocal.cli.export import table
from minilocal.config import flatten, from_tables, tables_of
from minilocal.kernels.threads import threads, use_threads
from minilocal.train import exported, load
from minilocal.train.same_run import MACHINE
from minilocal.train.saved_run import read
from tests.helpers.host import host
from tests.test_docs_examples import do

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "results" / "weights"
PAGE = (FOLDER / "README.md").read_text("utf-8")
FILES = sorted(path for path in FOLDER.glob("*.npz") if not path.stem.endswith("-predictions"))
OF_DIGITS = [path for path in FILES if path.name.startswith("digits-")]
MOST = 3_000_000  # bytes
SMALLEST_GAP = 1e-3  # of a logit to the next; rounding changes logits by some 1e-5


def test_there_is_something_to_hold():
    assert {"digits-resnet8-bp-K1.npz", "digits-resnet8-backlink-l1-K4.npz"} <= {path.name for path in OF_DIGITS}


def test_the_table_is_that_of_the_files():
    """Another table: minilocal export --table docs/results/weights/*.npz"""
    head = table([]).splitlines()[0]
    lines = PAGE[PAGE.index(head) :].partition("\n\n")[0]
    assert lines == table([read(path) for path in FILES])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_loads_and_is_small_and_says_its_error_on_how_many_images(path):
    config, learner, _ = load(path)
    arrays, entry = record.read_exported(path)
    assert path.stat().st_size < MOST and all(a.dtype == np.float32 for a in arrays.values())
    assert arrays.keys() == {*learner.parameters(), *learner.buffers()}
    assert read(path).test_error is not None and entry["data"]["test_images"] and entry["data"]["digest"]
    assert path.stem.startswith(exported.name(config))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_says_nothing_of_the_folders_of_its_machine(path):
    keys, defaults = (flatten(tables_of(c), "") for c in (load(path)[0], from_tables({}, "defaults")))
    assert all(keys[key] == defaults[key] for key in (*MACHINE, "net.weights"))
    assert str(ROOT) not in json.dumps(record.read_exported(path)[1])


@pytest.mark.parametrize("path", OF_DIGITS, ids=lambda path: path.stem)
def test_a_file_of_the_digits_has_the_error_that_it_says(path, tmp_path, capsys):
    """On any machine: no image is so near to two classes that rounding could change its class."""
    assert cli.main(["predict", str(path), "--out", str(tmp_path / "p.npz")]) == 0
    printed = f"360 images of the test set of digits: error {read(path).test_error:.2f} %, as recorded after epoch"
    assert capsys.readouterr().out.startswith(printed)
    digits = ml.data.load("digits")
    logits = np.sort(host(load(path)[1].predict(digits.normalise(digits.test_x))), axis=1)
    assert (logits[:, -1] - logits[:, -2]).min() > SMALLEST_GAP


def test_the_page_does_what_it_shows(tmp_path, monkeypatch):
    shutil.copytree(FOLDER, tmp_path / "docs" / "results" / "weights")
    monkeypatch.chdir(tmp_path)
    before = threads()
    assert do(PAGE, "docs/results/weights/README.md") >= 9
    use_threads(before)


def test_the_package_is_without_them():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"] == {"packages": ["minilocal"]} and set(build["sdist"]) == {"only-include"}
    sources = [ROOT / name for name in build["sdist"]["only-include"]]
    assert not any(path in (FOLDER, *FOLDER.parents) for path in sources)
    assert [path.name for path in (ROOT / "minilocal").rglob("*.npz")] == ["digits.npz"]
