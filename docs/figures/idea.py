"""The idea in three pictures, beside this file: which errors reach which units under BP, GLL and BackLink.

Usage:

    python docs/figures/idea.py
"""

from pathlib import Path

import minilocal as ml
from minilocal import draw, record

PICTURES = {
    "bp": (ml.rules.bp(), "BP: one error, through every module"),
    "gll": (ml.rules.gll(), "GLL: an error for each module, and it stops there"),
    "backlink": (ml.rules.backlink(length=1), "BackLink: and into the module below, for l units"),
}

for name, (rule, title) in PICTURES.items():
    picture = draw.rule_picture(rule, modules=3, units=6, title=title, words=False)
    with record.written_aside(Path(__file__).parent / f"idea-{name}.svg") as file:
        file.write(draw.to_svg(picture).encode())
