"""One process has a claim; an abandoned one is moved aside, once; a claim that is lost is noticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from minilocal import UserError
from minilocal.sweep import claim as claims
from minilocal.sweep.claim import STALE, Claim, holder
from minilocal.sweep.holder import has_ended, this_process


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def make_stale(folder: Path) -> None:
    old = time.time() - STALE - 5
    os.utime(folder / "claim", (old, old))


def foreign(folder: Path, **facts: object) -> None:
    """A claim of another machine, or of another process of this one."""
    folder.mkdir(exist_ok=True)
    (folder / "claim").write_text(json.dumps({**this_process(), "host": "far", "machine": "far", **facts}))


def test_one_process_has_the_claim_until_it_is_released(tmp_path):
    claim = Claim.acquire(tmp_path / "cell")
    assert claim is not None and Claim.acquire(tmp_path / "cell") is None
    facts = holder(tmp_path / "cell")
    assert facts is not None and facts["process"] == os.getpid() and facts["host"]
    claim.release()
    assert names(tmp_path / "cell") == [] and holder(tmp_path / "cell") is None
    assert Claim.acquire(tmp_path / "cell") is not None


def test_a_claim_names_its_job(tmp_path, monkeypatch):
    for name, value in (
        ("JOB_ID", "7"),
        ("SLURM_JOB_ID", "12"),
        ("SLURM_ARRAY_JOB_ID", "11"),
        ("SLURM_ARRAY_TASK_ID", "3"),
    ):
        monkeypatch.setenv(name, value)
    assert this_process()["job"] == "11_3"


def test_a_claim_of_another_machine_holds_until_it_is_stale(tmp_path):
    foreign(tmp_path)
    assert Claim.acquire(tmp_path) is None and holder(tmp_path) is not None
    make_stale(tmp_path)
    assert holder(tmp_path) is None
    assert Claim.acquire(tmp_path) is not None and names(tmp_path) == ["claim", "claim.1"]
    assert json.loads((tmp_path / "claim.1").read_text())["host"] == "far"
    make_stale(tmp_path)
    assert Claim.acquire(tmp_path) is not None and names(tmp_path) == ["claim", "claim.1", "claim.2"]


def test_a_claim_of_a_process_of_this_machine_that_has_ended_is_free_at_once(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = this_process()["start"]
    foreign(tmp_path, machine=this_process()["machine"], process=process.pid, start=start)
    assert Claim.acquire(tmp_path) is not None  # a process of that number, but a younger one
    (tmp_path / "claim").unlink()
    process.kill()
    process.wait()
    foreign(tmp_path, machine=this_process()["machine"], process=process.pid)
    assert Claim.acquire(tmp_path) is not None


def test_only_what_is_known_to_have_ended_has_ended():
    assert not has_ended(this_process()) and not has_ended({}) and not has_ended({"process": 1, "machine": "far"})
    assert has_ended({**this_process(), "process": 2**22 + 1})


def test_an_empty_claim_is_held_by_a_process_that_has_not_written_yet(tmp_path):
    (tmp_path / "claim").touch()
    assert Claim.acquire(tmp_path) is None
    make_stale(tmp_path)
    assert Claim.acquire(tmp_path) is not None


def test_of_many_that_race_for_a_stale_claim_one_gets_it(tmp_path):
    for turn in range(20):
        folder = tmp_path / str(turn)
        foreign(folder)
        make_stale(folder)
        winners: list[Claim | None] = []
        start = threading.Barrier(8)

        def race(
            folder: Path = folder, winners: list[Claim | None] = winners, start: threading.Barrier = start
        ) -> None:
            start.wait()
            winners.append(Claim.acquire(folder))

        threads = [threading.Thread(target=race) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(winners) == 8 and sum(winner is not None for winner in winners) == 1
        assert names(folder) == ["claim", "claim.1"]


def test_a_slow_process_does_not_move_the_next_claim(tmp_path, monkeypatch):
    """Between its look at a stale claim and its own file, another process has moved the claim and has its own."""
    foreign(tmp_path)
    make_stale(tmp_path)
    create, others = claims._create, list[Claim | None]()

    def slowly(file: Path, text: str) -> bool:
        if file.name == "claim.1" and not others:
            others.append(None)
            others[0] = Claim.acquire(tmp_path)
        return create(file, text)

    monkeypatch.setattr(claims, "_create", slowly)
    assert Claim.acquire(tmp_path) is None
    (winner,) = others
    assert winner is not None and (tmp_path / "claim").read_text() == winner.text


def test_a_claim_that_was_created_anew_meanwhile_is_left_in_place(tmp_path, monkeypatch):
    foreign(tmp_path)
    make_stale(tmp_path)
    create = claims._create

    def slowly(file: Path, text: str) -> bool:
        if file.name == "claim.1":
            (tmp_path / "claim").unlink()
            foreign(tmp_path, host="third")
        return create(file, text)

    monkeypatch.setattr(claims, "_create", slowly)
    assert Claim.acquire(tmp_path) is None and names(tmp_path) == ["claim"]


def test_a_process_that_ends_between_the_two_steps_stops_nobody(tmp_path):
    foreign(tmp_path)
    make_stale(tmp_path)
    (tmp_path / "claim.1").write_text(json.dumps({**this_process(), "process": 2**22 + 1}))
    assert Claim.acquire(tmp_path) is not None and names(tmp_path) == ["claim", "claim.1", "claim.2"]


def test_the_heartbeat_touches_the_claim(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "LOOK", 0.01)
    monkeypatch.setattr(claims, "BEAT", 0.02)
    claim = Claim.acquire(tmp_path)
    assert claim is not None
    os.utime(tmp_path / "claim", (1.0, 1.0))
    with claim.heartbeat():
        end = time.monotonic() + 10
        while (tmp_path / "claim").stat().st_mtime == 1.0 and time.monotonic() < end:
            time.sleep(0.01)
    assert (tmp_path / "claim").stat().st_mtime > 1.0 and not claim.is_lost
    os.utime(tmp_path / "claim", (1.0, 1.0))
    time.sleep(0.1)
    assert (tmp_path / "claim").stat().st_mtime == 1.0  # no thread goes on


@pytest.mark.parametrize("change", ["removed", "another"])
def test_a_lost_claim_is_noticed_and_not_released(tmp_path, monkeypatch, change):
    monkeypatch.setattr(claims, "LOOK", 0.01)
    claim = Claim.acquire(tmp_path)
    assert claim is not None
    with claim.heartbeat():
        (tmp_path / "claim").unlink()
        if change == "another":
            foreign(tmp_path)
        end = time.monotonic() + 10
        while not claim.is_lost and time.monotonic() < end:
            time.sleep(0.01)
    assert claim.is_lost
    claim.release()
    assert names(tmp_path) == (["claim"] if change == "another" else [])


def test_a_process_that_was_suspended_has_lost_its_claim(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "LOOK", 0.01)
    claim = Claim.acquire(tmp_path)
    assert claim is not None
    now, looked, text = time.time, threading.Event(), claims._text

    def look(file):
        looked.set()
        return text(file)

    monkeypatch.setattr(claims, "_text", look)
    with claim.heartbeat():
        assert looked.wait(60)  # the thread has read the clock before
        monkeypatch.setattr(time, "time", lambda: now() + STALE + 5)
        end = time.monotonic() + 10
        while not claim.is_lost and time.monotonic() < end:
            time.sleep(0.01)
    assert claim.is_lost


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file"):
        Claim.acquire(tmp_path / "file" / "cell")
