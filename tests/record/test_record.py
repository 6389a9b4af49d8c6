"""Run folders survive kills, full disks, other writers and damaged files."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minilocal import record
from minilocal.errors import UserError
from tests.helpers.checkpoints import checkpoint

CONFIG = {"rule": {"name": "gll"}, "run": {"seed": 0, "out": None}}
ARRAYS = {
    "conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4).T,  # not C-contiguous
    "count": np.array(3),
    "half.moments": np.linspace(0, 1, 5),
}
PROGRESS = {"epoch": 2, "step": 7, "sums": [0.1, 1 / 3]}


@pytest.fixture
def folder(tmp_path):
    with record.RunFolder.create(tmp_path / "run", CONFIG, {"python": "3.11.0"}) as folder:
        yield folder


@pytest.fixture
def synced(monkeypatch):
    """The inodes that are synced, in order."""
    inodes: list[int] = []
    real = os.fsync

    def fsync(fd):
        inodes.append(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return inodes


def refused(what, *arguments):
    """The one line that `what(*arguments)` is refused with."""
    with pytest.raises(UserError) as caught:
        what(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_written_is_read_back(folder):
    folder.save(ARRAYS, PROGRESS)
    arrays, progress = checkpoint(folder.path)
    assert progress == PROGRESS
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)
    assert record.config(folder.path) == CONFIG
    assert record.recorded_environment(folder.path) == {"python": "3.11.0"}


def test_a_new_run_has_no_rows_and_no_checkpoint(folder):
    assert record.rows(folder.path) == []
    assert record.checkpoint(folder.path) is None


def test_numbers_that_are_not_finite_are_null(folder):
    folder.add_row({"epoch": 1, "losses": [float("nan"), 2.5], "nested": {"worst": float("inf")}})
    text = (folder.path / "metrics.jsonl").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "epoch": 1,
        "losses": [None, 2.5],
        "nested": {"worst": None},
    }


def test_a_torn_last_row_is_left_out_and_then_cut(folder):
    for epoch in (1, 2, 3):
        folder.add_row({"epoch": epoch})
    with open(folder.path / "metrics.jsonl", "ab") as file:
        file.write(b'{"epoch": 4, "los')
    assert [row["epoch"] for row in record.rows(folder.path)] == [1, 2, 3]
    assert folder.truncate_rows(2) == []
    assert (folder.path / "metrics.jsonl").read_text() == '{"epoch": 1}\n{"epoch": 2}\n'
    folder.add_row({"epoch": 3})
    assert [row["epoch"] for row in record.rows(folder.path)] == [1, 2, 3]


def test_a_row_that_is_none_is_named(folder):
    (folder.path / "metrics.jsonl").write_text('{"epoch": 1}\n[]\n{"epoch": 2}\n')
    assert "metrics.jsonl, line 2, is not an epoch's row" in refused(record.rows, folder.path)


def test_a_checkpoint_cut_anywhere_is_refused(folder):
    folder.save(ARRAYS, PROGRESS)
    file = folder.path / "checkpoint.npz"
    whole = file.read_bytes()
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        assert "checkpoint.npz cannot be read" in refused(record.checkpoint, folder.path), length


def test_a_flipped_bit_never_changes_what_is_read(folder):
    folder.save(ARRAYS, PROGRESS)
    file = folder.path / "checkpoint.npz"
    whole = file.read_bytes()
    seen = 0
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        try:
            arrays, progress = checkpoint(folder.path)
        except UserError:
            seen += 1
        else:  # a bit that means nothing, such as a date in the archive's list
            assert progress == PROGRESS
            assert all(np.array_equal(arrays[name], array) for name, array in ARRAYS.items())
    assert seen > len(whole) / 6  # half of those tried


def test_nothing_is_unpickled(folder, tmp_path):
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return (Path.touch, (trap,))

    with pytest.raises(TypeError, match="pickled"):
        folder.save({"weight": np.array([Trap()], dtype=object)}, PROGRESS)
    np.savez(folder.path / "checkpoint.npz", weight=np.array([Trap()], dtype=object))
    refused(record.checkpoint, folder.path)
    np.array([Trap()], dtype=object).dump(folder.path / "checkpoint.npz")
    refused(record.checkpoint, folder.path)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.ENOSPC, "Free some space"), (errno.EACCES, "You may not write"), (errno.EROFS, "read-only")],
)
def test_a_disk_that_refuses_costs_nothing(folder, monkeypatch, number, hint):
    folder.save(ARRAYS, PROGRESS)
    before = sorted(folder.path.iterdir()), (folder.path / "checkpoint.npz").read_bytes()

    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, refuse)
            line = refused(folder.save, ARRAYS, {**PROGRESS, "step": 8})
        assert hint in line and "checkpoint.npz" in line
        assert (sorted(folder.path.iterdir()), (folder.path / "checkpoint.npz").read_bytes()) == before
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        assert hint in refused(folder.add_row, {"epoch": 1})


def test_a_kill_while_writing_leaves_the_old_file(folder):
    """The temporary file of a killed process is cleared away by the next one that holds the folder."""
    folder.save(ARRAYS, PROGRESS)
    path = folder.path
    folder.close()
    code = (
        "import os, signal, sys; import numpy as np; from minilocal import record\n"
        "folder = record.RunFolder(sys.argv[1])\n"
        "os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)\n"
        "folder.save({'weight': np.zeros(3)}, {})\n"
    )
    assert subprocess.run([sys.executable, "-c", code, path]).returncode == -9
    assert sorted(p.name.split(".")[1] for p in path.glob("*.partial")) == ["npz", "previous"]
    assert checkpoint(path)[1] == PROGRESS
    with record.RunFolder.reopen(path, {}):
        assert not list(path.glob("*.partial"))
        assert checkpoint(path)[1] == PROGRESS


def test_a_folder_has_one_writer(folder):
    line = refused(record.RunFolder.reopen, folder.path, {})
    assert f"in use by process {os.getpid()}" in line
    folder.close()
    record.RunFolder.reopen(folder.path, {}).close()


def test_the_lock_is_gone_when_nobody_writes(folder):
    assert (folder.path / "lock").exists()
    folder.close()
    assert not (folder.path / "lock").exists()
    folder.close()  # again is nothing


def test_a_lock_that_its_holder_removes_holds_nobody_off(folder, monkeypatch):
    """Between opening the file and locking it, the holder before removes it: the next two writers still meet."""
    import fcntl

    real = fcntl.flock
    seen: list[int] = []

    def flock(descriptor, operation):
        if not seen:
            seen.append(descriptor)
            folder.close()  # removes the file that was just opened
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with record.RunFolder(folder.path):
        assert seen and "in use by" in refused(record.RunFolder, folder.path)


def test_a_lock_of_somebody_else_is_not_removed(folder, tmp_path):
    """The folder was moved away, and another run has begun in its place."""
    folder.path.rename(tmp_path / "moved")
    with record.RunFolder.create(folder.path, CONFIG, {}) as other:
        folder.close()
        assert "in use by" in refused(record.RunFolder, other.path)


def test_many_processes_take_turns_and_never_meet(tmp_path):
    """Four processes lock and let go of one folder for a while: no two are ever inside."""
    code = (
        "import os, sys, time; from pathlib import Path; from minilocal import record\n"
        "inside, turns, end = Path(sys.argv[1]) / 'inside', 0, time.monotonic() + 1.5\n"
        "while time.monotonic() < end:\n"
        "    try: folder = record.RunFolder(sys.argv[1])\n"
        "    except record.folder.UserError: continue\n"
        "    os.close(os.open(inside, os.O_CREAT | os.O_EXCL)); inside.unlink(); turns += 1\n"
        "    folder.close()\n"
        "print(turns)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    them = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ends = [(*process.communicate(timeout=300), process.returncode) for process in them]
    assert [status for *_, status in ends] == [0] * 4, ends
    assert sum(int(out) for out, *_ in ends) > 0  # thousands, where nothing else runs


def test_a_lock_with_a_hard_link_elsewhere_leaves_that_alone(tmp_path):
    """As in a copy of a run that `cp -al` made."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "run").mkdir()
    os.link(tmp_path / "mine", tmp_path / "run/lock")
    record.RunFolder(tmp_path / "run").close()
    assert (tmp_path / "mine").read_text() == "mine" and not (tmp_path / "run/lock").exists()


