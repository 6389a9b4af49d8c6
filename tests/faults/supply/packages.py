"""The wheel and the source archive: what is in them, and that two builds of one commit are the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
EPOCH = "1767225600"  # 2026-01-01, as SOURCE_DATE_EPOCH
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
BESIDE = {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "pyproject.toml", ".gitignore", "PKG-INFO"}


def tracked() -> set[str]:
    """The files of the package that git knows."""
    return set(git("ls-files", "minilocal").split())


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def copied(top: Path) -> Path:
    """What git knows, as it is here now, copied: what else lies in this folder gets into no build."""
    for name in git("ls-files", "minilocal", *sorted(BESIDE - {"PKG-INFO"})).split():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes((ROOT / name).read_bytes())
    return top


def built(source: Path, out: Path, umask: int = 0o022) -> tuple[Path, Path]:
    """The wheel and the source archive. Raises: subprocess.CalledProcessError."""
    env = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(out)]
    subprocess.run(command, cwd=source, env=env, umask=umask, check=True, capture_output=True)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def in_wheel(file: Path) -> set[str]:
    """Files of the package as they are called, those of its metadata without the folder."""
    with zipfile.ZipFile(file) as archive:
        return {n.partition(".dist-info/")[2] or n for n in archive.namelist()}


def in_archive(file: Path) -> set[str]:
    with tarfile.open(file) as archive:
        return {m.name.partition("/")[2] for m in archive.getmembers() if not m.isdir()}


def faults() -> tuple[int, list[str]]:
    """How much was looked at, and a line for each file too much or too few, and for builds that differ."""
    with tempfile.TemporaryDirectory(prefix="supply-") as name:
        top = Path(name)
        first = built(copied(top / "one"), top / "first")
        second = built(copied(top / "two"), top / "second", umask=0o077)
        wrong = [
            f"{a.name}: two builds differ"
            for a, b in zip(first, second, strict=True)
            if a.read_bytes() != b.read_bytes()
        ]
        wrong += differences("the wheel", in_wheel(first[0]), tracked() | METADATA)
        wrong += differences("the source archive", in_archive(first[1]), tracked() | BESIDE)
    return 4, wrong


def differences(where: str, files: set[str], wanted: set[str]) -> list[str]:
    return [f"{where} has {n}" for n in sorted(files - wanted)] + [f"{where} lacks {n}" for n in sorted(wanted - files)]
