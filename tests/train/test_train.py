"""A run that was stopped, killed, or refused by the disk ends with the weights of the run that was not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import record
from minilocal.config import Config, resolve
from minilocal.errors import UserError
from minilocal.kernels.threads import threads
from minilocal.train import Interrupted, build, error, load, predict, train, trainer
from minilocal.train.stop import stop_on_signal
from tests.helpers.checkpoints import checkpoint
from tests.helpers.host import host

KEYS = {
    "net.name": "resnet8",
    "net.modules": 2,
    "data.limit_train": 40,
    "data.limit_test": 20,
    "data.augment": True,
    "optim.batch_size": 16,
    "optim.epochs": 2,
    "optim.lr": 0.05,
    "run.threads": 1,  # for such a small network the quickest
}
STEPS = 3  # in an epoch: 16, 16 and 8 images


def configuration(out: Path | None, **keys: Any) -> Config:
    """The small run of these tests, into `out`."""
    changes = {key.replace("__", "."): value for key, value in keys.items()}
    where = {} if out is None else {"run.out": str(out)}
    return resolve([("test", {**KEYS, **where, **changes})])[0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run that nothing happened to."""
    return train(configuration(tmp_path_factory.mktemp("whole") / "run")).path


def rows_without_clock(path: Path) -> list[dict[str, Any]]:
    """A run's rows without what a clock says."""
    return [{name: v for name, v in row.items() if not name.endswith("seconds")} for row in record.rows(path)]


def assert_same_run(path: Path, whole: Path) -> None:
    """The same weights, optimiser state and table, to the last bit."""
    arrays, progress = checkpoint(path)
    expected, expected_progress = checkpoint(whole)
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)
    assert progress["progress"] == expected_progress["progress"] and progress["progress"]["epoch"] == 2
    assert rows_without_clock(path) == rows_without_clock(whole)


def during_step(monkeypatch: pytest.MonkeyPatch, number: int, happen: Callable[[ml.Learner], object]) -> None:
    """Calls `happen(learner)` at the end of the `number`-th training step from now on."""
    real, done = ml.Learner.step, []

    def step(self, x, y, lr):
        losses = real(self, x, y, lr)
        done.append(1)
        if len(done) == number:
            happen(self)
        return losses

    monkeypatch.setattr(ml.Learner, "step", step)


class Killed(Exception):
    """Stands for a process that ends there."""


def end(*_: Any) -> None:
    raise Killed


def test_a_run_is_the_plain_loop(whole):
    """By hand with the same Learner: the weights, each module's loss averaged over the images, the error in percent."""
    dataset, learner = build(configuration(None))
    x, y = dataset.normalise(dataset.test_x), dataset.test_y
    for epoch, lr, row in zip((0, 1), (0.05, 0.025), record.rows(whole), strict=True):  # half a cosine in two epochs
        learner.epoch, losses = epoch, np.zeros(2)
        for images, labels in dataset.batches(epoch, 16, learner.key, augment=True):
            losses += host(learner.step(images, labels, lr=lr)) * len(labels)
        assert (row["epoch"], row["lr"]) == (epoch + 1, pytest.approx(lr))
        np.testing.assert_allclose(row["losses"], losses / 40, rtol=1e-12)
        assert row["test_error"] == pytest.approx(100 * np.mean(learner.predict(x).argmax(1) != y))
    state, saved = learner.state(), checkpoint(whole)[0]
    assert all(np.array_equal(saved[name], array) for name, array in state.items())


def test_a_run_records_what_produced_it(whole):
    assert record.config(whole)["rule"]["weighting"] == "literal"
    assert record.recorded_environment(whole)["packages"]["numpy"] == np.__version__
    assert sorted(p.name for p in whole.iterdir()) == [
        "checkpoint.npz", "checkpoint.previous.npz", "config.json", "environment.json", "metrics.jsonl",
    ]  # fmt: skip


