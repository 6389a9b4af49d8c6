"""`minilocal locality`: the errors that cross each boundary, measured by perturbation, and the locks a rule breaks."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from minilocal.cli.parser import Parser
from minilocal.errors import UserError

if TYPE_CHECKING:
    from minilocal.locality.certificate import ErrorPath, Locality
    from minilocal.locality.comparison import PaperRow
    from minilocal.nets import Net

UNITS = 7  # of "tower" and "mlp"
SIZE = {"vgg16": 32, "alexnet": 32}  # of the images; elsewhere 8, since only the structure counts
LEGEND = """
up          iterations until h_k arrives in module k+1, 1-3 where it is random; + what else crosses upward:
            the image, or the input of the module below
into        units of each module but the last that learn from anything above it, of how many
down        iterations until the error that leaves module k+1 enters module k; and how many modules it enters
weights     iterations until the weights of module k+1's first unit enter module k, where they cross themselves
taught by   losses whose errors train the main weights of module 1
seen        inputs of the objectives below the last, besides h_k
locks       forward: a module waits for the one below; update: for all above to have gone forward;
            backward: for errors from above, all of them, or "1 unit, 1 up": at most 1 unit, for 1 module above
+param      parameters beyond the network's own: auxiliary networks, synthesisers and contexts
felt        steps until the weights of modules 1, 2, ... depend on the last loss, through updates too
printed     the papers' comparison tables, where they have the rule; below each of their rows, what it is here
"""


def parser() -> Parser:
    """The options of `minilocal locality`."""
    from minilocal.cli.options import of_the_rules

    p = Parser("locality", __doc__, epilog=LEGEND, more=of_the_rules)
    p.add_argument(
        "--rule",
        metavar="NAME",
        action="append",
        default=[],
        help="a rule, compose, or FILE.py:NAME for your own; repeatable (all, and asynchronous DGL)",
    )
    p.add_argument(
        "--set", metavar="rule.K=V", action="append", default=[], help="an option of the rule: rule.length=2"
    )
    p.add_argument(
        "--net", metavar="NAME", default="tower", help="tower (7 small convolutions), mlp, resnet8, ... (tower)"
    )
    p.add_argument("--device", metavar="DEV", default="cpu", help="cpu, cuda, cuda:1, ...: whose kernels compute (cpu)")
    p.add_argument("--modules", metavar="K", default="3", help="number of modules, or their unit counts as 3,2,2 (3)")
    return p


def run(options: argparse.Namespace) -> int:
    """Measure each rule and print the table. Returns 1 where a measurement contradicts the rule's own description."""
    from minilocal import rules
    from minilocal.config import parse_setting, value_of
    from minilocal.locality.certificate import measure
    from minilocal.locality.comparison import paper_rows

    rule_options: dict[str, Any] = {}
    for text in options.set:
        for key, value in parse_setting(text)[1].items():
            if not key.startswith("rule."):
                raise UserError(f"--set {text!r}: locality takes options of the rule, as rule.length=2.")
            rule_options[key.removeprefix("rule.")] = value
    if rule_options and not options.rule:
        raise UserError("--set gives options to a rule: name it with --rule.")
    chosen = [rules.get(name, **rule_options) for name in options.rule or rules.NAMES]
    if not options.rule:
        chosen.append(rules.dgl(buffer=2))
    net, modules = _net(options.net), value_of("net.modules", options.modules)
    wrong: list[str] = []
    rows: list[tuple[str, ...]] = []
    beside: list[PaperRow] = []
    for rule in chosen:
        for row in measure(rule, net, modules, device=options.device):
            rows.append(_cells(row))
            wrong += [f"{rows[-1][0]}: {text}" for text in row.disagreements]
            beside += paper_rows(row, net)
    print(f"{net.name} of {len(net.units)} units in modules of {', '.join(map(str, row.sizes))}\n")
    print(_table([HEADS, *rows]))
    print(LEGEND)
    if beside:
        print("\n".join(_beside(beside)))
    print("\n".join(wrong) or "Every rule does what its own answers say.")
    return 1 if wrong else 0


def _beside(rows: Sequence[PaperRow]) -> Iterator[str]:
    """The papers' comparison tables, each method as printed and as measured; then the differences."""
    from minilocal.locality.comparison import words

    for title in dict.fromkeys(row.title for row in rows):
        methods = [row for row in rows if row.title == title]
        lines = [("", "", *map(words, methods[0].printed))]
        for row in methods:
            lines += [(row.method, "printed", *row.printed.values()), ("", "here", *row.measured.values())]
        yield f"{title}\n{_table(lines)}\n"
    differences = [text for row in rows for text in row.differences]
    yield "They differ in:" if differences else "Here it is as they print it."
    yield from (f"  {text}" for text in differences)
    yield ""


HEADS = (
    "rule",
    "up",
    "into",
    "down",
    "weights",
    "taught by",
    "seen",
    "forward",
    "update",
    "backward",
    "+param",
    "felt",
)


def _net(name: str) -> Net:
    """A small network of this name, for small images."""
    from minilocal import nets, streams
    from minilocal.locality.influence import toy_net

    if name == "tower":
        return toy_net(UNITS)
    if name == "mlp":
        return nets.mlp((12,) * (UNITS - 1), classes=4, rng=streams.rng(3), size=4)
    return nets.get(name, classes=4, rng=streams.rng(3), size=SIZE.get(name, 8), also=("tower",))


def _cells(row: Locality) -> tuple[str, ...]:
    """One row of the table."""
    into = _all_alike(f"{path.units}/{n}" for path, n in zip(row.error_paths, row.sizes, strict=False))
    return (
        row.rule.name + (f", {row.phase}" if row.phase else ""),
        _all_alike(map(_range, row.activation_lags)) + "".join(f"+{what}" for what in row.contexts),
        into,
        _down(row.error_paths),
        _all_alike("-" if path.weights_lag is None else str(path.weights_lag) for path in row.error_paths),
        " + ".join(s.removeprefix("loss ").removesuffix(" loss").removesuffix(" module's") for s in row.learns_from),
        "+".join(row.sees) or "-",
        *row.locks,
        str(row.added_parameters),
        " ".join("-" if lag is None else str(lag) for lag in row.influence_of_updates),
    )


def _range(lags: Sequence[int]) -> str:
    """Lags in ascending order as "0", "0-2" or "never"."""
    return "-".join(str(lag) for lag in sorted({lags[0], lags[-1]})) if lags else "never"


def _down(paths: Sequence[ErrorPath]) -> str:
    """The column "down": the lag of an error and how many modules it passes."""
    teaching, lag = _all_alike(str(p.synthesiser_lag) for p in paths), _all_alike(str(p.lag) for p in paths)
    if teaching != "None":
        return f"{teaching}, trains the synthesiser"
    if lag == "None":
        return "nothing"
    depth = max(p.depth for p in paths)
    all_the_way = len(paths) > 1 and all(p.depth == k + 1 for k, p in enumerate(paths))
    return f"{lag}, " + ("all the way" if all_the_way else f"{depth} module{'s' * (depth > 1)}")


def _all_alike(texts: Any) -> str:
    """One text where all are equal, else all of them."""
    texts = list(texts)
    return texts[0] if len(set(texts)) == 1 else " ".join(texts)


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
