"""A run exported into one file: the same weights, what it says of the run, and what cannot be one."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import record
from minilocal.config import resolve
from minilocal.errors import UserError
from minilocal.train import export, exported, load, train, warm_start
from minilocal.train.saved_run import read
from tests.helpers.checkpoints import checkpoint
from tests.helpers.host import host
from tests.helpers.small_run import configuration

OWN = """
import minilocal as ml


def whisper(*, alpha: float = 0.9):
    return ml.rules.compose("Whisper", objective=ml.objectives.classifier(), boundary=ml.boundaries.link(1, alpha))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished GLL run's folder."""
    return train(configuration(tmp_path_factory.mktemp("run") / "run", rule__name="gll", net__name="resnet8")).path


@pytest.fixture(scope="module")
def file(run, tmp_path_factory):
    """The same run in one file."""
    return export(run, tmp_path_factory.mktemp("file") / "net.npz")


@pytest.mark.parametrize("out", ["", 5])
def test_a_place_that_is_none_is_one_line(run, out):
    with pytest.raises(UserError, match="out"):
        export(run, out)


def arrays(learner: ml.Learner) -> dict[str, np.ndarray]:
    return {name: host(a) for name, a in {**learner.parameters(), **learner.buffers()}.items()}


def entry(path: Path) -> dict[str, Any]:
    with np.load(path) as entries:
        content: dict[str, Any] = json.loads(str(entries["run.json"]))
    return content


def rewritten(path: Path, out: Path, text: str | None = None, **changes: Any) -> Path:
    """A copy with another text for its entry, and other arrays, None for none: `fc_bias` is fc.bias."""
    with np.load(path) as entries:
        content: dict[str, Any] = {name: entries[name] for name in entries.files}
    content |= {name.replace("_", "."): a for name, a in changes.items()}
    content |= {} if text is None else {"run.json": np.array(text)}
    np.savez(out, **{name: a for name, a in content.items() if a is not None})
    return out


def with_entry(path: Path, out: Path, **changes: Any) -> Path:
    """A copy with these keys of its entry."""
    return rewritten(path, out, json.dumps({**entry(path), **changes}))


@pytest.mark.parametrize("rule", ["bp", "backlink", "predsim", "infopro", "dni", "fdg"])
def test_its_learner_is_the_runs_bit_for_bit(tmp_path, rule):
    path = train(configuration(tmp_path / "run", rule__name=rule, net__name="resnet8", optim__epochs=1)).path
    (_, one, images), (config, other, same_images) = load(path), load(export(path, tmp_path / "net.npz"))
    expected, loaded = arrays(one), arrays(other)
    assert expected.keys() == loaded.keys() and images == same_images and config.rule.name == rule
    assert all(np.array_equal(a, loaded[name]) for name, a in expected.items())
    d = ml.data.load("digits", limit_test=20)
    for z, same in zip(*(learner.local_logits(d.normalise(d.test_x)) for learner in (one, other)), strict=True):
        assert z is same is None or np.array_equal(host(z), host(same))
    assert not other.optimizer_states()


def test_plain_numpy_reads_it_and_everything_is_float32(tmp_path):
    """A run in float64 is rounded once, and trains on in float64."""
    path = train(configuration(tmp_path / "run", run__dtype="float64")).path
    out = export(path, tmp_path / "net.npz")
    expected = arrays(load(path)[1])
    with np.load(out) as entries:
        assert entries.files == ["run.json", *expected]
        for name, a in expected.items():
            assert a.dtype == np.float64 and entries[name].dtype == np.float32
            np.testing.assert_array_equal(entries[name], a.astype(np.float32))
    assert load(out)[1].dtype == "float64"


def test_it_says_what_was_trained_on_what_and_how_well(run, file):
    e, row = entry(file), record.rows(run)[-1]
    assert (e["format"], e["epochs"], e["steps"], e["row"]) == (1, 2, 0, row)
    environment = record.recorded_environment(run)
    assert all(e[key] == environment[key] for key in ("minilocal", "git"))
    assert e["machine"] == {"processor": environment["processor"], "device": "cpu", "tf32": False, "kernels": "numpy"}
    images = checkpoint(run)[1]["images"]
    assert e["data"] == {"digest": images["digest"], "test_images": 20} and e["images"]["size"] == 16
    assert e["config"]["net"]["name"] == "resnet8" and e["config"]["optim"]["epochs"] == 2
    saved = read(file)
    assert saved.test_error == row["test_error"] and saved.data == e["data"]


def test_the_machine_is_not_in_it(tmp_path):
    start = train(configuration(tmp_path / "start")).path
    keys = {"data__dir": str(tmp_path), "data__download": False, "net__weights": str(start)}
    path = train(configuration(tmp_path / "run", **keys)).path
    out = export(path, tmp_path / "net.npz")
    config = entry(out)["config"]
    assert config["run"]["out"] is config["data"]["dir"] is config["net"]["weights"] is None
    assert config["run"]["threads"] == 0 and config["data"]["download"]
    assert str(tmp_path) not in json.dumps(entry(out))
    assert entry(out)["initial_weights"] == record.recorded_environment(path)["weights"]["digest"]


