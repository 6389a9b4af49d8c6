"""What a benchmark found, as tables in Markdown. A ratio is the median of the ratios round by round, its quartiles
behind it; below 1 the first of the two was faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minilocal.bench.roofline import peak_rate
from minilocal.bench.timing import ratio

Row = dict[str, Any]
LAYOUTS = {"nchw": "NCHW", "channels_last": "channels last"}
BYTES = " Bytes: what a step takes above what is there between steps, and what its process has taken from the device."


def markdown(found: Row) -> str:
    """Every section that was measured."""
    sections: dict[str, Callable[[Row], list[str]]] = {
        "limits": _limits, "steps": _steps, "layers": _layers, "growth": _growth
    }  # fmt: skip
    texts = [
        line for what, tell in sections.items() if found.get(what) for line in [f"## {what.title()}", *tell(found)]
    ]
    failed = [r for what in ("steps", "layers", "growth") for r in found.get(what, []) if "failed" in r]
    if failed:
        texts.append("## Failed")
        texts.append("\n".join(f"- {r['contest']}: {r['label']}, {r['what']}: {r['failed']}" for r in failed))
    return "\n\n".join(texts) + "\n"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose source can be read too."""
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    lines = [heads, ["-" * w for w in widths], *rows]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)


def seconds(value: float) -> str:
    """Three figures, in the unit that suits them."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def times(a: Row | None, b: Row | None) -> str:
    """a over b, round by round."""
    if a is None or b is None or "failed" in a or "failed" in b:
        return "-"
    if a is b:
        return "1"
    n = min(len(a["seconds"]), len(b["seconds"]))
    found = ratio(a["seconds"][:n], b["seconds"][:n])
    low, high = f"{found['low']:.2f}", f"{found['high']:.2f}"
    return f"{found['median']:.2f}" + (f" ({low}-{high})" if low != high else "")


def time(row: Row | None) -> str:
    """Its median."""
    return "-" if row is None or "failed" in row else seconds(row["median"])


def _contests(rows: list[Row]) -> dict[str, list[Row]]:
    return {title: [r for r in rows if r["contest"] == title] for title in dict.fromkeys(r["contest"] for r in rows)}


def _limits(found: Row) -> list[str]:
    rows, counts = found["limits"], sorted({row["threads"] for row in found["limits"]})
    heads = ["limit", "unit", *(f"{t} thread{'s' * (t > 1)}" for t in counts)]
    cells = []
    for what in dict.fromkeys(row["what"] for row in rows):
        here = [row for row in rows if row["what"] == what]
        by = [[row["median"] for row in here if row["threads"] == t] for t in counts]
        cells.append([what, here[0]["unit"], *(" and ".join(f"{m:.4g}" for m in medians) for medians in by)])
    return [f"Medians, {' and '.join(dict.fromkeys(r['when'] for r in rows))} everything else.", table(heads, cells)]


def _steps(found: Row) -> list[str]:
    texts = []
    for title, rows in _contests(found["steps"]).items():
        by = {(row["label"], row["what"]): row for row in rows}
        peers = list(dict.fromkeys(r["layout"] for r in rows if r["engine"] == "torch"))
        on_device = any("bytes" in row for row in rows)
        heads = ["rule", "who", "a step", *(f"over torch {LAYOUTS[p]}" for p in peers), "over BP by the same"]
        cells = []
        for row in rows:
            there = [_peer(rows, row, layout) for layout in peers]
            line = [row["what"], row["label"], time(row), *(times(row, r) for r in there)]
            line.append(times(row, by.get((row["label"], "bp"))))
            if on_device:
                line += [_mega(row.get("bytes", {}).get(k)) for k in ("above", "taken")]
            cells.append(line)
        macs = found.get("macs", {}).get(rows[0]["net"])
        counted = f"; a step of BP takes {6e-9 * macs * rows[0]['batch']:.4g} GFLOP" if macs else ""
        texts += [f"### {title}", f"Median seconds of a step{counted}.{BYTES * on_device}"]
        texts.append(table([*heads, *["MB above", "MB taken"] * on_device], cells))
    return texts


def _peer(rows: list[Row], row: Row, layout: str) -> Row | None:
    """PyTorch's row of the same rule, layout and precision."""
    wanted = "torch", layout, row["what"], row["tf32"]
    return next((r for r in rows if (r["engine"], r["layout"], r["what"], r["tf32"]) == wanted), None)


def _mega(number: int | None) -> str:
    return "-" if number is None else f"{number / 1e6:.0f}"


def _layers(found: Row) -> list[str]:
    rows = found["layers"]
    labels = list(dict.fromkeys(row["label"] for row in rows))
    ours, theirs = labels[0], [label for label in labels if label.startswith("torch")]
    heads = ["piece", *labels, *(f"over {label}" for label in theirs)]
    limits = {
        t: [r for r in found.get("limits", []) if r["threads"] == t and not r.get("tf32")]
        for t in {r["threads"] for r in rows}
    }
    heads += ["GFLOP/s", "of the limit", "GB/s", "of the limit"]
    texts = []
    for threads, batch in dict.fromkeys((row["threads"], row["batch"]) for row in rows):
        cells = []
        for what in dict.fromkeys(row["what"] for row in rows):
            mine = [r for r in rows if r["what"] == what and (r["threads"], r["batch"]) == (threads, batch)]
            by = {row["label"]: row for row in mine}
            line = [what, *(time(by.get(label)) for label in labels)]
            line += [times(by.get(ours), by.get(label)) for label in theirs]
            cells.append(line + _rates(by.get(ours), limits[threads]))
        texts += [f"### Batch {batch}, {threads} thread{'s' * (threads > 1)}", table(heads, cells)]
    return texts


def _rates(row: Row | None, limits: list[Row]) -> list[str]:
    """What a piece computes and moves in a second, and the share of the measured limits that this is."""
    if row is None or "failed" in row:
        return ["-"] * 4
    cells = []
    for amount, unit in ((row["flops"], "GFLOP/s"), (row["moved"], "GB/s")):
        rate, most = amount / row["median"], peak_rate(limits, unit)
        cells += [f"{rate / 1e9:.3g}", f"{100 * rate / most:.0f} %" if most == most else "-"]
    return cells


def _growth(found: Row) -> list[str]:
    texts = []
    for title, rows in _contests(found["growth"]).items():
        cells, first = [], {row["rule"]: row for row in reversed(rows)}
        places = list(dict.fromkeys((row["net"], row["batch"], row["modules"]) for row in rows))
        for net, batch, K in places:
            here = [row for row in rows if (row["net"], row["batch"], row["modules"]) == (net, batch, K)]
            bp = next((row for row in here if row["rule"] == "bp"), None)
            for row in here:
                cells.append(
                    [net, str(batch), str(K), row["what"], time(row), times(row, bp), times(row, first[row["rule"]])]
                )
        heads = ["net", "batch", "K", "rule", "a step", "over BP here", "over its first row"]
        texts += [f"### {title}", table(heads, cells)]
    return texts