@pytest.mark.parametrize("name", ["checkpoint.npz", "metrics.jsonl"])
def test_a_pipe_in_place_of_a_file_is_one_line(tmp_path, folder, name):
    (folder.path / name).unlink(missing_ok=True)
    os.mkfifo(folder.path / name)
    with pytest.raises(UserError, match="is a device or a pipe"):
        if name == "checkpoint.npz":
            record.checkpoint(folder.path)
        else:
            folder.add_row({"epoch": 1})


def test_a_lock_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").symlink_to(tmp_path / "mine")
    assert "symbolic link" in refused(record.RunFolder, tmp_path / "run")
    assert (tmp_path / "mine").read_text() == "precious"


def listed(path: Path) -> dict[str, Any]:
    return {p.name: p.read_bytes() for p in path.iterdir()}


def test_an_existing_run_is_not_overwritten(folder, tmp_path):
    folder.save(ARRAYS, PROGRESS)
    folder.close()
    before = listed(folder.path)
    assert "--resume" in refused(record.RunFolder.create, folder.path, {}, {})
    assert listed(folder.path) == before
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    assert "not empty" in refused(record.RunFolder.create, tmp_path / "photos", {}, {})
    assert listed(tmp_path / "photos") == {"cat.png": b""}
    assert "no run folder" in refused(record.config, tmp_path / "photos")


