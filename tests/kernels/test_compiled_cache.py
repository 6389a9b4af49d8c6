"""Compiled code on disk: compiled once on a machine, anew where a source changes, and never in two processes' way."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minilocal

pytest.importorskip("numba", reason="Numba is not installed (extra `fast`)")

from numba.core import config
from numba.core.caching import FunctionCache, IndexDataCacheFile

from minilocal.kernels.numba import cache, compiled

TOP = Path(minilocal.__file__).parents[1]
PROGRAM = """
import json, sys
import numpy as np
from numba.core import config
before = config.CACHE_DIR
from minilocal.kernels.numba.compiled import compiled

@compiled
def add_one(a):
    return a + 1

@compiled
def twice_more(a):
    return add_one(add_one(a))

results = [float(twice_more(np.zeros(3, dtype))[0]) for dtype in sys.argv[1:]]
stats = twice_more.stats
print(json.dumps({
    "results": results, "hits": sum(stats.cache_hits.values()), "compiled": sum(stats.cache_misses.values()),
    "config": [before, config.CACHE_DIR],
}))
"""


@pytest.fixture
def program(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path / "program.py"


def start(
    program: Path, place: Path | str, *dtypes: str, cwd: Path | None = None, name: str = "NUMBA_CACHE_DIR"
) -> Any:
    env = {key: value for key, value in os.environ.items() if key not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    env |= {"PYTHONPATH": str(TOP), name: str(place)}
    return subprocess.Popen(
        [sys.executable, str(program), *dtypes], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
        cwd=cwd,
    )  # fmt: skip


def end(process: subprocess.Popen[str]) -> tuple[dict[str, Any], list[str]]:
    """What the program printed, and its lines on stderr."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out), err.splitlines()


