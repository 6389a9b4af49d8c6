"""The parts of the package whose code is mutated, the tests of each, and those that a survivor of these meets next."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3]

DECLARED = "tests/test_declared.py"
"""Defaults and constants of all parts."""
OWN: dict[str, tuple[str, ...]] = {
    "equations": ("tests/test_equations.py", DECLARED),
    "losses": ("tests/losses", DECLARED),
    "layers": ("tests/layers", DECLARED),
    "objectives": ("tests/objectives", "tests/rules", "tests/test_local_logits.py", DECLARED),
    "boundaries": ("tests/boundaries", "tests/rules", DECLARED),
    "rules": ("tests/rules", DECLARED),
    "engine": ("tests/engine", "tests/rules", "tests/test_learner.py", "tests/device", DECLARED),
    "optim": ("tests/optim", DECLARED),
    "ops": ("tests/ops", "tests/kernels", "tests/data/test_augmentation.py", DECLARED),
}
WIDER = (
    "tests/config", "tests/costs", "tests/device", "tests/engine", "tests/fake", "tests/kernels", "tests/layers",
    "tests/locality", "tests/losses", "tests/memory", "tests/nets", "tests/objectives", "tests/ops", "tests/optim",
    "tests/rules", "tests/train", "tests/verify", "tests/test_device.py", "tests/test_equations.py",
    "tests/test_errors.py", "tests/test_float32.py", "tests/test_float_errors.py", "tests/test_inputs.py",
    "tests/test_interop.py", "tests/test_learner.py", "tests/test_local_logits.py", "tests/test_save.py",
    "tests/test_split.py", "tests/test_summary.py",
)  # fmt: skip


def modules(part: str, root: Path = ROOT) -> list[str]:
    """The files of a part, relative to `root`: minilocal/PART.py, or all below minilocal/PART."""
    place = root / "minilocal" / part
    files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
    return sorted(file.relative_to(root).as_posix() for file in files)


def part_of(module: str) -> str:
    """The part that a file belongs to."""
    return Path(module).parts[1].removesuffix(".py")


def test_files(places: tuple[str, ...], root: Path = ROOT) -> list[str]:
    """The files of tests at these places; a place that is not there has none."""
    files = {
        file
        for place in places
        for file in ([root / place] if place.endswith(".py") else (root / place).rglob("test_*.py"))
    }
    return sorted(file.relative_to(root).as_posix() for file in files if file.exists())
