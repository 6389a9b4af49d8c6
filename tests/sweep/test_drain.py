"""The loop of a worker: every cell once, failures marked, stops given back, and what two of them do at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from minilocal import UserError, record
from minilocal.ops import kinds
from minilocal.sweep import Claim, Queue, drain, loop, share
from minilocal.sweep import claim as claims
from minilocal.sweep.cells import Cell
from minilocal.sweep.state import state
from minilocal.sweep.watch import Watch
from minilocal.sweep.workers import settings
from minilocal.train.stop import Interrupted, StopRequest, stop_on_signal
from tests.helpers.small_sweep import end_of, queue


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each cell ends with, where nothing disturbs it."""
    trained = queue(tmp_path_factory.mktemp("sweep"))
    drain(trained, StopRequest())
    return {cell.name: end_of(trained.folder(cell)) for cell in trained.cells}


def words(sweep: Queue) -> list[str]:
    return [each.word for each in sweep.states()]


def test_every_cell_is_trained_and_marked_and_a_second_drain_does_nothing(tmp_path, reference):
    sweep, changes = queue(tmp_path), list[int]()
    assert words(sweep) == ["left", "left"] and Queue.read(tmp_path) == sweep
    drain(sweep, StopRequest(), on_change=lambda: changes.append(1))
    assert words(sweep) == ["done", "done"] and len(changes) == 2
    assert {cell.name: end_of(sweep.folder(cell)) for cell in sweep.cells} == reference
    for cell in sweep.cells:
        folder = sweep.folder(cell)
        mark = json.loads((folder / "done").read_text())
        assert mark["epoch"] == 2 and mark["test_error"] == record.rows(folder)[-1]["test_error"]
        assert not (folder / "claim").exists() and not (folder / "lock").exists()
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    drain(sweep, StopRequest())
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before


def test_a_cell_of_another_process_is_left_to_it_and_an_abandoned_one_comes_last(tmp_path, reference):
    sweep = queue(tmp_path)
    first, second = (sweep.folder(cell) for cell in sweep.cells)
    claim = Claim.acquire(first)
    assert claim is not None
    drain(sweep, StopRequest())
    assert words(sweep) == ["running", "done"]
    shutil.rmtree(second)
    os.utime(first / "claim", (1.0, 1.0))
    drain(sweep, StopRequest())
    assert words(sweep) == ["done", "done"] and (first / "claim.1").exists()
    assert (second / "done").stat().st_mtime_ns < (first / "done").stat().st_mtime_ns
    assert {cell.name: end_of(sweep.folder(cell)) for cell in sweep.cells} == reference


def test_a_cell_that_ends_while_its_claim_is_awaited_is_not_trained_again(tmp_path, monkeypatch):
    """Between the look at `done` and the claim, the other process writes it and releases its claim."""
    sweep = queue(tmp_path, run__seed=[0])
    drain(sweep, StopRequest())
    folder = sweep.folder(sweep.cells[0])
    before, acquire = (folder / "environment.json").read_bytes(), Claim.acquire
    (folder / "done").rename(folder / "done.partial")

    def slowly(path: Path) -> Claim | None:
        (folder / "done.partial").rename(folder / "done")
        return acquire(path)

    monkeypatch.setattr(Claim, "acquire", slowly)
    drain(sweep, StopRequest())
    assert (folder / "environment.json").read_bytes() == before and not (folder / "claim").exists()


def test_a_cell_that_fails_is_marked_with_its_line_and_the_others_go_on(tmp_path):
    sweep = queue(tmp_path, run__seed=[0], optim__lr=[1e8, 0.05], optim__momentum=[0.9])
    drain(sweep, StopRequest())
    assert words(sweep) == ["failed", "done"]
    note = sweep.states()[0].note
    assert "diverged" in note and "\n" not in note
    before = (sweep.folder(sweep.cells[0]) / "failed").stat().st_mtime_ns
    drain(sweep, StopRequest())
    assert (sweep.folder(sweep.cells[0]) / "failed").stat().st_mtime_ns == before
    sweep.forget_failures()
    assert words(sweep) == ["left", "done"]
    drain(sweep, StopRequest())
    assert words(sweep) == ["failed", "done"]


