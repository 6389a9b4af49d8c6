"""Odd names and odd surroundings: it works, or says in one line why not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from minilocal.cli import main
from tests.faults.storage.case import Case, Skipped
from tests.faults.storage.child import LIMIT, Child, Ended, command, python, started
from tests.faults.storage.expect import content, no_traceback, one_line, well
from tests.faults.storage.private import in_private_mounts, mount_tmpfs
from tests.faults.storage.small import end_of, run_words, tidy, undisturbed

NAMES = {
    "a space": "my run", "spaces at its ends": " run ", "a newline": "my\nrun", "a tab": "my\trun", "a quote": "it's",
    "two quotes": 'the "run"', "a backslash": "a\\b", "percent": "100%s%d%", "braces": "{}{0}{name}", "a star": "run*",
    "a question mark": "run?", "brackets": "run[1]", "a dollar": "$HOME", "a semicolon": "a;b", "an ampersand": "a&b",
    "a colon": "a:b", "an equals sign": "a=b", "a comma": "a,b", "a hash": "#run", "an exclamation mark": "run!",
    "a tilde within": "a~b", "a dot in front": ".run", "dots at its end": "run..", "Greek": "λόγος",
    "Chinese": "运行", "an emoji": "🏃", "a combining accent": "e\u0301", "written right to left": "\u202eריצה",
    "an escape sequence": "\x1b[31mred", "a carriage return": "a\rb", "a non-breaking space": "a\u00a0b",
    "255 bytes": "n" * 255, "the name of a file of runs": "config.json", "the name of a flag": "--out",
    "a name like a number": "0", "a name like a pattern of ours": "claim.1", "the end .partial": "run.partial",
}  # fmt: skip
NO_NAMES = {
    "256 bytes": "n" * 256, "5000 bytes": "/".join(["n" * 200] * 25), "nothing": "", "a null character": "a\0b",
    "a space": " ", "a dot": ".", "two dots": "..", "a slash": "/", "a file": "mine", "within a file": "mine/run",
}  # fmt: skip
NOT_UTF8 = b"bad\xff"


def cases() -> Iterator[Case]:
    for name, path in NAMES.items():
        yield Case(
            f"a run called {name}",
            partial(run_called, path=path),
            name == "percent",
        )
    for name, path in NO_NAMES.items():
        yield Case(
            f"no run can be called {name}", partial(no_run_called, path=path), name in ("256 bytes", "a null character")
        )
    for what, words in NOT_UTF8_IN.items():
        yield Case(f"not UTF-8: {what}", partial(not_utf8, words=words), what == "train --out")
    yield Case("a trailing slash", trailing_slash)
    yield Case("~ in a path", tilde)
    yield Case("below the path of a deleted folder", deleted_cwd, True)
    for name, about in SURROUNDINGS.items():
        yield Case(f"surroundings: {name}", partial(surrounded, about=about), name == "C, not UTF-8")
    for stream in ("stdin", "stdout", "stderr", "all three"):
        yield Case(f"{stream} closed", partial(closed, stream=stream), stream == "stdout")
    yield Case("HOME and temporary folder are read-only", read_only_home)
    yield Case("the package lies in a read-only folder, without a place for compiled files", read_only_package)
    yield Case("umask 077 and 000", umask)


def run_called(folder: Path, path: str) -> None:
    """Train an epoch, go on, predict, export and report; every command takes the name as it is."""
    if len(os.fsencode(path)) > 250 and path == "config.json":
        raise Skipped("")
    well(command(folder, *run_words("", epochs=1)[:-2], f"--out={path}"))
    if (folder / path).exists() is False:
        raise AssertionError(f"it is somewhere else: {sorted(content(folder))[:3]}")
    well(command(folder, "train", f"--resume={path}", "--epochs", "3"))
    assert end_of(folder / path) == undisturbed()
    name = f"./{path}" if path.startswith("-") else path
    well(command(folder, "predict", name))
    well(command(folder, "export", name, "--out", "e.npz"))
    well(command(folder, "report", name, "--out", "report"))
    well(command(folder, "train", f"--config={path}/config.json", "--out", "again"))
    page = (folder / "report" / "report.html").read_text()
    assert "\x1b" not in page and "<script" not in page.split("<body>")[-1], "the page has it raw"
    tidy(folder / path)


def no_run_called(folder: Path, path: str) -> None:
    (folder / "mine").write_text("mine")
    before = content(folder)
    ended = command(folder, *run_words("")[:-2], f"--out={path}")
    one_line(ended)
    assert content(folder) == before


NOT_UTF8_IN: dict[str, list[bytes]] = {
    "train --out": [b"train", b"--epochs", b"1", b"--out", NOT_UTF8],
    "train --resume": [b"train", b"--resume", NOT_UTF8],
    "train --dataset npz:": [b"train", b"--dataset", b"npz:" + NOT_UTF8],
    "train --data-dir": [b"train", b"--dataset", b"cifar10", b"--data-dir", NOT_UTF8],
    "train --set": [b"train", b"--set", b"run.out=" + NOT_UTF8],
    "predict RUN": [b"predict", NOT_UTF8], "report RUN": [b"report", NOT_UTF8], "export RUN": [b"export", NOT_UTF8],
    "data NAME": [b"data", NOT_UTF8], "memory --net": [b"memory", b"--net", NOT_UTF8], "COMMAND": [NOT_UTF8],
    "sweep --out": [b"sweep", b"--out", NOT_UTF8], "reproduce NAME": [b"reproduce", NOT_UTF8],
}  # fmt: skip


def not_utf8(folder: Path, words: list[bytes]) -> None:
    one_line(python(folder, *words), within=LIMIT)
    assert not content(folder), content(folder)


def trailing_slash(folder: Path) -> None:
    well(command(folder, *run_words("run/")))
    assert end_of(folder / "run") == undisturbed()
    well(command(folder, "predict", "run/"))
    assert (folder / "run/predictions.npz").exists()


def tilde(folder: Path) -> None:
    (folder / "home").mkdir()
    well(command(folder, *run_words("~/run"), HOME=str(folder / "home")))
    assert end_of(folder / "home/run") == undisturbed()
    one_line(command(folder, *run_words("~nobody-of-this-name/run/..")), status=2) if (
        folder / "~nobody-of-this-name"
    ).exists() else None


def deleted_cwd(folder: Path) -> None:
    """With relative paths in one line; with absolute ones it works."""
    gone = folder / "gone"

    def in_it(*words: str) -> Ended:
        gone.mkdir()

        def work() -> int:
            gone.rmdir()
            return main(list(words))

        child = Child(gone, work)
        return child.wait()

    for words in (run_words("run"), ["data"], ["memory", "--net", "mlp", "--modules", "2"], ["doctor"], ["--version"],
                  ["report", "run"], ["predict", "run"], ["export", "run"], ["sweep", "--net", "mlp"],
                  ["reproduce", "memory-baselines"], ["explorer", "--net", "resnet20"], ["train"]):  # fmt: skip
        ended = in_it(*words)
        if ended.status == 2:
            one_line(ended)
        no_traceback(ended, 0, 1, 2)
    well(in_it(*run_words(str(folder / "run"))))
    assert end_of(folder / "run") == undisturbed()


SURROUNDINGS: dict[str, dict[str, str | None]] = {
    "no HOME": {"HOME": None, "XDG_CACHE_HOME": None}, "HOME is nowhere": {"HOME": "/proc/nowhere"},
    "HOME is empty": {"HOME": ""}, "HOME is a file": {"HOME": "/etc/passwd"},
    "HOME is a device": {"HOME": "/dev/null"},
    "TMPDIR is nowhere": {"TMPDIR": "/proc/nowhere", "TEMP": None, "TMP": None},
    "TMPDIR is a file": {"TMPDIR": "/etc/passwd"},
    "MPLCONFIGDIR is nowhere": {"MPLCONFIGDIR": "/proc/nowhere"},
    "NUMBA_CACHE_DIR is nowhere": {"NUMBA_CACHE_DIR": "/proc/nowhere"},
    "XDG_CACHE_HOME is a file": {"XDG_CACHE_HOME": "/etc/passwd"},
    "C, not UTF-8": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "C": {"LC_ALL": "C"}, "POSIX": {"LC_ALL": "POSIX", "LANG": None}, "a locale that is none": {"LC_ALL": "xx_YY.zz"},
    "ASCII streams": {"PYTHONIOENCODING": "ascii"}, "latin-1 streams": {"PYTHONIOENCODING": "latin-1"},
    "UTF-16 streams": {"PYTHONIOENCODING": "utf-16"}, "strict streams": {"PYTHONIOENCODING": "ascii:strict"},
    "no TERM": {"TERM": None}, "a dumb TERM": {"TERM": "dumb"}, "COLUMNS=1": {"COLUMNS": "1", "LINES": "1"},
    "COLUMNS=0": {"COLUMNS": "0"}, "COLUMNS is no number": {"COLUMNS": "wide"},
    "COLUMNS is large": {"COLUMNS": "99999999"},
    "no PATH": {"PATH": None}, "an empty PATH": {"PATH": ""}, "a time zone that is none": {"TZ": "Nowhere/None"},
    "PYTHONOPTIMIZE=2": {"PYTHONOPTIMIZE": "2"}, "PYTHONDONTWRITEBYTECODE": {"PYTHONDONTWRITEBYTECODE": "1"},
    "warnings are errors": {"PYTHONWARNINGS": "error"}, "PYTHONHASHSEED=0": {"PYTHONHASHSEED": "0"},
    "PYTHONUNBUFFERED": {"PYTHONUNBUFFERED": "1"}, "PYTHONDEVMODE": {"PYTHONDEVMODE": "1"},
    "OMP_NUM_THREADS is no number": {"OMP_NUM_THREADS": "many"},
    "OPENBLAS_NUM_THREADS=0": {"OPENBLAS_NUM_THREADS": "0"},
    "git is another program": {"PATH": "."},
}  # fmt: skip


def surrounded(folder: Path, about: dict[str, str | None]) -> None:
    """Train and report, as real command lines; the bits are the same."""
    if about.get("PATH") == ".":
        (folder / "git").write_text("#!/bin/sh\nexit 3\n")
        (folder / "git").chmod(0o755)
    prints = (
        [["train", "--help"], ["data"], ["predict", "run"]] if about.keys() & {"LC_ALL", "PYTHONIOENCODING"} else []
    )
    for words in (run_words("run"), ["report", "run"], *prints):
        well(python(folder, *words, **about))
    assert end_of(folder / "run") == undisturbed(), "other bits"
    tidy(folder)


def closed(folder: Path, stream: str) -> None:
    """As a shell closes them: <&- >&- 2>&-."""
    numbers = {"stdin": [0], "stdout": [1], "stderr": [2], "all three": [0, 1, 2]}[stream]

    def close() -> None:
        for number in numbers:
            os.close(number)

    process = started(
        folder, run_words("run"), {}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=close
    )  # fmt: skip
    out, err = process.communicate(timeout=LIMIT)
    assert b"Traceback" not in err + out, err[-300:]
    assert process.returncode == 0, f"{process.returncode}: {err[-300:]!r}"
    assert end_of(folder / "run") == undisturbed()
    assert b"epoch" not in b"".join(p.read_bytes()[:9] for p in (folder / "run").iterdir() if p.suffix == ".npz"), (
        "printed into a file"
    )


def read_only_home(folder: Path) -> None:
    """The home and the temporary folder cannot be written: the run and its report need neither."""

    def work() -> int:
        (folder / "disk").mkdir()
        mount_tmpfs(folder / "disk", "size=1m")
        mount_tmpfs(folder / "disk", "remount,ro")
        place = str(folder / "disk")
        about: dict[str, str | None] = {
            "HOME": place,
            "TMPDIR": place,
            "XDG_CACHE_HOME": place,
            "MPLCONFIGDIR": place,
            "NUMBA_CACHE_DIR": place,
        }
        for words in (
            run_words("run"),
            ["report", "run"],
            ["predict", "run"],
            ["train", *run_words("")[1:-2], "--kernels", "auto", "--out", "auto"],
        ):
            well(python(folder, *words, **about))
        assert end_of(folder / "run") == undisturbed()
        return 0

    well(in_private_mounts(folder, work, 200))


def read_only_package(folder: Path) -> None:
    about: dict[str, str | None] = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/proc/nowhere"}
    well(python(folder, *run_words("run"), **about))
    assert end_of(folder / "run") == undisturbed()


def umask(folder: Path) -> None:
    for mask in (0o077, 0o000):
        name = f"run{mask:o}"

        def work(mask: int = mask, name: str = name) -> int:
            os.umask(mask)
            return main(run_words(name))

        well(Child(folder, work).wait())
        modes = {path.name: path.stat().st_mode & 0o777 for path in (folder / name).iterdir()}
        assert set(modes.values()) == {0o666 & ~mask}, modes
