"""The bytes of a training step over K, estimated at full size: BackLink, Fig. 7.

BP checkpointed at the modules' boundaries and BP accumulated in K micro-batches are the fair baselines.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from minilocal import draw, published
from minilocal.memory import GPU
from minilocal.report.bytes import estimated
from minilocal.report.document import Part, Picture, Table
from minilocal.report.figures import at_page_size
from minilocal.reproduce.buildable import images
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result
from minilocal.reproduce.views.configured import by_network, label, number_of_modules

Totals = dict[str, dict[int, int]]  # {rule in words: {K: bytes}}
KEPT = ", inputs kept"  # ends the name of a row whose linked units keep their inputs only
PAPERS = {"0c1f": "linear", "1c2f": "conv"}  # the paper's words for auxiliary networks


def memory(plan: Plan, results: Sequence[Result]) -> list[Part]:
    """A figure and a table for each network: bytes over K; then what the paper's text says, beside ours."""
    parts: list[Part] = []
    machine = GPU()
    for (net, data), group in by_network(results).items():
        totals = Totals()
        for result in group:
            config = result.planned.config
            K, profile = number_of_modules(config), estimated(config, images(config), machine)
            totals.setdefault(label(result, f"K = {K}"), {})[K] = profile.total
        first, aux = group[0].planned.config, {r.planned.config.rule.options.get("aux") for r in group}
        parts += shown(totals, f"{net} on {data}", first.net.name, first.optim.batch_size)
        if rows := claims(totals, net, {PAPERS[name] for name in aux if name in PAPERS}):
            parts += [f"What the text of the BackLink paper says of {net}, and the same number here:", Table(rows)]
    return parts


def shown(totals: Totals, title: str, name: str, batch_size: int) -> list[Part]:
    """The figure and the table of one network."""
    numbers = sorted({K for row in totals.values() for K in row})
    usual = {rule: row for rule, row in totals.items() if not rule.endswith(KEPT)}
    parts: list[Part] = [_figure(usual, numbers, title, f"memory-{name}", batch_size)]
    if len(usual) < len(totals):
        kept = {rule: row for rule, row in totals.items() if rule.endswith(KEPT) or rule.startswith(("BP", "GLL"))}
        parts.append(_figure(kept, numbers, title, f"memory-inputs-kept-{name}", batch_size))
    bp = totals.get("BP", {})
    rows = [
        {title: rule, **{f"K = {K}": _gigabytes(row.get(K), bp.get(K)) for K in numbers}}
        for rule, row in totals.items()
    ]
    return [*parts, Table(rows, ["GB, and in brackets the share of BP in percent."])]


def _figure(totals: Totals, numbers: Sequence[int], title: str, name: str, batch_size: int) -> Picture:
    curves = {rule: [row.get(K, float("nan")) / 1e9 for K in numbers] for rule, row in totals.items()}
    figure = draw.curves(
        curves, points=[str(K) for K in numbers], along="modules K", label="memory of a step (GB)", title=title
    )
    figure.axes[0].set_ylim(bottom=0)
    caption = (
        f"Peak bytes of a training step of {batch_size} images, with parameters, statistics and momentum, estimated "
        "from shapes for one GPU. Where a point is missing, a link would be longer than a module."
    )
    return Picture(name, at_page_size(figure), caption)


def claims(totals: Totals, net: str, aux: Collection[str]) -> list[dict[str, str]]:
    """A row for each claim of the paper's text on this network: printed, with caches kept, and with inputs kept."""
    rows = []
    for line in published.table("backlink_text_claims"):
        is_of_it = (line["source"], line["network"]) == ("backlink-ieee", net) and line["aux"] in aux
        if is_of_it and line["metric"].startswith("memory") and any(rule.startswith(line["method"]) for rule in totals):
            against = "less than BP" if "vs_bp" in line["metric"] else "more than GLL"
            most = "at most " * line["metric"].endswith("_max")
            note = f" ({line['note']})" if line["note"] else ""
            row = {"the text": f"{line['method']}: {most}{line['value']} % {against}{note}"}
            for words, kept in (("here", False), ("here, inputs kept", True)):
                value = _measured(totals, line["method"], line["metric"], kept)
                row[words] = "-" if value is None else f"{value:.0f} %"
            rows.append(row)
    return rows


def _measured(totals: Totals, method: str, metric: str, kept: bool) -> float | None:
    """The claim's number in percent: the most of all K and rows of the method, or that at the largest K; else None."""
    own = {rule: row for rule, row in totals.items() if rule.startswith(method) and rule.endswith(KEPT) == kept}
    base = totals.get("BP" if "vs_bp" in metric else "GLL", {})
    counted = set(base) if metric.endswith("_max") else {max(base, default=0)}
    ratios = [n / base[K] for row in own.values() for K, n in row.items() if K in base and K in counted]
    if not ratios:
        return None
    return 100 * (1 - min(ratios)) if "vs_bp" in metric else 100 * (max(ratios) - 1)


def _gigabytes(nbytes: int | None, bp: int | None) -> str:
    if nbytes is None:
        return ""
    return f"{nbytes / 1e9:.3g}" + (f" ({100 * nbytes / bp:.0f})" if bp else "")
