"""Loading by name, the description of a data set, and the script datasets.py."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from minilocal import data
from minilocal.errors import UserError

SCRIPT = Path(__file__).parents[2] / "datasets.py"


@pytest.mark.parametrize(("name", "near"), [("cifar1", "cifar10"), ("digit", "digits"), ("npz:", "npz:PATH")])
def test_an_unknown_name_gets_the_nearest(name, near):
    with pytest.raises(UserError) as caught:
        data.load(name)
    message = str(caught.value)
    assert (
        f"did you mean {near!r}?" in message
        and "digits, cifar10, cifar100, svhn, stl10, mnist, fashion-mnist, cifar10-lt, digits-lt, npz:PATH" in message
    )


def test_where_files_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("MINILOCAL_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data.default_folder() == tmp_path / ".cache" / "minilocal"
    monkeypatch.setenv("MINILOCAL_DATA", str(tmp_path / "mine"))
    assert data.default_folder() == tmp_path / "mine"
    with pytest.raises(UserError, match=f"cifar100 was not found in {tmp_path}/mine"):
        data.load("cifar100", download=False)
    with pytest.raises(UserError, match=f"not found in {tmp_path}/other"):
        data.load("cifar10", dir="~/other", download=False)
    assert list(tmp_path.iterdir()) == []  # looking makes no folder


def test_a_data_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        data.load("cifar10", dir=tmp_path / "file")


def test_describe_says_what_matters():
    text = data.describe(data.load("digits", validation=100, limit_train=1000, limit_test=50))
    for words in (
        "digits: 1000 training, 100 validation and 50 test images, 16×16×1, 10 classes",
        "100 training, 5 test",
        "mean 0.3054, deviation 0.3753",
        "shift by up to 1 pixel (black behind), no mirror",
        "CC BY 4.0",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) <= 120


def test_a_contact_sheet_shows_every_image_in_its_place():
    images = np.arange(1, 8, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 1), np.uint8)
    sheet = data.contact_sheet(images, columns=3)
    assert sheet.shape == (3 * 3 - 1, 3 * 4 - 1, 1) and sheet.dtype == np.uint8
    for n in range(7):
        top, left = n // 3 * 3, n % 3 * 4
        assert (sheet[top : top + 2, left : left + 3] == n + 1).all()
    assert (sheet[2] == 255).all() and (sheet[:, 3] == 255).all() and (sheet[6:, 4:] == 255).all()
    assert data.contact_sheet(images[:2], columns=10).shape == (2, 7, 1)


@pytest.mark.parametrize("columns", [0, -1])
def test_a_contact_sheet_of_nothing(columns):
    with pytest.raises(UserError, match="column"):
        data.contact_sheet(np.zeros((1, 2, 2, 1), np.uint8), columns)
    with pytest.raises(UserError, match="uint8 images"):
        data.contact_sheet(np.zeros((0, 2, 2, 1), np.uint8))


def run_script(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["datasets.py", *arguments])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return left.value.code


def test_the_script_prints_what_it_found(monkeypatch, capsys):
    assert run_script(monkeypatch, "digits") == 0
    assert capsys.readouterr().out.startswith("digits: 1437 training and 360 test images")


def test_the_script_says_what_is_wrong_in_one_line(monkeypatch, capsys, tmp_path):
    assert run_script(monkeypatch, "cifar10", "--data-dir", str(tmp_path), "--no-download") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "cifar10 was not found" in err
