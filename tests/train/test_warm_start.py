"""A run may start from another's weights, or from anybody's arrays; what did not fit is said, or refused whole."""

from __future__ import annotations

import shutil
import zipfile
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import record
from minilocal.errors import UserError
from minilocal.train import build, load, train, warm_start
from tests.helpers.small_run import configuration


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A finished GLL run's folder."""
    return train(configuration(tmp_path_factory.mktemp("source") / "run", rule__name="gll", net__name="resnet8")).path


def fresh(rule="gll", **keys):
    return build(configuration(None, rule__name=rule, net__name="resnet8", run__seed=7, **keys))[1]


def arrays(learner: ml.Learner) -> dict[str, Any]:
    return {**learner.parameters(), **learner.buffers()}


@pytest.mark.parametrize("what", ["folder", "checkpoint", "saved", "plain"])
def test_everything_of_the_same_network_is_taken(source, tmp_path, what):
    trained = arrays(load(source)[1])
    path = {"folder": source, "checkpoint": source / "checkpoint.npz", "plain": tmp_path / "w.npz"}.get(
        what, tmp_path / "s.npz"
    )
    if what == "saved":
        load(source)[1].save(path)
    if what == "plain":
        np.savez(path, **trained)
    learner = fresh()
    line, about = warm_start(learner, path)
    for name, a in arrays(learner).items():
        np.testing.assert_array_equal(a, trained[name], err_msg=name)
    assert line == f"weights of {path}: {len(trained)} arrays taken"
    assert about["taken"] == len(trained) and about["anew"] == about["left"] == []


def test_an_auxiliary_network_is_taken_whole_or_not_at_all(source):
    """GLL's linear classifier and the convolutional one both have an aux.0.*; BP has none."""
    trained = arrays(load(source)[1])
    for rule, keys, has in (("bp", {}, False), ("gll", {"rule__aux": "1c2f"}, True)):
        learner = fresh(rule, **keys)
        before = {name: a.copy() for name, a in arrays(learner).items()}
        line, about = warm_start(learner, source)
        for name, a in arrays(learner).items():
            expected = before if name.startswith("aux.") else trained
            np.testing.assert_array_equal(a, expected[name], err_msg=name)
        assert ("start anew" in line) == has and about["left"] == [n for n in trained if n.startswith("aux.")]
        assert about["anew"] == [name for name in before if name.startswith("aux.")]
        assert "aux.0.2.weight, aux.0.2.bias are left out" in line


def test_half_an_auxiliary_network_is_left_out(source, tmp_path):
    trained = dict(arrays(load(source)[1]))
    del trained["aux.0.2.bias"]
    np.savez(tmp_path / "w.npz", **trained)
    learner = fresh()
    before = learner.parameters()["aux.0.2.weight"].copy()
    _, about = warm_start(learner, tmp_path / "w.npz")
    np.testing.assert_array_equal(learner.parameters()["aux.0.2.weight"], before)
    assert about["anew"] == ["aux.0.2.weight", "aux.0.2.bias"] and about["left"] == ["aux.0.2.weight"]


def test_a_part_of_a_network_is_enough_and_what_is_missing_is_said(tmp_path):
    learner = fresh()
    np.savez(
        tmp_path / "w.npz", **{"conv1.weight": np.ones_like(learner.parameters()["conv1.weight"]), "other": np.ones(3)}
    )
    line, _ = warm_start(learner, tmp_path / "w.npz")
    assert (learner.parameters()["conv1.weight"] == 1).all()
    assert "1 arrays taken; bn1.weight, " in line and "more start anew; other are left out" in line


def test_another_shape_loads_nothing(source, tmp_path):
    trained = dict(arrays(load(source)[1]))
    trained["fc.weight"] = np.zeros((64, 3), np.float32)
    np.savez(tmp_path / "w.npz", **trained)
    learner = fresh()
    before = {name: a.copy() for name, a in arrays(learner).items()}
    with pytest.raises(UserError, match=r"fc\.weight.*Nothing was loaded"):
        warm_start(learner, tmp_path / "w.npz")
    assert all(np.array_equal(a, before[name]) for name, a in arrays(learner).items())


def test_what_cannot_be_weights_is_one_line_and_leaves_no_folder(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(2))
    trap: dict[str, Any] = {"conv1.weight": np.array([{}], dtype=object)}
    np.savez(tmp_path / "trap.npz", **trap)
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("model/data.pkl", b"")  # as torch.save writes it
    train_it = configuration(tmp_path / "new", net__name="resnet8").run.out
    for name, message in (
        ("other.npz", "it holds a, and resnet8 has"), ("trap.npz", "cannot be read"), ("text.npz", "was never an .npz"),
        ("none.npz", "no such file"), ("empty", "no run folder"),
        ("model.pt", r"a file of torch\.save\..*minilocal\.interop\.from_torch"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message) as caught:
            train(configuration(tmp_path / "new", net__name="resnet8", net__weights=str(tmp_path / name)))
        assert "\n" not in str(caught.value)
    assert train_it == str(tmp_path / "new") and not (tmp_path / "new").exists()


def test_a_run_starts_from_them_says_so_and_goes_on_without_them(source, tmp_path, monkeypatch):
    """Its first step is from the weights of the other run; resumed it needs them no more, unless it saved nothing."""
    copy = shutil.copytree(source, tmp_path / "copy")
    lines: list[str] = []
    seen: list[np.ndarray] = []
    real = ml.Learner.step

    def step(self, x, y, lr):
        seen.append(self.parameters()["conv1.weight"].copy())
        if len(seen) in (1, 6):
            raise KeyError
        return real(self, x, y, lr)

    config = configuration(tmp_path / "run", rule__name="backlink", net__name="resnet8", net__weights=str(copy))
    expected = load(source)[1].parameters()["conv1.weight"]
    with monkeypatch.context() as patch:
        patch.setattr(ml.Learner, "step", step)
        with pytest.raises(KeyError):
            train(config, say=lines.append)
        assert any(line.startswith(f"weights of {copy}: ") for line in lines)
        with pytest.raises(KeyError):  # it starts anew, from them again
            train(resume=tmp_path / "run")
    np.testing.assert_array_equal(seen[0], expected)
    np.testing.assert_array_equal(seen[1], expected)
    assert record.config(tmp_path / "run")["net"]["weights"] == str(copy)
    about = record.recorded_environment(tmp_path / "run")["weights"]
    assert about["taken"] == len(arrays(load(source)[1])) and len(about["digest"]) == 32
    shutil.rmtree(copy)
    assert len(train(resume=tmp_path / "run").rows) == 2
    load(tmp_path / "run")
