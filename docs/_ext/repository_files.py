"""What pages link to and show of the repository that is no page itself.

A link to a .py file leads to a page with its text; one to a folder becomes its name alone; other files are downloads.
Pictures of `<img src=...>` are copied to the same place of the site, and a missing one is a warning.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

PICTURE = re.compile(r'<(?:img|source)\b[^>]*?\bsrc(?:set)?="(?!https?:|data:)([^"]+)"')
logger = logging.getLogger(__name__)


class FileLinks(SphinxTransform):
    """Links to what is no page: Python files, notebooks that the site does not show, folders."""

    default_priority = 200

    def apply(self, **kwargs: Any) -> None:
        for link in list(self.document.findall(addnodes.pending_xref)):
            if link.get("reftype") == "myst":
                self.no_page(link)
        for link in list(self.document.findall(addnodes.download_reference)):
            self.python(link)

    def no_page(self, link: addnodes.pending_xref) -> None:
        """A folder becomes its text, a notebook that is no page a download."""
        page = link.get("refdomain") == "doc"
        path = f"/{link['reftarget']}.ipynb" if page else link["reftarget"].partition("#")[0]
        _, file = self.env.relfn2path(path, self.env.docname)
        if not page and os.path.isdir(file):
            link.replace_self(link.children)
        elif page and link["reftarget"] not in self.env.found_docs and os.path.isfile(file):
            options = {"refdomain": None, "reftype": "myst", "refdoc": self.env.docname, "reftarget": path}
            link.replace_self(addnodes.download_reference("", "", *link.children, **options))

    def python(self, link: addnodes.download_reference) -> None:
        """A Python file has a page of its own, with its text."""
        path, file = self.env.relfn2path(link["reftarget"], self.env.docname)
        if path.endswith(".py") and os.path.isfile(file):
            sources(self.env).setdefault(self.env.docname, set()).add(path)
            here = self.app.builder.get_target_uri(self.env.docname)
            uri = os.path.relpath(f"source/{path}.html", os.path.dirname(here) or ".")
            link.replace_self(nodes.reference("", "", *link.children, internal=True, refuri=uri))


def sources(env: BuildEnvironment) -> dict[str, set[str]]:
    """{page: Python files that it links to}, kept between two builds."""
    if not hasattr(env, "linked_sources"):
        env.linked_sources = {}
    return env.linked_sources


def forget(app: Sphinx, env: BuildEnvironment, page: str) -> None:
    sources(env).pop(page, None)


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, str], str]]:
    """A page for each Python file that a page links to."""
    for path in sorted(set().union(*sources(app.env).values())):
        text = app.builder.highlighter.highlight_block(Path(app.srcdir, path).read_text("utf-8"), "python")
        yield f"source/{path}", {"title": path, "body": f"<h1><code>{path}</code></h1>{text}"}, "page.html"


def copy_pictures(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """The pictures of a page's HTML, to the same place of the site."""
    for raw in doctree.findall(nodes.raw) if app.builder.format == "html" else ():
        for name in PICTURE.findall(raw.astext()) if raw.get("format") == "html" else ():
            path, file = app.env.relfn2path(name, page)
            if not os.path.isfile(file):
                logger.warning("picture %s is not there", name, location=page)
                continue
            target = Path(app.outdir, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(FileLinks)
    app.connect("env-purge-doc", forget)
    app.connect("html-collect-pages", source_pages)
    app.connect("doctree-resolved", copy_pictures)
    return {"parallel_read_safe": False}
