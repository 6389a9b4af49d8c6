"""The folder in which the command lines are tried: a run, its exported file, images, rules, and wrong files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from tests.faults.doors.forked import command

TRAIN = "train --quiet --net mlp --rule gll --modules 2 --limit-train 60 --limit-test 20 --epochs 1 --threads 1"

RULES = '''
import minilocal as ml

number = 3

def mine(length: int = 1):
    """A rule of one's own."""
    return ml.rules.backlink(length=length)

def raises():
    raise RuntimeError("two\\nlines")

def returns():
    return "no rule"
'''

TEXTS = {
    "text.txt": "some words\n",
    "empty.toml": "",
    "broken.toml": "[rule\nname = ",
    "table.toml": "[rules]\nname = 'gll'\n",
    "key.toml": "[optim]\nlearning_rate = 0.1\n",
    "type.toml": "[optim]\nepochs = 'ten'\n",
    "top.toml": "rule = 'gll'\n",
    "nan.toml": "[optim]\nlr = nan\n",
    "broken.json": '{"rule": ',
    "list.json": "[1, 2, 3]",
    "null.json": "null",
    "rules.py": RULES,
    "syntax.py": "def mine(:\n",
    "missing.py": "import a_module_that_is_not_there\n",
    "experiment.toml": "name = 'mine'\n",
}


def make(folder: Path) -> None:
    """Lay everything out in `folder`, which is empty."""
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    for name in ("empty", "cache"):
        (folder / name).mkdir()
    for words in ([*TRAIN.split(), "--out", "run"], ["export", "run", "--out", "run.npz"]):
        ended = command(words, folder)
        assert ended.status == 0, ended
    images(folder)


def images(folder: Path) -> None:
    """Image files that are wrong, each in one way, and one that is right."""
    x, y = np.zeros((4, 8, 8, 1), "uint8"), np.arange(4)
    files = {
        "images": {"x": x, "y": y},
        "unknown": {"pictures": x},
        "colours": {"x": np.zeros((4, 8, 8, 3), "uint8")},
        "large": {"x": np.zeros((4, 9, 9, 1), "uint8")},
        "flat": {"x": np.zeros((4, 64), "uint8")},
        "floats": {"x": x.astype("float32")},
        "none": {"x": x[:0]},
        "complex": {"x": x.astype("complex64")},
        "words": {"x": np.array(["a", "b"])},
        "labels_few": {"x": x, "y": y[:2]},
        "labels_high": {"x": x, "y": y + 8},
        "labels_negative": {"x": x, "y": y - 1},
        "labels_floats": {"x": x, "y": y.astype("float64")},
        "range_nan": {"x": x.astype("float32"), "range": np.array([0.0, np.nan])},
        "range_one": {"x": x.astype("float32"), "range": np.array([1.0])},
        "range_falls": {"x": x.astype("float32"), "range": np.array([1.0, 0.0])},
        "nan": {"x": np.full((4, 8, 8, 1), np.nan, "float32"), "range": np.array([0.0, 1.0])},
    }
    for name, arrays in files.items():
        np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]


def content(folder: Path) -> str:
    """A sum of every path below `folder`, its kind, mode and content."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        total.update(f"{path.relative_to(folder)} {path.lstat().st_mode} ".encode())
        if path.is_symlink():
            total.update(os.readlink(path).encode())
        elif path.is_file():
            total.update(path.read_bytes())
    return total.hexdigest()
