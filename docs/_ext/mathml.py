r"""Formulas as MathML, which browsers draw themselves: no script, no network. `\tag{4}` becomes (4) at the right."""

from __future__ import annotations

import re
from html import escape

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

TAG = re.compile(r"\\tag\{([^}]*)\}")
SPELLED = (  # docutils has these only in another spelling, or nowhere
    (re.compile(r"\\(big|Big|bigg|Bigg)(?![A-Za-z])"), r"\\\1l"),
    (re.compile(r"\\dots(?![A-Za-z])"), r"\\ldots"),
    (re.compile(r"\\(?:text|display)style(?![A-Za-z])"), ""),
)
logger = logging.getLogger(__name__)


def mathml(tex: str, place: nodes.Node, block: bool = False) -> str:
    """The formula; where it cannot be read, a warning and its text."""
    read = TAG.sub("", tex)
    for pattern, spelling in SPELLED:
        read = pattern.sub(spelling, read)
    try:
        return str(tex2mathml(read, as_block=block))
    except MathError as error:
        logger.warning("formula: %s", error, location=place)
        return f"<code>{escape(tex)}</code>"


def inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(mathml(node.astext(), node))
    raise nodes.SkipNode


def block(self: HTML5Translator, node: nodes.math_block) -> None:
    tag = TAG.search(node.astext())
    number = f'<span class="eqno">({escape(tag[1])})</span>' if tag else ""
    formula = mathml(node.astext(), node, block=True)
    self.body.append(f'<div class="math">{number}<div class="formula">{formula}</div></div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