def test_killed_between_epochs(tmp_path, whole):
    with pytest.raises(Killed):
        train(configuration(tmp_path / "run"), on_epoch=end)
    train(resume=tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("step", [1, STEPS + 2])
def test_killed_inside_an_epoch(tmp_path, whole, monkeypatch, step):
    with monkeypatch.context() as patch:
        during_step(patch, step, end)
        with pytest.raises(Killed):
            train(configuration(tmp_path / "run"))
    lines: list[str] = []
    train(resume=tmp_path / "run", say=lines.append)
    assert ("starts anew" if step == 1 else "after 1 of 2 epochs") in lines[0]
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("step", [STEPS + 2, 2 * STEPS])
def test_a_signal_finishes_the_step_and_saves(tmp_path, whole, monkeypatch, number, step):
    with monkeypatch.context() as patch:
        during_step(patch, step, lambda learner: os.kill(os.getpid(), number))
        with pytest.raises(Interrupted, match=r"1 of 2 epochs and . of 3 steps, and saved.*--resume"):
            train(configuration(tmp_path / "run"))
    assert checkpoint(tmp_path / "run")[1]["progress"]["step"] == step - STEPS
    train(resume=tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_a_signal_during_the_evaluation(tmp_path, whole, monkeypatch):
    real = ml.Learner.local_logits

    def stopped(self, x):
        os.kill(os.getpid(), signal.SIGINT)
        return real(self, x)

    with monkeypatch.context() as patch:
        patch.setattr(ml.Learner, "local_logits", stopped)
        with pytest.raises(Interrupted):
            train(configuration(tmp_path / "run"))
    assert record.rows(tmp_path / "run") == []  # its only epoch is trained, and not yet evaluated
    assert checkpoint(tmp_path / "run")[1]["progress"]["step"] == STEPS
    train(resume=tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_killed_between_the_row_and_the_checkpoint(tmp_path, whole, monkeypatch):
    real = record.RunFolder.save

    def save(self, arrays, progress):
        if progress["progress"]["epoch"] == 2:
            raise Killed
        real(self, arrays, progress)

    with monkeypatch.context() as patch:
        patch.setattr(record.RunFolder, "save", save)
        with pytest.raises(Killed):
            train(configuration(tmp_path / "run"))
    assert len(record.rows(tmp_path / "run")) == 2  # one ahead of the checkpoint
    train(resume=tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_killed_for_real_again_and_again(tmp_path, whole):
    """SIGKILL while the run starts, just after its first row, and a little later; then it may finish."""
    out = tmp_path / "run"
    settings = [f"--set={key}={str(value).lower()}" for key, value in KEYS.items()]
    command = [sys.executable, "-m", "minilocal", "train", *settings, "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(Path(ml.__file__).parents[1])}
    for file, delay in (("config.json", 0.0), ("metrics.jsonl", 0.0), ("checkpoint.npz", 0.05)):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        while not (out / file).exists():
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(delay)
        process.kill()
        assert process.wait() in (-signal.SIGKILL, 0)
        command = [sys.executable, "-m", "minilocal", "train", "--resume", str(out)]
    train(resume=out)
    assert_same_run(out, whole)


def test_a_run_on_any_number_of_threads_is_the_same(tmp_path, whole):
    before = threads()
    train(configuration(tmp_path / "run", run__threads=2))
    assert threads() == before
    assert rows_without_clock(tmp_path / "run") == rows_without_clock(whole)


@pytest.mark.parametrize("step", [None, STEPS + 1, STEPS + 2])
def test_losses_that_come_home_seldom_are_the_same(tmp_path, whole, monkeypatch, step):
    """As on a device, where they are read every 32 steps: here every second one of three."""
    monkeypatch.setitem(trainer.SYNC_EVERY, "cpu", 2)
    with monkeypatch.context() as patch:
        if step is None:
            train(configuration(tmp_path / "run"))
        else:
            during_step(patch, step, lambda learner: os.kill(os.getpid(), signal.SIGINT))
            with pytest.raises(Interrupted):
                train(configuration(tmp_path / "run"))
    if step is not None:
        train(resume=tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_a_finished_run_has_nothing_to_go_on_with(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    lines: list[str] = []
    result = train(resume=tmp_path / "run", say=lines.append)
    assert len(lines) == 1 and lines[0].startswith(f"{tmp_path / 'run'} is finished: 2 of 2 epochs. Go on ")
    assert rows_without_clock(tmp_path / "run") == rows_without_clock(whole) and len(result.rows) == 2


def test_a_loss_that_is_not_finite_stops_the_run_and_saves_nothing(tmp_path, monkeypatch):
    def poison(learner):
        learner.parameters()["conv1.weight"][...] = np.nan

    during_step(monkeypatch, STEPS + 1, poison)
    saved = []
    with pytest.raises(
        UserError, match=r"loss of module 1 of 2 became nan in epoch 2, step 2 of 3 .*a lower rate: .* --lr 0.005 "
    ):
        train(configuration(tmp_path / "run"), on_epoch=lambda row: saved.append(digest(tmp_path)))
    assert [digest(tmp_path)] == saved  # the checkpoint of epoch 1, untouched


def test_a_loss_that_is_infinite_stops_the_run(tmp_path, monkeypatch):
    real = ml.Learner.step
    monkeypatch.setattr(ml.Learner, "step", lambda self, x, y, lr: np.add(host(real(self, x, y, lr)), [0, np.inf]))
    with pytest.raises(UserError, match="loss of module 2 of 2 became inf in epoch 1, step 1 of 3"):
        train(configuration(tmp_path / "run"))
    assert record.checkpoint(tmp_path / "run") is None


def test_weights_that_are_not_finite_are_not_saved_though_every_loss_was(tmp_path, monkeypatch):
    def poison(learner):
        learner.parameters()["fc.bias"][0] = np.inf

    during_step(monkeypatch, STEPS, poison)
    with pytest.raises(UserError, match=r"fc\.bias is no longer finite"):
        train(configuration(tmp_path / "run"))
    assert record.checkpoint(tmp_path / "run") is None and record.rows(tmp_path / "run") == []


def test_a_module_without_a_loss_is_no_divergence(tmp_path):
    """BP's lower module never has one."""
    result = train(configuration(tmp_path / "run", rule__name="bp", optim__epochs=1))
    assert result.rows[0]["losses"][0] is None and result.rows[0]["losses"][1] > 0


def test_a_learning_rate_that_is_too_high_is_one_line(tmp_path):
    with pytest.raises(UserError, match="training diverged"):
        train(configuration(tmp_path / "run", net__name="mlp", optim__lr=1e8))


def test_a_rule_that_diverged_under_another_optimiser_names_its_own(tmp_path):
    asked = configuration(tmp_path / "run", net__name="mlp", rule__name="dni", optim__name="sgd", optim__lr=1e8)
    with pytest.raises(
        UserError, match=r"Adam at 0\.001, as the rule recommends: .* --set optim\.name=adam --lr 0\.001"
    ):
        train(asked)


def digest(folder: Path) -> bytes:
    return (folder / "run" / "checkpoint.npz").read_bytes()


def test_a_checkpoint_of_another_network_is_refused(tmp_path, whole):
    other = train(configuration(tmp_path / "other", net__name="mlp", optim__epochs=1)).path
    run = shutil.copytree(whole, tmp_path / "run")
    shutil.copy(other / "checkpoint.npz", run)
    with pytest.raises(UserError, match=r"another run's: it was made with net\.name = 'mlp'") as caught:
        train(resume=run)
    assert "\n" not in str(caught.value)


def test_a_damaged_checkpoint_is_refused_and_then_free(tmp_path, whole):
    run = shutil.copytree(whole, tmp_path / "run")
    content = (run / "checkpoint.npz").read_bytes()
    (run / "checkpoint.npz").write_bytes(content[: len(content) // 2])
    (run / "checkpoint.previous.npz").unlink()
    for _ in range(2):  # the lock is given back after the first
        with pytest.raises(UserError, match=r"checkpoint\.npz cannot be read"):
            train(resume=run)


def test_other_images_under_the_old_name_are_refused(tmp_path):
    digits = ml.data.load("digits", limit_train=32, limit_test=10)
    arrays = {name: getattr(digits, name) for name in ("train_x", "train_y", "test_x", "test_y")}
    np.savez(tmp_path / "mine.npz", **arrays)
    keys = {"data__name": f"npz:{tmp_path / 'mine.npz'}", "data__limit_train": None, "data__limit_test": None}
    train(configuration(tmp_path / "run", **keys, optim__epochs=1))
    arrays["train_x"] = arrays["train_x"][::-1].copy()
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(UserError, match="are not those that"):
        train(resume=tmp_path / "run")


def test_a_full_disk_stops_the_run_and_leaves_the_checkpoint_before(tmp_path, whole, monkeypatch):
    import errno

    real, calls = os.replace, []

    def replace(source, target):
        if Path(target).name == "checkpoint.npz":
            calls.append(target)
            if len(calls) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(UserError, match="No space left on device"):
            train(configuration(tmp_path / "run"))
    assert checkpoint(tmp_path / "run")[1]["progress"]["epoch"] == 1
    train(resume=tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_what_does_not_fit_leaves_no_folder(tmp_path):
    with pytest.raises(UserError, match="K = 99"):
        train(configuration(tmp_path / "run", net__modules=99))
    with pytest.raises(UserError, match="limit_train"):
        train(configuration(tmp_path / "run", data__limit_train=99999))
    assert not (tmp_path / "run").exists()


def test_without_a_folder_a_run_finds_a_free_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = {"net__name": "mlp", "optim__epochs": 1}
    names = [train(configuration(None, **small)).path for _ in range(2)]
    assert [str(name) for name in names] == ["runs/backlink-mlp-digits-seed0", "runs/backlink-mlp-digits-seed0-2"]


def test_validation_images_have_a_column(tmp_path):
    result = train(configuration(tmp_path / "run", data__validation=30, net__name="mlp", optim__epochs=1))
    assert 0 <= result.rows[0]["validation_error"] <= 100
    assert len(host(result.dataset.validation_y)) == 30


def test_a_trained_run_predicts_as_it_was_recorded(whole):
    config, learner, images = load(whole)
    digits = ml.data.load("digits", limit_train=40, limit_test=20)
    predicted = predict(learner, digits.test_x, images.dataset(digits.test_x, digits.test_y)).classes
    assert error(predicted, digits.test_y) == record.rows(whole)[-1]["test_error"]
    assert config.net.name == "resnet8" and images.classes == digits.classes
    assert np.array_equal(images.normalise(digits.test_x), host(digits.normalise(digits.test_x)))
    for refused in (lambda x: images.dataset(x, np.zeros(1, np.int64)), images.normalise):
        with pytest.raises(UserError, match="16×16×1"):
            refused(np.zeros((1, 8, 8, 1), np.uint8))


def test_train_starts_or_goes_on(whole):
    with pytest.raises(ml.UserError, match="one of the two"):
        train(Config(), resume=whole)
    with pytest.raises(ml.UserError, match="one of the two"):
        train()


def test_the_second_signal_acts_at_once():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in a script's background it is ignored
    try:
        with stop_on_signal() as request:
            os.kill(os.getpid(), signal.SIGINT)
            assert request.stop
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_under_nohup_a_run_outlives_its_terminal():
    """There SIGHUP is ignored. Ctrl-C is too in a script's background, and still stops the run."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signal() as request:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not request.stop
    finally:
        signal.signal(signal.SIGHUP, before)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_on_signal() as request:
            os.kill(os.getpid(), signal.SIGINT)
            assert request.stop
    finally:
        signal.signal(signal.SIGINT, before)