@pytest.mark.parametrize("name", ["", "bad\udcff"])
def test_a_name_that_is_none_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "--out" in refused(record.RunFolder.create, name, CONFIG, {})
    assert listed(tmp_path) == {}


def test_a_run_that_could_not_begin_leaves_no_folder(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        refused(record.RunFolder.create, tmp_path / "a" / "b", CONFIG, {})
    assert listed(tmp_path) == {}


def test_a_run_that_saved_nothing_gives_way(folder):
    """No checkpoint and no row: nothing is lost. A row alone is kept, though no run can go on from it."""
    folder.close()
    assert record.saved_nothing(folder.path)
    with record.RunFolder.create(folder.path, {"rule": {"name": "bp"}}, {}) as other:
        other.add_row({"epoch": 1})
    assert record.config(folder.path) == {"rule": {"name": "bp"}} and not record.saved_nothing(folder.path)
    assert "--resume" in refused(record.RunFolder.create, folder.path, CONFIG, {})


def test_the_checkpoint_before_stays_and_serves_when_the_last_is_damaged(folder):
    folder.save(ARRAYS, PROGRESS)
    later = {**PROGRESS, "step": 8}
    folder.save(ARRAYS, later)
    last = folder.path / "checkpoint.npz"
    assert folder.checkpoint()[1] == later
    last.write_bytes(last.read_bytes()[:100])
    with pytest.warns(
        UserWarning, match=r"checkpoint\.npz cannot be read .* checkpoint\.previous\.npz, the one before"
    ):
        assert checkpoint(folder.path)[1] == PROGRESS
    with pytest.warns(UserWarning):
        assert folder.checkpoint()[1] == PROGRESS
    assert checkpoint(folder.path)[1] == PROGRESS  # it has taken the place of the damaged one, without a word
    folder.save(ARRAYS, later)
    last.unlink()
    with pytest.warns(UserWarning, match="is not there"):
        assert checkpoint(folder.path)[1] == PROGRESS
    for name in ("checkpoint.npz", "checkpoint.previous.npz"):
        (folder.path / name).write_bytes(b"PK")
    assert "remove both" in refused(record.checkpoint, folder.path)


def test_rows_that_are_missing_are_told(folder):
    for epoch in (1, 3, 4):
        folder.add_row({"epoch": epoch})
    assert folder.truncate_rows(3) == [2]
    assert folder.truncate_rows(5) == [2, 4, 5]


def test_a_damaged_record_of_the_environment_starts_anew(folder):
    folder.close()
    for text, resumed in (('{"resumed": 3}', [3, {"cores": 8}]), ('{"resumed": ', [{"cores": 8}])):
        (folder.path / "environment.json").write_text(text)
        if text.endswith(" "):
            with pytest.warns(UserWarning, match="starts anew"):
                record.RunFolder.reopen(folder.path, {"cores": 8}).close()
        else:
            record.RunFolder.reopen(folder.path, {"cores": 8}).close()
        assert record.recorded_environment(folder.path)["resumed"] == resumed


DAMAGED = ["null", "{", '{"epoch": "1"}', '{"epoch": 1.5}', "[" * 100_000, "\0", '{"epoch": true}']


@pytest.mark.parametrize("line", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_lines_are_one_line(folder, line):
    (folder.path / "metrics.jsonl").write_text(f'{{"epoch": 1}}\n{line}\n')
    assert "metrics.jsonl, line 2" in refused(record.rows, folder.path)
    (folder.path / "config.json").write_text(line)
    if line[0] != "{" or len(line) == 1:
        assert "config.json is damaged" in refused(record.config, folder.path)


def test_a_run_killed_before_its_configuration_can_start_again(tmp_path):
    record.RunFolder(tmp_path).close()
    (tmp_path / "environment.json").write_text("{}")
    (tmp_path / "config.json.123.partial").touch()
    record.RunFolder.create(tmp_path, CONFIG, {}).close()
    assert record.config(tmp_path) == CONFIG


def test_a_path_through_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    assert "--out" in refused(record.RunFolder.create, tmp_path / "file" / "run", {}, {})
    assert "--out" in refused(record.RunFolder.create, tmp_path / "file", {}, {})


def test_a_damaged_configuration_is_named(folder):
    (folder.path / "config.json").write_text('{"rule": ')
    assert "config.json is damaged" in refused(record.config, folder.path)


def test_a_resumed_run_says_what_changed(folder):
    folder.close()
    record.RunFolder.reopen(folder.path, {"python": "3.11.0", "cores": 8}).close()
    record.RunFolder.reopen(folder.path, {"python": "3.12.0"}).close()
    assert record.recorded_environment(folder.path) == {
        "python": "3.11.0",
        "resumed": [{"cores": 8}, {"python": "3.12.0"}],
    }


def test_the_environment_is_json_and_says_the_versions():
    environment = json.loads(json.dumps(record.current_environment(), allow_nan=False))
    assert environment["packages"]["numpy"] == np.__version__
    assert environment["python"].startswith("3.")
    assert environment["cores"] >= 1


def test_a_devices_facts_are_json():
    facts = record.environment.device_facts("cpu")
    assert facts == {"device": "cpu", "library": f"numpy {np.__version__}"}
    with pytest.raises(UserError, match="device 'tpu' is not known"):
        record.environment.device_facts("tpu")


def test_a_damaged_configuration_is_that_of_the_checkpoint(folder):
    file = folder.path / "config.json"
    folder.save(ARRAYS, {"progress": PROGRESS, "config": CONFIG})
    folder.close()
    for text in ("", '{"rule": ', "null"):
        file.write_text(text)
        with pytest.warns(UserWarning, match="Its copy in the checkpoint is used"):
            assert record.config(folder.path) == CONFIG
    with pytest.warns(UserWarning, match="Its copy in the checkpoint is used"):
        record.RunFolder.reopen(folder.path, {}).close()
    assert json.loads(file.read_text()) == CONFIG


def test_without_a_copy_a_damaged_configuration_has_a_remedy(folder):
    (folder.path / "config.json").write_text("")
    assert "No checkpoint has a copy of it: remove the folder" in refused(record.config, folder.path)


def test_what_is_removed_while_a_run_writes_is_put_back(folder):
    folder.add_row({"epoch": 1})
    for name in ("config.json", "lock"):
        for write in (lambda: folder.save(ARRAYS, PROGRESS), lambda: folder.add_row({"epoch": 2})):
            (folder.path / name).unlink()
            with pytest.warns(UserWarning, match=f"{name} was removed"):
                write()
            assert (folder.path / name).exists()
    assert record.config(folder.path) == CONFIG
    assert "in use by process" in refused(record.RunFolder, folder.path)
    (folder.path / "metrics.jsonl").unlink()
    with pytest.warns(UserWarning, match="metrics.jsonl was removed: its rows before epoch 3 are lost"):
        folder.add_row({"epoch": 3})
    assert folder.truncate_rows(3) == [1, 2]


def test_a_second_writer_that_a_removed_lock_has_let_in_stops_the_first(folder):
    (folder.path / "lock").unlink()
    with record.RunFolder(folder.path):
        assert "in use by process" in refused(folder.save, ARRAYS, PROGRESS)
        assert "in use by process" in refused(folder.add_row, {"epoch": 1})
    assert record.rows(folder.path) == [] and record.checkpoint(folder.path) is None


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000])
def test_a_path_that_cannot_be_is_one_line(name, tmp_path):
    refused(record.RunFolder.create, tmp_path / name, CONFIG, {})
    with pytest.raises(UserError, match=r"null character|too long"), record.atomic_write(tmp_path / name):
        pass


def test_the_names_of_new_folders_are_synced(tmp_path, synced):
    """A power cut would lose a run with the name of its folder, whatever was synced in it."""
    run = tmp_path / "runs" / "new"
    with record.RunFolder.create(run, CONFIG, {}):
        assert {p.stat().st_ino for p in (tmp_path, run.parent, run)} <= set(synced)
    synced.clear()
    (run.parent / "made by a queue").mkdir()
    with record.RunFolder.create(run.parent / "made by a queue", CONFIG, {}):
        assert run.parent.stat().st_ino in synced


def test_the_first_row_is_synced_with_the_name_of_its_file(folder, synced):
    inode = folder.path.stat().st_ino
    folder.add_row({"epoch": 1})
    assert synced[-1] == inode
    folder.add_row({"epoch": 2})
    assert synced[-1] == (folder.path / "metrics.jsonl").stat().st_ino
