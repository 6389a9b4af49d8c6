"""The explorer, where `make explorer` has made it in build/explorer.html: copied, and linked from its page."""

from __future__ import annotations

import shutil
from pathlib import Path

from sphinx.application import Sphinx

PAGE = "docs/explorer"
LINK = '\n\n<p><a href="../explorer.html">Open the explorer</a></p>\n'


def made(app: Sphinx) -> Path:
    return Path(app.srcdir, "build", "explorer.html")


def add_link(app: Sphinx, page: str, source: list[str]) -> None:
    """Put a link behind the title of the explorer's page."""
    if page == PAGE and made(app).exists():
        title, newline, text = source[0].partition("\n")
        source[0] = f"{title}{LINK}{newline}{text}"


def copy(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html" and PAGE in app.env.all_docs and made(app).exists():
        shutil.copyfile(made(app), Path(app.outdir, "explorer.html"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", add_link)
    app.connect("build-finished", copy)
    return {"parallel_read_safe": True}
