"""A network as a table: its units with their output shapes, parameters and multiply-adds."""

from __future__ import annotations

from collections.abc import Sequence

from minilocal.layers import Layer
from minilocal.layers.base import Shape
from minilocal.nets.net import Net


class Summary(str):
    """Text whose repr is the text itself, so that a notebook cell shows it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]], last: Sequence[str]) -> str:
    """A table of text: the first two columns to the left, numbers to the right, a line of totals under a rule."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, last, strict=True)]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        )

    return "\n".join(text.rstrip() for text in [line(heads), rule, *map(line, rows), rule, line(last)])


def rows(net: Net) -> list[tuple[str, str, int, int]]:
    """(name, output shape, parameters, multiply-adds for one image) of each unit and of the head."""
    return rows_of(net.shape, [*net.units, net.head])


def rows_of(shape: Shape, layers: Sequence[Layer]) -> list[tuple[str, str, int, int]]:
    """The same of these layers in a row, of which the first is given one input of this shape."""
    result = []
    for layer in layers:
        out = layer.out_shape(shape)
        result.append((layer.name, by(out), sum(a.size for a in layer.parameters.values()), layer.macs(shape)))
        shape = out
    return result


def by(shape: Shape) -> str:
    """A shape as it is written: 32×32×16."""
    return "×".join(map(str, shape))


def title(net: Net) -> str:
    """The network in a line."""
    return f"{net.name}: {len(net.units)} units, images {by(net.shape)}, {net.classes} classes"


def summary(net: Net) -> Summary:
    """The table of a network: units bottom to top, and multiply-adds of a forward pass of one image."""
    units = rows(net)
    cells = [[name, shape, f"{size:,}", f"{macs:,}"] for name, shape, size, macs in units if name != "head" or size]
    total = ["total", "", f"{sum(r[2] for r in units):,}", f"{sum(r[3] for r in units):,}"]
    return Summary(f"{title(net)}\n\n" + columns(["unit", "output", "parameters", "multiply-adds"], cells, total))
