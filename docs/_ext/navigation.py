"""The table of contents, from `navigation` in conf.py; pages stay plain Markdown, with links of their own."""

from __future__ import annotations

from collections.abc import Iterable

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.matching import patfilter

TREE = "\n\n```{{toctree}}\n:hidden:\n\n{}\n```\n"
HOME = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={0}"><a href="{0}">{1}</a>\n'


def children(place: str, pages: Iterable[str]) -> list[str]:
    """The entries of a place: a page, "its title <page>", or all pages that fit a pattern, which may be none."""
    if "*" in place:
        return [entry(page) for page in patfilter(sorted(pages), place)]
    return [place.replace("<", "</") if "<" in place else f"/{place}"]


def entry(page: str) -> str:
    """A page by its own title; a report by its folder's name."""
    folder, _, name = page.rpartition("/")
    return f"{folder.rpartition('/')[2]} </{page}>" if name == "report" else f"/{page}"


def add_children(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the children of a page behind its text."""
    if places := app.config.navigation.get(page):
        entries = [child for place in places for child in children(place, app.env.found_docs)]
        source[0] += TREE.format("\n".join(entries))


def with_patterns(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """The pages whose children may be others now, which Sphinx would not read again."""
    tree = app.config.navigation
    return [page for page, places in tree.items() if "*" in "".join(places)] if added or removed else []


def write_home(app: Sphinx, error: Exception | None) -> None:
    """index.html of the whole site leads to the first page, which lies deeper."""
    if error is None and app.builder.format == "html":
        first = app.builder.get_target_uri(app.config.root_doc)
        (app.outdir / "index.html").write_text(HOME.format(first, app.config.html_title), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("navigation", {}, "env", dict)
    app.connect("env-get-outdated", with_patterns)
    app.connect("source-read", add_children)
    app.connect("build-finished", write_home)
    return {"parallel_read_safe": True}
