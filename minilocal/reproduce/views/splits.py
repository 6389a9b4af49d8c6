"""How networks are cut into K modules: BackLink, Fig. 2."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

from minilocal import draw
from minilocal.nets import Net
from minilocal.report.document import Part, Picture, Table
from minilocal.report.figures import SIZE
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result
from minilocal.reproduce.views.configured import by_network, cut, network

RULE = (
    "U units are cut into K modules by U = qK + r: the first r modules have q + 1 units, the others q. So of modules "
    "of unequal length the longer ones are at the bottom."
)


def splits(plan: Plan, results: Sequence[Result]) -> list[Part]:
    """A figure for each network, a row for each K with a segment for each module; and a table of the lengths."""
    parts: list[Part] = [RULE]
    rows = []
    for (name, _), group in by_network(results).items():
        net = network(group[0].planned.config)
        cuts = {f"K = {len(sizes)}": sizes for sizes in (cut(result.planned.config, net) for result in group)}
        figure = draw.segments(cuts, along="units, bottom to top", marks=stages(net), title=name)
        figure.set_size_inches(SIZE[0], figure.get_size_inches()[1])
        caption = f"The {len(net.units)} units of {name} in K modules. Dotted lines: from here on maps are smaller."
        parts.append(Picture(f"splits-{net.name}", figure, caption))
        rows.append({"network": name, "units": str(len(net.units)), **{K: in_words(n) for K, n in cuts.items()}})
    return [*parts, Table(rows, ["Modules × units of each, bottom to top."])]


def stages(net: Net) -> dict[str, int]:
    """{"16×16": the number of units before it}: where maps become smaller."""
    sides = [shape[0] if len(shape) == 3 else 1 for shape in (net.shape, *net.shapes)]
    return {f"{b}×{b}": unit for unit, (a, b) in enumerate(pairwise(sides)) if b < a}


def in_words(sizes: Sequence[int]) -> str:
    """`7 × 4, 9 × 3`: modules of equal length together."""
    return ", ".join(f"{len(list(equal))} × {size}" for size, equal in groupby(sizes))
