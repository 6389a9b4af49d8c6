"""Every row says how well each module's own classifier does, and old rows and checkpoints stay readable."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minilocal import record
from minilocal.errors import UserError
from minilocal.train import load, predict, train
from tests.helpers.checkpoints import checkpoint
from tests.helpers.small_run import configuration


@pytest.mark.parametrize(("rule", "silent"), [("gll", []), ("bp", [0, 1]), ("backlink", [])])
def test_a_row_has_the_error_of_every_module(tmp_path, rule, silent):
    result = train(configuration(tmp_path / "run", rule__name=rule, net__name="resnet8", net__modules=3))
    row, d = result.rows[-1], result.dataset
    logits = result.learner.local_logits(d.normalise(d.test_x))
    expected = [None if z is None else 100 * np.mean(z.argmax(1) != d.test_y) for z in logits]
    assert row["local_errors"] == expected and row["local_errors"][-1] == row["test_error"]
    assert [k for k, e in enumerate(expected) if e is None] == silent


def test_answers_are_what_predict_says(tmp_path):
    result = train(configuration(tmp_path / "run"))
    d = result.dataset
    prediction = predict(result.learner, d.test_x, d, local=True)
    np.testing.assert_array_equal(prediction.logits, result.learner.predict(d.normalise(d.test_x)))
    np.testing.assert_array_equal(prediction.local[-1], predict(result.learner, d.test_x, d).classes)
    np.testing.assert_array_equal(prediction.logits.argmax(1), prediction.local[-1])


def test_rows_without_them_go_on(tmp_path):
    """As an older version wrote them."""
    path = train(configuration(tmp_path / "run")).path
    old = [{k: v for k, v in row.items() if k != "local_errors"} for row in record.rows(path)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in old))
    rows = train(resume=path, epochs=3).rows
    assert rows[:2] == old and len(rows[2]["local_errors"]) == 2


def test_missing_rows_are_named(tmp_path):
    path = train(configuration(tmp_path / "run")).path
    lines: list[str] = []
    (path / "metrics.jsonl").write_text("".join((path / "metrics.jsonl").read_text().splitlines(True)[1:]))
    train(resume=path, epochs=3, say=lines.append)
    assert lines[0] == f"{path}/metrics.jsonl has no row of epoch 1"


def rewritten(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """The run's checkpoint with another text."""
    arrays, metadata = checkpoint(path)
    change(metadata)
    with record.RunFolder(path) as folder:
        folder.save(arrays, metadata)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda metadata: metadata["progress"].update(images_seen=7), "'images_seen' is unknown to this version"),
        (lambda metadata: metadata["progress"].pop("sums"), "'sums' is missing"),
        (lambda metadata: metadata.pop("images"), "does not say its images"),
        (lambda metadata: metadata.update(progress=3), "does not say its progress"),
        (lambda metadata: metadata["config"].update(extra={}), "table 'extra' is not known"),
        (lambda metadata: metadata["images"].pop("digest"), "are not those that"),
    ],
)
def test_a_checkpoint_of_another_version_is_one_line(tmp_path, change, message):
    path = train(configuration(tmp_path / "run")).path
    rewritten(path, change)
    with pytest.raises(UserError, match=message) as caught:
        train(resume=path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_without_its_images_cannot_predict(tmp_path):
    path = train(configuration(tmp_path / "run")).path
    rewritten(path, lambda metadata: metadata["images"].pop("mean"))
    with pytest.raises(UserError, match="does not say what images"):
        load(path)


def test_a_checkpoint_of_before_there_was_an_option(tmp_path):
    """What it does not say has its default."""
    path = train(configuration(tmp_path / "run")).path
    rewritten(path, lambda metadata: (metadata["config"]["net"].pop("weights"), metadata["config"]["rule"].pop("aux")))
    assert len(train(resume=path, epochs=3).rows) == 3