def test_the_same_run_is_the_same_bytes_and_replaces_its_file(run, file, tmp_path):
    out = shutil.copy(file, tmp_path / "other.npz")
    assert export(run, out).read_bytes() == file.read_bytes()
    assert export(run, tmp_path).name == "digits-resnet8-gll-K2.npz"


def test_another_run_starts_from_it_and_takes_everything(file, tmp_path):
    learner = load(file)[1]
    learner.load({name: 0 * a for name, a in learner.parameters().items()})
    line, about = warm_start(learner, file)
    assert line == f"weights of {file}: {len(arrays(learner))} arrays taken" and about["anew"] == about["left"] == []
    path = train(configuration(tmp_path / "run", rule__name="gll", net__name="resnet8", net__weights=str(file))).path
    assert record.recorded_environment(path)["weights"]["digest"] == about["digest"]


def stopped(path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> Path:
    """A run of two epochs of three steps that Ctrl-C stops in this step."""
    real, seen = ml.Learner.step, []

    def stop(self, x, y, lr):
        seen.append(lr)
        if len(seen) == step:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, x, y, lr)

    with monkeypatch.context() as patch:
        patch.setattr(ml.Learner, "step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(configuration(path))
    return path


@pytest.mark.parametrize(("step", "epochs", "steps"), [(2, 0, 2), (5, 1, 2)])
def test_weights_between_two_epochs_have_no_error(tmp_path, monkeypatch, step, epochs, steps):
    """The row of epoch 1 is of other weights than those two steps later."""
    saved = read(export(stopped(tmp_path / "run", monkeypatch, step), tmp_path / "net.npz"))
    assert (saved.epochs, saved.steps, saved.row, saved.test_error) == (epochs, steps, None, None)


def test_an_unfinished_run_has_the_row_of_its_checkpoint(tmp_path):
    """A kill between a row and its checkpoint leaves the row ahead."""

    def stop(row):
        if row["epoch"] == 1:
            raise KeyError

    with pytest.raises(KeyError):
        train(configuration(tmp_path / "run"), on_epoch=stop)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as rows:
        rows.write(json.dumps({"epoch": 2, "test_error": 0.0}) + "\n")
    saved = read(export(tmp_path / "run", tmp_path / "net.npz"))
    assert (saved.epochs, saved.steps) == (1, 0) and saved.row is not None and saved.row["epoch"] == 1
    (tmp_path / "run" / "metrics.jsonl").write_text("no row\n")
    with pytest.warns(UserWarning, match="is not an epoch's row"):
        assert read(tmp_path / "run").row is None


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"rule.name": "bp", "net.name": "resnet14", "net.modules": 1}, "digits-resnet14-bp-K1"),
        ({"net.name": "resnet32", "data.name": "cifar10", "net.modules": 16}, "cifar10-resnet32-backlink-l1-K16"),
        ({"rule.length": 4, "rule.aux": "1c2f", "run.seed": 3}, "digits-resnet20-backlink-l4-aux1c2f-K4-seed3"),
        ({"rule.length": "module", "rule.alpha": 0.25}, "digits-resnet20-backlink-lmodule-alpha0.25-K4"),
        ({"rule.name": "infopro", "rule.lambdas": [5.0, 0, 1, 2]}, "digits-resnet20-infopro-lambdas5.0x0x1x2-K4"),
        ({"rule.name": "gll", "net.modules": [3, 7], "data.name": "npz:/x/my own.npz"}, "my_own-resnet20-gll-K3x7"),
        ({"net.modules": "infopro:4", "net.name": "resnet32"}, "digits-resnet32-backlink-l1-Kinfopro_4"),
    ],
)  # fmt: skip
def test_its_name_says_data_network_rule_and_cut(keys, name):
    assert exported.name(resolve([("test", keys)])[0]) == name


def test_an_interrupted_export_leaves_the_file_of_before(run, file, tmp_path, monkeypatch):
    out = Path(shutil.copy(file, tmp_path / "net.npz"))

    def full(target, **entries):
        target.write(b"PK")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(UserError, match=r"net\.npz: No space left on device"):
        export(run, out)
    assert out.read_bytes() == file.read_bytes() and os.listdir(tmp_path) == ["net.npz"]


