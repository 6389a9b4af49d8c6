"""`make oldest`: tests with the oldest versions that pyproject.toml allows, in an environment of their own.

    python3.11 -m tests.faults.supply.oldest [--into FOLDER] [TEST ...]

It runs by the oldest Python that pyproject.toml allows, which needs nothing but itself. The environment is made once,
and again when the versions change.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

from tests.faults.supply.bounds import constraints, requirements

ROOT = Path(__file__).parents[3]
PLACE = ROOT / "build/oldest"
PYTHON = (3, 11)
TESTS = (  # of every part some, in about five minutes on two cores; none that need the notebooks or the docs
    "tests/engine", "tests/record", "tests/config", "tests/data", "tests/draw", "tests/optim", "tests/nets",
    "tests/losses", "tests/train/test_train.py", "tests/rules/test_invariants.py",
    "tests/rules/test_rules_against_jax.py", "tests/cli/test_cli.py", "tests/cli/test_cli_report.py",
    "tests/cli/test_cli_sweep.py", "tests/kernels/test_compiled_cache.py", "tests/kernels/test_conv_kernel.py",
    "tests/kernels/test_threads.py", "tests/parallel/test_mpi.py", "tests/test_learner.py", "tests/test_package.py",
    "tests/test_save.py",
)  # fmt: skip


def make(place: Path) -> list[str]:
    """The environment, unless it is there with these versions; the lines of its constraints.

    Raises: subprocess.CalledProcessError where pip cannot install them.
    """
    lines, file = constraints("test"), place / "constraints.txt"
    if file.exists() and file.read_text().split() == lines:
        return lines
    venv.create(place, clear=True, with_pip=True)
    wanted = place / "wanted.txt"
    wanted.write_text("\n".join(lines))
    names = [r.name for r in requirements("test")]
    subprocess.run(
        [place / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", wanted, *names],
        check=True,
    )
    wanted.rename(file)  # so it is whole
    return lines


def run(place: Path, tests: tuple[str, ...] = TESTS, *options: str) -> subprocess.CompletedProcess[str]:
    """pytest in that environment, with the package and the tests of this checkout."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [str(place / "bin/python"), "-m", "pytest", "-p", "no:cacheprovider", *options, *tests]
    return subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)


def counted(output: str) -> tuple[int, int]:
    """How many tests passed, and how many failed or were broken, by pytest's last line."""
    last = output.strip().splitlines()[-1] if output.strip() else ""
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", last)}
    return counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.supply.oldest")
    parser.add_argument("--into", type=Path, default=PLACE, metavar="FOLDER", help="of the environment (build/oldest)")
    parser.add_argument("tests", nargs="*", metavar="TEST", help="instead of the selection")
    options = parser.parse_args()
    if sys.version_info[:2] != PYTHON:
        print("the oldest versions go with Python 3.11: make oldest PYTHON=python3.11", file=sys.stderr)
        return 2
    print("minilocal's tests with " + " ".join(make(options.into)), flush=True)
    ended = run(options.into, tuple(options.tests) or TESTS, "-n", "auto", "--maxprocesses", "8")
    print(ended.stdout, end="")
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
