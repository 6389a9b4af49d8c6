"""Pages in a browser: chromium or chrome, where this machine has one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on this machine to open the page")


def dom_of(page: Path, folder: Path, *options: str, hash_: str = "") -> str:
    """A page after its script; the browser keeps its own files in `folder`."""
    every = ["--headless", "--no-sandbox", *options, f"--user-data-dir={folder}/browser", "--dump-dom"]
    command = [str(BROWSER), *every, page.as_uri() + hash_]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "<title>" in done.stdout, f"{BROWSER} did not open {page}: {done.stderr[-500:]}"
    return done.stdout


def title_of(dom: str) -> str:
    """The title of a page: what a probe has found."""
    return dom.split("<title>")[1].split("</title>")[0]
