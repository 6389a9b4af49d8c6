"""The page: one HTML file that needs no other, of `page.html`, `look.css`, the scripts, and the data."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

from minilocal.draw.page import STYLE
from minilocal.draw.style import CYCLE, MODULES
from minilocal.explorer.choices import USUAL
from minilocal.explorer.points import Data, data
from minilocal.record.files import atomic_write

SCRIPTS = ("script.js", "picture.js", "schedule.js", "show.js", "controls.js")  # in this order
DESCRIPTION = "What a rule of local learning sends, keeps and waits for, at a network, K, l and α."


def html(content: Data) -> str:
    """The page around the data of `points.data`."""
    colours = {"modules": MODULES, "batches": CYCLE}
    text = json.dumps({**content, "colours": colours}, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    script = "".join(_part(name) for name in SCRIPTS)
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<meta name='description' content='{DESCRIPTION}'>\n<title>Explore a rule</title>\n"
        f"<style>{STYLE}{_part('look.css')}</style></head><body>\n{_part('page.html')}"
        f"<script>\nconst DATA = {text};\n{script}</script></body></html>\n"
    )


def write(
    path: str | Path,
    *,
    networks: Sequence[str] = USUAL,
    results: str | Path | None = None,
    on_point: Callable[[str], None] = lambda key: None,
) -> None:
    """Write the page to a file: some minutes for the usual networks, half of them for ResNet-110.

    `results` is a folder of folders with an experiment.csv each, as docs/results: our errors. `on_point` is called
    with the key of each point.

    Raises: UserError for an unknown network, a folder without results, and a file that cannot be written.
    """
    with atomic_write(path) as file:  # opened first: a path that cannot be written is refused before the minutes
        content = data(networks, None if results is None else Path(results), on_point)
        file.write(html(content).encode())


def _part(name: str) -> str:
    return (files("minilocal.explorer") / name).read_text("utf-8")