def test_what_cannot_be_exported_is_one_line(run, file, tmp_path):
    (tmp_path / "empty").mkdir()
    new = shutil.copytree(run, tmp_path / "new")
    for name in ("checkpoint.npz", "checkpoint.previous.npz", "metrics.jsonl"):
        (new / name).unlink()
    for path, message in (
        (tmp_path / "none", "is no run folder and no file of minilocal export"), (tmp_path / "empty", "no run folder"),
        (new, "has no checkpoint yet: train it first"), (file, "is an exported run already: copy it as it is"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message) as caught:
            export(path, tmp_path / "net.npz")
        assert "\n" not in str(caught.value) and not (tmp_path / "net.npz").exists()


@pytest.mark.parametrize("name", ["checkpoint.npz", "config.json"])
def test_another_file_is_not_replaced(run, tmp_path, name):
    copy = shutil.copytree(run, tmp_path / "copy")
    before = (copy / name).read_bytes()
    with pytest.raises(UserError, match="is there already, and no file of minilocal export"):
        export(run, copy / name)
    assert (copy / name).read_bytes() == before


BROKEN: dict[str, tuple[Any, str]] = {
    "cut short": (lambda f, out: out.write_bytes(f.read_bytes()[:-300]), "cut short, or was never an .npz"),
    "text": (lambda f, out: out.write_text("no archive"), "cut short, or was never an .npz"),
    "empty": (lambda f, out: out.write_bytes(b""), "cut short, or was never an .npz"),
    "one byte": (lambda f, out: out.write_bytes(flipped(f)), "cannot be read"),
    "arrays alone": (lambda f, out: rewritten(f, out, run_json=None), "has no entry 'run.json'"),
    "another format": (lambda f, out: with_entry(f, out, format=2), "is of format 2, and this minilocal reads 1"),
    "no JSON": (lambda f, out: rewritten(f, out, "{"), "cannot be read"),
    "a list": (lambda f, out: rewritten(f, out, "[1]"), "cannot be read"),
    "no configuration": (lambda f, out: with_entry(f, out, config=None), "says nothing valid of its config"),
    "no images": (lambda f, out: with_entry(f, out, images={}), "does not say what images"),
    "another key": (lambda f, out: with_entry(f, out, config={"net": {"nam": 1}}), "key 'net.nam' is not known"),
    "an object": (lambda f, out: rewritten(f, out, x=np.array([{}], object)), "cannot be read"),
    "an array less": (lambda f, out: rewritten(f, out, fc_weight=None), "lacks 'fc.weight' and 0 more"),
    "an array more": (lambda f, out: rewritten(f, out, fd=np.ones(3, "f4")), "has no array 'fd'"),
    "another shape": (lambda f, out: rewritten(f, out, fc_bias=np.ones(3, "f4")), "these weights belong to another"),
    "a NaN": (lambda f, out: rewritten(f, out, fc_bias=np.full(10, np.nan, "f4")), "not finite"),
}  # fmt: skip


def flipped(file: Path) -> bytes:
    """The bytes of the file with one of them changed in its middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    return bytes(content)


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_exported_run_is_one_line(file, tmp_path, what):
    make, message = BROKEN[what]
    out = tmp_path / "net.npz"
    make(file, out)
    with pytest.raises(UserError, match=message) as caught:
        load(out)
    assert "\n" not in str(caught.value) and str(out) in str(caught.value)


def test_other_files_of_the_package_are_told_apart(run, file, tmp_path):
    load(run)[1].save(tmp_path / "learner.npz")
    for path in (run / "checkpoint.npz", tmp_path / "learner.npz"):
        with pytest.raises(UserError, match=r"has no entry 'run.json'"):
            load(path)
    with pytest.raises(UserError, match=r"is an exported run: minilocal\.train\.load\(path\)"):
        ml.load(file)
    with pytest.raises(UserError, match="is an exported run, weights without rows"):
        train(resume=file)


def test_a_rule_of_ones_own_is_read_from_its_file_or_beside_the_weights(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(OWN)
    path = train(configuration(tmp_path / "run", rule__name=f"{mine}:whisper", rule__alpha=0.25)).path
    out = export(path, tmp_path / "net.npz")
    expected = arrays(load(out)[1])
    (tmp_path / "else").mkdir()
    moved = Path(shutil.move(out, tmp_path / "else" / "net.npz"))
    assert arrays(load(moved)[1]).keys() == expected.keys()
    mine.rename(tmp_path / "yours.py")
    with pytest.raises(UserError, match=r"rule 'whisper' is one of your own, and .*mine\.py is gone") as caught:
        load(moved)
    assert "put mine.py beside it" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"mine\.py cannot be read") as caught:
        export(path, tmp_path / "again.npz")
    assert "\n" not in str(caught.value) and not (tmp_path / "again.npz").exists()
    shutil.copy(tmp_path / "yours.py", tmp_path / "else" / "mine.py")
    config, learner, _ = load(moved)
    assert config.rule.options["alpha"] == 0.25
    assert all(np.array_equal(a, expected[name]) for name, a in arrays(learner).items())


def test_names_in_a_file_hold_nothing_that_a_terminal_obeys(file, tmp_path):
    content = entry(file)
    content["images"] |= {"name": "\x1b[31mdigits", "classes": ["\x1b[2J", *content["images"]["classes"][1:]]}
    images = read(rewritten(file, tmp_path / "red.npz", json.dumps(content))).images
    assert (images.name, images.classes[0]) == ("\\x1b[31mdigits", "\\x1b[2J")
