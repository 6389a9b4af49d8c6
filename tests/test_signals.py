"""A signal ends the command in one line and with its status, from the first import of the package on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import minilocal as ml
from minilocal.signals import Stopped, stopping

WHEN = """
import os, sys, signal

class SignalAtImport:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["TEST_MODULE"]:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), int(os.environ["TEST_SIGNAL"]))

sys.meta_path.insert(0, SignalAtImport())
"""
SCRIPT = "import sys\nfrom minilocal.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
TRAIN = ["train", "--rule", "gll", "--net", "resnet8", "--limit-train", "64", "--out", "run"]


@pytest.fixture
def python(tmp_path):
    """`python(module, number, *words)`: a Python that gets this signal when it first imports this module."""
    (tmp_path / "sitecustomize.py").write_text(WHEN)
    (tmp_path / "minilocal").write_text(SCRIPT)

    def run(module, number, *words):
        env = {**os.environ, "TEST_MODULE": module, "TEST_SIGNAL": str(int(number))}
        env["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{Path(ml.__file__).parents[1]}"
        return subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
        )

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits SIG_IGN
    yield run
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("numpy", ["-m", "minilocal", *TRAIN]),
        ("numpy", ["minilocal", *TRAIN]),  # the console script
        ("minilocal.cli", ["-m", "minilocal", *TRAIN]),
        ("minilocal.config", ["-m", "minilocal", *TRAIN]),  # in the command's own work
        ("minilocal.train.loop", ["-m", "minilocal", *TRAIN]),
        ("minilocal.parallel.launcher.launch", ["-m", "minilocal", *TRAIN, "--processes", "2"]),
    ],
)
def test_a_signal_while_the_command_imports_is_one_line(python, tmp_path, module, words, number):
    ended = python(module, number, *words)
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + number, "", "minilocal: stopped\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
@pytest.mark.parametrize("module", ["numpy", "minilocal.config"])
def test_a_terminal_that_is_closed_and_slurms_warning_end_the_command_alike(python, module, number):
    ended = python(module, number, "-m", "minilocal", *TRAIN)
    assert (ended.returncode, ended.stderr) == (128 + number, "minilocal: stopped\n")


def test_a_signal_in_a_finaliser_stops_too(capsys):
    """What is raised there Python prints and drops."""

    class Ending:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped) as caught, stopping():
        Ending()
        time.sleep(60)
    assert caught.value.number == signal.SIGTERM and capsys.readouterr().err == ""


def test_a_program_that_imports_the_package_keeps_its_signals(python):
    code = "import minilocal, signal; print(signal.getsignal(15) == signal.SIG_DFL)"
    assert python("", 0, "-c", code).stdout == "True\n"
    assert "KeyboardInterrupt" in python("numpy", signal.SIGINT, "-c", code).stderr


def test_a_signal_that_is_ignored_stays_ignored(python):
    """As SIGINT in a shell script's background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert python("numpy", signal.SIGINT, "-m", "minilocal", "--version").returncode == 0
