"""docs/results/trust.md, from what the parts measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.faults.measured import Measured, read
from tests.faults.parts import APART, PARTS, part

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs/results/trust"
PAGE = ROOT / "docs/results/trust.md"
HEAD = """# Trust

How minilocal bears kills, faults, damaged files and wrong input. `make trust` measures all of it again, in under an
hour on two cores; `make trust PART=kills` measures one part. Its short form is part of `make test`.

"""


def table(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A Markdown table."""
    lines = [names, ("---",) * len(names), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines) + "\n"


def section(name: str, measured: Measured, facts: dict[str, Any]) -> str:
    """A part: what is tried, the figures, what its checks say without what they rely on, and the failures."""
    text = f"## {part(name).TITLE}\n\n{part(name).ABOUT.strip()}\n\n"
    text += f"`{APART[name]}` measures it; `make trust` does not.\n\n" if name in APART else ""
    text += table(("tried", "cases", "held", ""), [(f.what, f.tried, f.held, f.remark) for f in measured.figures])
    if measured.broken:
        rows = [(b.without, b.tried, b.red) for b in measured.broken]
        text += "The same checks with what they rely on taken out, which must be noticed:\n\n"
        text += table(("without", "cases", "noticed"), rows)
    text += "".join(f"* {line}\n" for line in measured.failures) + ("\n" if measured.failures else "")
    text += measured.text.strip() + "\n\n" if measured.text else ""
    return text + "Measured {date} in {seconds:.0f} s: Python {python}, NumPy {numpy}, {cores} cores.\n\n".format(
        **facts
    )


def render() -> None:
    """Writes the page anew from the files of the parts that are there."""
    sections = []
    for name in (*PARTS, *APART):
        if (path := RESULTS / f"{name}.json").exists():
            sections.append(section(name, *read(path)))
    PAGE.write_text((HEAD + "".join(sections)).rstrip() + "\n")