def test_a_cell_that_raises_keeps_its_traceback_and_the_others_go_on(tmp_path, monkeypatch):
    sweep, patched = queue(tmp_path), cast(Any, loop)
    train = patched.train

    def broken(config: Any, **options: Any) -> Any:
        return 1 / 0 if config.run.seed == 0 else train(config, **options)

    monkeypatch.setattr(loop, "train", broken)
    drain(sweep, StopRequest())
    assert words(sweep) == ["failed", "done"] and sweep.states()[0].note == "ZeroDivisionError: division by zero"
    assert "1 / 0" in json.loads((sweep.folder(sweep.cells[0]) / "failed").read_text())["traceback"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_saves_the_run_and_gives_the_claim_back(tmp_path, monkeypatch, reference, number):
    sweep = queue(tmp_path)
    first = sweep.folder(sweep.cells[0])
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as stop, stop_on_signal() as request:
        after_the_row(patch, 1, lambda: os.kill(os.getpid(), number))
        drain(sweep, request)
    assert stop.value.number == number and words(sweep) == ["left", "left"]
    assert record.checkpoint(first) is not None and not (first / "claim").exists()
    row = record.rows(first)[0]
    drain(sweep, StopRequest())
    assert record.rows(first)[0] == row  # its seconds too: the epoch was not trained again
    assert {cell.name: end_of(sweep.folder(cell)) for cell in sweep.cells} == reference


def test_a_signal_in_the_last_epoch_of_a_cell_stops_before_the_next_one(tmp_path, monkeypatch):
    sweep = queue(tmp_path)
    after_the_row(monkeypatch, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted), stop_on_signal() as request:
        drain(sweep, request)
    assert words(sweep) == ["done", "left"]


def after_the_row(patch: pytest.MonkeyPatch, epoch: int, act: Callable[[], object]) -> None:
    """Call `act` as soon as a run has the row of this epoch."""
    add_row = record.RunFolder.add_row

    def acting(self: record.RunFolder, row: Any) -> None:
        add_row(self, row)
        if row["epoch"] == epoch:
            act()

    patch.setattr(record.RunFolder, "add_row", acting)


def test_a_stop_before_the_first_step_stops_there(tmp_path):
    request, sweep = StopRequest(), queue(tmp_path)
    request.stop, request.number = True, signal.SIGTERM
    with pytest.raises(Interrupted):
        drain(sweep, request)
    assert words(sweep) == ["left", "left"] and [entry.name for entry in tmp_path.iterdir()] == ["sweep.json"]


def test_a_worker_whose_parent_is_gone_stops(tmp_path, monkeypatch):
    monkeypatch.setenv(share.PARENT, str(os.getppid()))
    assert not share.parent_gone()
    monkeypatch.setenv(share.PARENT, str(os.getpid()))
    sweep = queue(tmp_path)
    with pytest.raises(Interrupted):
        drain(sweep, StopRequest())
    assert words(sweep) == ["left", "left"]


def test_a_cell_whose_claim_is_lost_is_left_to_who_has_it(tmp_path, monkeypatch, reference):
    monkeypatch.setattr(claims, "LOOK", 0.001)
    sweep = queue(tmp_path)
    first = sweep.folder(sweep.cells[0])

    def rob() -> None:
        if (first / "claim").read_text() != "{}":  # of the first cell
            (first / "claim").write_text("{}")
            end = time.monotonic() + 60
            while any(thread.name == "heartbeat" for thread in threading.enumerate()):  # which ends when it sees that
                assert time.monotonic() < end
                time.sleep(0.001)

    after_the_row(monkeypatch, 1, rob)
    drain(sweep, StopRequest())
    assert words(sweep) == ["running", "done"] and (first / "claim").read_text() == "{}"
    assert len(record.rows(first)) == 1  # stopped at the next step
    (first / "claim").unlink()
    drain(sweep, StopRequest())
    assert {cell.name: end_of(sweep.folder(cell)) for cell in sweep.cells} == reference


def test_a_run_that_minilocal_train_continues_is_left_alone(tmp_path):
    sweep = queue(tmp_path)
    first = sweep.folder(sweep.cells[0])
    first.mkdir()
    with record.RunFolder(first):
        drain(sweep, StopRequest())
    assert words(sweep) == ["left", "done"]


def test_who_waits_trains_what_another_process_leaves(tmp_path, monkeypatch, reference):
    monkeypatch.setattr(loop, "PAUSE", 0.01)
    sweep = queue(tmp_path)
    claim = Claim.acquire(sweep.folder(sweep.cells[0]))
    assert claim is not None
    leaving = threading.Timer(1.0, claim.release)
    leaving.start()
    drain(sweep, StopRequest(), wait=True)
    assert words(sweep) == ["done", "done"]
    assert {cell.name: end_of(sweep.folder(cell)) for cell in sweep.cells} == reference


def test_who_waits_trains_what_is_left_just_before_it_looks_who_trains(tmp_path, monkeypatch, reference):
    """The cell could not be claimed a moment ago, and now nobody trains."""
    sweep, look = queue(tmp_path), Queue.states
    claim = Claim.acquire(sweep.folder(sweep.cells[0]))
    assert claim is not None

    def states(self):
        if (sweep.folder(sweep.cells[1]) / "done").exists():
            claim.release()
        return look(self)

    monkeypatch.setattr(Queue, "states", states)
    drain(sweep, StopRequest(), wait=True)
    assert words(sweep) == ["done", "done"]
    assert {cell.name: end_of(sweep.folder(cell)) for cell in sweep.cells} == reference


def test_the_threads_are_this_workers_and_not_those_on_record(tmp_path):
    sweep = queue(tmp_path, run__threads=[0])
    claim = Claim.acquire(tmp_path / "cell")
    assert claim is not None
    worker = share.Worker(sweep.cells[0].config.run, claim, 3)
    assert worker.threads(7) == 3
    on_two = sweep.on({"run.threads": 2}).cells[0]
    assert share.Worker(on_two.config.run, claim, 3).threads(7) == 2 and on_two.name == sweep.cells[0].name
    record_of_another_machine = sweep.cells[0].config.run
    assert worker.learner_options(record_of_another_machine)["device"] == "cpu"


def test_the_kernels_are_this_workers_and_not_those_on_record(tmp_path, monkeypatch):
    sweep = queue(tmp_path)
    monkeypatch.setattr(kinds, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"run.kernels = 'numba': Numba is not installed"):
        sweep.on({"run.kernels": "numba"})
    monkeypatch.setattr(kinds, "find_spec", lambda name: sys)
    by_numba = sweep.on({"run.kernels": "auto"}).cells[0]
    claim = Claim.acquire(tmp_path / "cell")
    assert claim is not None and by_numba.name == sweep.cells[0].name
    assert share.Worker(by_numba.config.run, claim, 1).kernels("numpy") == "numba"
    assert share.Worker(sweep.cells[0].config.run, claim, 1).kernels("numba") == "numpy"
    assert settings({"run.kernels": "auto", "run.device": "cpu", "run.tf32": False}) == [
        "--set=run.kernels=auto", "--set=run.tf32=false"
    ]  # fmt: skip


def test_a_gpu_becomes_the_only_one_that_the_process_sees(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # which is undone to what it was
    for visible, device, only, name in (
        (None, "cuda:1", "1", "cuda"),
        ("4,6", "cuda:1", "6", "cuda"),
        ("4", "cuda:1", "4", "cuda:1"),
        ("", "cuda:1", "", "cuda:1"),  # all are hidden, and stay so
    ):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert share.use_device(device) == name and os.environ["CUDA_VISIBLE_DEVICES"] == only
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert share.use_device("cpu") == "cpu" and share.use_device("cuda") == "cuda"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_the_folder_of_another_sweep_is_refused_and_a_larger_grid_goes_on_in_it(tmp_path):
    sweep = queue(tmp_path)
    more = queue(tmp_path, run__seed=[0, 1, 2])
    assert [cell.name for cell in more.cells[:2]] == [cell.name for cell in sweep.cells] and len(more.cells) == 3
    with pytest.raises(UserError, match="holds another sweep: 1 of its 3 cells"):
        queue(tmp_path, run__seed=[0, 1])
    for content, why in (("{", "damaged"), ('{"format": 2}', "another version"), ('{"format": 1}', "damaged")):
        (tmp_path / "sweep.json").write_text(content)
        with pytest.raises(UserError, match=why):
            Queue.read(tmp_path)
    (tmp_path / "sweep.json").unlink()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"is no sweep and not empty \(notes.txt is there\)"):
        queue(tmp_path)
    with pytest.raises(UserError, match="is no sweep"):
        Queue.read(tmp_path / "nowhere")


def test_a_cell_keeps_the_folder_that_is_on_record(tmp_path):
    """A later version may hash another text: what is trained already is not trained again."""
    sweep = queue(tmp_path)
    file = tmp_path / "sweep.json"
    file.write_text(file.read_text().replace(sweep.cells[0].name, "an-older-name"))
    assert [cell.name for cell in queue(tmp_path).cells] == ["an-older-name", sweep.cells[1].name]


def test_the_watch_says_what_has_ended_and_how_much_is_left(tmp_path):
    sweep = queue(tmp_path)
    watch = Watch(sweep)
    assert watch.counts() == "0 of 2 done, 2 left" and watch.left() == "?" and (watch.epochs(), watch.total()) == (0, 4)
    claim = Claim.acquire(sweep.folder(sweep.cells[1]))
    drain(sweep, StopRequest())
    (line,) = watch.update()
    assert line.startswith(f"done    {sweep.cells[0].name}: test error ") and line.endswith("(1 of 2 done, 1 running)")
    assert watch.left() != "?" and (watch.epochs(), watch.total()) == (2, 4) and watch.update() == []
    assert claim is not None and f"process {os.getpid()}" in sweep.states()[1].note
    assert state(tmp_path / "nowhere") == ("left", 0, "") and isinstance(sweep.cells[0], Cell)