def files(place: Path) -> dict[str, bytes]:
    """The indices (.nbi) and the code (.nbc) below a folder."""
    return {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*.nb[ic]")}


def test_a_second_process_compiles_nothing(program, tmp_path):
    place = tmp_path / "kept"
    first, lines = end(start(program, place, "float32", "float64"))
    assert (first["hits"], first["compiled"]) == (0, 2) and first["results"] == [2, 2]
    assert (
        len(lines) == 1 and lines[0].startswith("minilocal: compiling Numba kernels, once") and str(place) in lines[0]
    )
    before = files(place)
    assert {name.partition("/")[0] for name in before} == {cache.FOLDER.name}  # named by the sources, wherever it lies
    second, lines = end(start(program, place, "float32", "float64"))
    assert (second["hits"], second["compiled"]) == (2, 0) and second["results"] == [2, 2]
    assert files(place) == before and not lines


@pytest.mark.parametrize("own", ["", "elsewhere"])
def test_the_users_setting_of_numba_stays(program, tmp_path, own):
    setting = str(tmp_path / own) if own else ""
    result, _ = end(start(program, setting or tmp_path / "home", name="NUMBA_CACHE_DIR" if own else "XDG_CACHE_HOME"))
    assert result["config"] == [setting, setting]


def test_the_folder_is_below_numbas_own_setting_or_in_the_users_cache(program, tmp_path, monkeypatch):
    end(start(program, "here", "float32", cwd=tmp_path))
    assert files(tmp_path / "here" / cache.FOLDER.name)
    end(start(program, tmp_path / "xdg", "float32", name="XDG_CACHE_HOME"))
    assert files(tmp_path / "xdg" / "minilocal" / cache.FOLDER.name)
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / ".cache" / "minilocal" / cache.FOLDER.name


def test_a_change_of_a_source_or_of_numba_is_another_folder(tmp_path, monkeypatch):
    sources = tmp_path / "kernels" / "numba"
    shutil.copytree(Path(cache.__file__).parents[1], sources.parent, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cache, "__file__", str(sources / "cache.py"))
    assert cache.folder() == cache.FOLDER
    for path in [*sorted(sources.glob("*.py")), sources.parent / "cpu" / "winograd.py"]:
        text = path.read_text()
        path.write_text(f"{text}\n")
        assert cache.folder() != cache.FOLDER, path
        path.write_text(text)
    os.utime(sources / "compiled.py", (0, 0))
    assert cache.folder() == cache.FOLDER  # a copy with other times is the same
    monkeypatch.setattr("numba.__version__", "99.0")
    assert cache.folder() != cache.FOLDER


def test_without_a_folder_that_can_be_written_each_process_compiles_and_says_so(program, tmp_path):
    (tmp_path / "file").write_text("no folder")
    result, lines = end(start(program, tmp_path / "file", "float32"))
    assert (result["hits"], result["compiled"], result["results"]) == (0, 1, [2])
    assert len(lines) == 1 and "compiled anew in each process" in lines[0] and "Not a directory" in lines[0]
    assert not list(tmp_path.rglob("*.nb[ic]"))


def test_a_user_without_a_home_has_none(program, tmp_path):
    assert cache.why_not_kept(Path("~/.cache/minilocal")) == "the user has no home"


def test_code_is_not_loaded_from_a_folder_that_others_can_write_in(program, tmp_path):
    place = tmp_path / "kept"
    end(start(program, place, "float32"))
    for shared in (place, place / cache.FOLDER.name):
        before = shared.stat().st_mode
        shared.chmod(0o777)
        result, lines = end(start(program, place, "float32"))
        assert (result["hits"], result["results"]) == (0, [2])
        assert len(lines) == 1 and lines[0].endswith(f"others may write in {shared} (mode 0777): chmod go-w {shared}")
        shared.chmod(before)
    result, lines = end(start(program, place, "float32"))
    assert (result["hits"], lines) == (1, [])


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_the_folder_is_made_for_the_user_alone(tmp_path, umask):
    before = os.umask(umask)
    try:
        assert cache.why_not_kept(tmp_path / "a/b") == ""
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a/b")] == [0o700, 0o700]
    (tmp_path / "a/b").chmod(0o755)  # what Numba made in it may be another's to write
    assert cache.why_not_kept(tmp_path / "a/b") == "it is not this user's alone (mode 0700): remove it"


def test_a_full_disk_is_told_and_the_function_runs(tmp_path, monkeypatch, capsys):
    def full(self, sig, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    kept_in(tmp_path, monkeypatch)
    monkeypatch.setattr(FunctionCache, "save_overload", full)
    assert less_one()(np.ones(2))[0] == 0
    assert (
        capsys.readouterr().err
        == f"minilocal: compiled Numba kernels are not kept: {tmp_path}: No space left on device\n"
    )


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_a_damaged_file_is_compiled_anew(program, tmp_path, kind):
    place = tmp_path / "kept"
    end(start(program, place, "float32"))
    damaged = [p for p in place.rglob(f"*.{kind}") if "twice_more" in p.name]
    assert damaged
    for path in damaged:
        path.write_bytes(b"\x80\x04 no pickle")
    result, _ = end(start(program, place, "float32"))
    assert (result["hits"], result["compiled"], result["results"]) == (0, 1, [2])
    result, _ = end(start(program, place, "float32"))
    assert (result["hits"], result["compiled"], result["results"]) == (1, 0, [2])


def test_code_of_another_signature_is_not_run(tmp_path, monkeypatch):
    """It would take numbers for those of another type."""
    kept_in(tmp_path, monkeypatch)
    types = ("float32", "int32")
    for dtype in types:
        less_one()(np.ones(2, dtype))
    first, second = sorted(tmp_path.rglob("*.nbc"))
    first.write_bytes(second.read_bytes())
    for compilations in (2, 0):  # one wrong file, and all of the function's are made anew
        again = less_one()
        assert [again(np.full(2, 3, dtype)).tolist() for dtype in types] == [[2, 2], [2, 2]]
        assert sum(again.stats.cache_misses.values()) == compilations


def test_with_a_damaged_index_its_code_goes_too(tmp_path, monkeypatch):
    """Numbers of files begin anew: what ends before it has written its code would leave its index to the old one."""
    kept_in(tmp_path, monkeypatch)
    less_one()(np.ones(2, "float32"))
    (index,) = tmp_path.rglob("*.nbi")
    index.write_bytes(b"no pickle")

    def killed(self, name, data):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(IndexDataCacheFile, "_save_data", killed)
        less_one()(np.ones(2, "int32"))
    assert index.exists() and not list(tmp_path.rglob("*.nbc"))
    assert less_one()(np.full(2, 3, "int32")).tolist() == [2, 2]


def test_one_process_at_a_time_writes(tmp_path, monkeypatch):
    """The lock is held from the number that a file gets to the file itself, by this function and by no other."""
    held = []
    save = IndexDataCacheFile.save

    def noting(self, key, data):
        with open(tmp_path / "lock", "w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        save(self, key, data)
        held.append(Path(self._cache_path).parent)

    kept_in(tmp_path, monkeypatch)
    monkeypatch.setattr(IndexDataCacheFile, "save", noting)
    less_one()(np.ones(2))
    assert held == [tmp_path]
    with open(tmp_path / "lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_two_processes_at_once_leave_the_code_of_both(program, tmp_path):
    place, types = tmp_path / "kept", ("float32", "float64", "int32", "complex64")
    for process in [start(program, place, dtype) for dtype in types]:
        assert end(process)[0]["results"] == [2]
    result, _ = end(start(program, place, *types))
    assert (result["hits"], result["compiled"], result["results"]) == (4, 0, [2] * 4)


def kept_in(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "FOLDER", place)


def less_one():
    """A new compiled function."""

    def f(a):
        return a - 1

    return compiled.compiled(f)
