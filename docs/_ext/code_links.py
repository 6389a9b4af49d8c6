"""`ml.nets.resnet(8)` in a text leads to its entry in the reference."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

NAME = re.compile(r"(?:ml|minilocal)((?:\.\w+)+)(?:\(.*)?", re.DOTALL)


class CodeLinks(SphinxPostTransform):
    default_priority = 400

    def run(self, **kwargs: Any) -> None:
        known = self.env.get_domain("py").objects
        for literal in list(self.document.findall(nodes.literal)):
            match = NAME.fullmatch(literal.astext())
            entry = known.get(f"minilocal{match[1]}") if match else None
            if entry and not isinstance(literal.parent, (nodes.reference, nodes.title)):
                where = make_refnode(
                    self.app.builder, self.env.docname, entry.docname, entry.node_id, literal.deepcopy(), match[0]
                )
                literal.replace_self(where)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_post_transform(CodeLinks)
    return {"parallel_read_safe": True}
