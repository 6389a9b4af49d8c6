"""The tables of a benchmark in Markdown, from the results of `harness.run`.

A ratio is the median of the ratios round by round, with its quartiles in brackets. Below 1 the first of the two was
faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from minilocal.bench.roofline import peak_rate
from minilocal.bench.timing import ratio

Row = dict[str, Any]
LAYOUTS = {"nchw": "NCHW", "channels_last": "channels last"}
BYTES = """*used* is the peak of a step above what is allocated between steps. *held* is what the library's memory pool
then holds, weights included: it splits and keeps blocks. A graph allocates nothing when it runs, and has neither.
*process* is all that the process took of the device, graphs and libraries included; nvidia-smi shows that, and the
CUDA context besides, some hundred MB."""
CAPTURED = """A time is the GPU's: many runs in one CUDA graph. One that cannot be captured is marked "eager", and may
be the host's; it is compared with no other. *host* is what the host takes to start one run of minilocal's."""
NUMPY = "over NumPy's kernels"
COUNTED = """Kernels, copies and fills of one step on a GPU, counted from shapes: the nodes of its CUDA graph. Bytes are
those of the arrays that they are given and write, each once a launch."""


def markdown(results: Row) -> str:
    """The results in Markdown: a section for each part that was measured, and one for what failed."""
    sections: dict[str, Callable[[Row], list[str]]] = {
        "limits": _roofline, "steps": _steps, "layers": _layers, "growth": _growth, "launches": _launches
    }  # fmt: skip
    texts: list[str] = []
    for name, section in sections.items():
        if results.get(name):
            texts += [f"## {name.title()}", *section(results)]
    failed = failures(results)
    if failed:
        texts += ["## Failed", "\n".join(f"- {line}" for line in failed)]
    return "\n\n".join(texts) + "\n"


def failures(results: Row) -> list[str]:
    """A line for each workload that failed: its comparison, its rule or operation, its engine, and the error."""
    rows = [row for section in ("steps", "layers", "growth") for row in results.get(section, []) if "failed" in row]
    return [f"{row['comparison']}, {row['what']}, {row['label']}: {row['failed']}" for row in rows]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with columns of equal width, so that its source reads as a table too."""
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    lines = [heads, ["-" * w for w in widths], *rows]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)


def seconds(value: float) -> str:
    """Three digits and the unit that suits them: s, ms or µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def times(a: Row | None, b: Row | None) -> str:
    """The seconds of a over those of b, round by round; "-" where one is missing or failed."""
    if a is None or b is None or "failed" in a or "failed" in b:
        return "-"
    if a is b:
        return "1"
    n = min(len(a["seconds"]), len(b["seconds"]))
    ratios = ratio(a["seconds"][:n], b["seconds"][:n])
    low, high = f"{ratios['low']:.2f}", f"{ratios['high']:.2f}"
    return f"{ratios['median']:.2f}" + (f" ({low}-{high})" if low != high else "")


def median(row: Row | None) -> str:
    """The median seconds of a row; "-" where it is missing or failed."""
    return "-" if row is None or "failed" in row else seconds(row["median"])


def _threads(number: int) -> str:
    return f"{number} thread{'s' * (number > 1)}"


def _by_comparison(rows: list[Row]) -> dict[str, list[Row]]:
    titles = dict.fromkeys(row["comparison"] for row in rows)
    return {title: [row for row in rows if row["comparison"] == title] for title in titles}


def _roofline(results: Row) -> list[str]:
    rows = results["limits"]
    counts = sorted({row["threads"] for row in rows})
    cells = []
    for what in dict.fromkeys(row["what"] for row in rows):
        measured = [row for row in rows if row["what"] == what]
        medians = [[row["median"] for row in measured if row["threads"] == count] for count in counts]
        cells.append(
            [what, measured[0]["unit"], *(" and ".join(f"{m:.4g}" for m in before_after) for before_after in medians)]
        )
    when = " and ".join(dict.fromkeys(row["when"] for row in rows))
    return [f"Medians, {when} everything else.", table(["limit", "unit", *map(_threads, counts)], cells)]


def _steps(results: Row) -> list[str]:
    texts = []
    for title, rows in _by_comparison(results["steps"]).items():
        by_label = {(row["label"], row["what"]): row for row in rows}
        layouts = list(dict.fromkeys(row["layout"] for row in rows if row["engine"] == "torch"))
        on_device = any("bytes" in row for row in rows)
        kinds = _kinds(rows)
        cells = []
        for row in rows:
            over_torch = [times(row, _torch_row(rows, row, layout)) for layout in layouts]
            over_numpy = [times(row, _numpy_row(rows, row))] * (len(kinds) > 1)
            over_bp = times(row, by_label.get((row["label"], "bp")))
            memory = [_megabytes(row.get("bytes", {}).get(key)) for key in ("peak", "held", "process")]
            ratios = [*over_torch, *over_numpy, over_bp]
            cells.append([row["what"], _engine(row), median(row), *ratios, *memory * on_device])
        macs = results.get("macs", {}).get(rows[0]["net"])
        flops = f"; a step of BP takes {6e-9 * macs * rows[0]['batch']:.4g} GFLOP" if macs else ""
        heads = ["rule", "engine", "a step", *(f"over torch {LAYOUTS[layout]}" for layout in layouts)]
        heads += [*[NUMPY] * (len(kinds) > 1), "over BP by the same", *["used MB", "held MB", "process MB"] * on_device]
        texts += [f"### {title}", f"Median seconds of a step{flops}.", *_on_device(rows), table(heads, cells)]
    return texts


def _engine(row: Row) -> str:
    """The engine and its settings as they were: a step that was to be a graph may have run eagerly."""
    return str(row["label"]).replace(", graph", ", eager") if row.get("started") == "eager" else str(row["label"])


def _on_device(rows: list[Row]) -> list[str]:
    """What a reader must know of a comparison of steps on a device; nothing for the host."""
    if not any("bytes" in row for row in rows):
        return []
    lines = [BYTES, *_order(rows)]
    if any(row["tf32"] and row["engine"] == "torch" for row in rows):
        ours = {row["what"] for row in rows if row["engine"] == "minilocal"}
        without = ours - {row["what"] for row in rows if row["engine"] == "minilocal" and row["tf32"]}
        if without:
            names = ", ".join(dict.fromkeys(row["what"] for row in rows if row["what"] in without))
            lines.append(f"No product of minilocal would use TF32 in {names}: no layer there has enough channels.")
    reasons = {row["refused"]: None for row in rows if row.get("refused") and row["graph"]}
    lines += [f"Run eagerly where a graph was asked for: {reason}." for reason in reasons]
    return lines


def _order(rows: list[Row]) -> list[str]:
    """Whether the workloads of a comparison on a device took turns on it; nothing for the host."""
    if "memory" not in rows[0]:
        return []
    memory = rows[0]["memory"]
    if memory["fits"]:
        return ["All were on the device at once, and took turns."]
    needed, free = (f"{memory[key] / 1e9:.1f} GB" for key in ("needed", "free"))
    return [
        f"One at a time, each with the device for itself: together they would take {needed}, and {free} are free. "
        "So the two sides of a ratio were timed one after the other, not in turns."
    ]


def _torch_row(rows: list[Row], row: Row, layout: str) -> Row | None:
    """PyTorch's row of the same rule and precision, in this layout."""
    wanted = "torch", layout, row["what"], row["tf32"]
    return next((r for r in rows if (r["engine"], r["layout"], r["what"], r["tf32"]) == wanted), None)


def _kinds(rows: list[Row]) -> list[str]:
    """The kinds of kernels that minilocal had; an older record does not say that they were NumPy's."""
    return list(dict.fromkeys(row.get("kernels", "numpy") for row in rows if row["engine"] == "minilocal"))


def _numpy_row(rows: list[Row], row: Row) -> Row | None:
    """The row of the same rule or operation by NumPy's kernels, on the host."""
    wanted = "minilocal", "numpy", row["what"]
    return next((r for r in rows if (r["engine"], r.get("kernels", "numpy"), r["what"]) == wanted), None)


def _megabytes(number: int | None) -> str:
    return "-" if number is None else f"{number / 1e6:.0f}"


def _layers(results: Row) -> list[str]:
    rows = results["layers"]
    labels = list(dict.fromkeys(row["label"] for row in rows))
    torch = [label for label in labels if label.startswith("torch")]
    ours = [label for label in labels if label not in torch]
    several = len(ours) > 1  # kinds of kernels: then each has a line of its own
    on_device = any(row.get("started") for row in rows)
    heads = ["operation", *(["engine", "a run"] if several else ours), *torch, *(f"over {label}" for label in torch)]
    heads += [*[NUMPY] * several, *["host"] * on_device, "GFLOP/s", "of the limit", "GB/s", "of the limit"]
    texts = [CAPTURED] * on_device
    for threads, batch in dict.fromkeys((row["threads"], row["batch"]) for row in rows):
        peaks = [r for r in results.get("limits", []) if r["threads"] == threads and not r.get("tf32")]
        part = [row for row in rows if (row["threads"], row["batch"]) == (threads, batch)]
        cells = []
        for what, label in product(dict.fromkeys(row["what"] for row in part), ours):
            by_label = {row["label"]: row for row in part if row["what"] == what}
            row = by_label.get(label, {"failed": ""})
            over_torch = [times(row, by_label[other]) if _alike(row, by_label.get(other)) else "-" for other in torch]
            over_numpy = [times(row, by_label.get(ours[0]))] * several
            medians = [median(by_label.get(each)) + _eagerly(by_label.get(each)) for each in (label, *torch)]
            host = [seconds(row["host"]) if row.get("host") else "-"] * on_device
            cells.append([what, *[label] * several, *medians, *over_torch, *over_numpy, *host, *_rates(row, peaks)])
        texts += [f"### Batch {batch}, {_threads(threads)}", table(heads, cells)]
    return texts


def _eagerly(row: Row | None) -> str:
    return ", eager" if row is not None and row.get("started") == "eager" and "failed" not in row else ""


def _alike(a: Row, b: Row | None) -> bool:
    """Whether two timings are both the GPU's, or both the host's. An eager one on a GPU may be of either."""
    return b is not None and a.get("started") == b.get("started") != "eager"


def _rates(row: Row | None, peaks: list[Row]) -> list[str]:
    """GFLOP/s and GB/s of an operation, and each one's share of the measured peak rate."""
    if row is None or "failed" in row:
        return ["-"] * 4
    cells = []
    for amount, unit in ((row["flops"], "GFLOP/s"), (row["moved"], "GB/s")):
        rate, peak = amount / row["median"], peak_rate(peaks, unit)
        cells += [f"{rate / 1e9:.3g}", f"{100 * rate / peak:.0f} %" if peak == peak else "-"]
    return cells


def _launches(results: Row) -> list[str]:
    heads, rows = ["net", "batch", "K", "rule", "launches", "GB"], results["launches"]
    on_device = any("nodes" in row for row in rows)
    cells = [
        [row["net"], str(row["batch"]), str(row["modules"]), row["what"], str(row["launches"]),
         f"{row['moved'] / 1e9:.2f}", *[str(row.get("nodes", "-"))] * on_device] for row in rows
    ]  # fmt: skip
    return [COUNTED, table([*heads, *["nodes on this device"] * on_device], cells)]


def _growth(results: Row) -> list[str]:
    several = len(_kinds(results["growth"])) > 1
    heads = ["net", "batch", "K", "rule", *["engine"] * several, "a step", "over BP here", "over its first row"]
    heads += [NUMPY] * several
    texts = []
    for title, rows in _by_comparison(results["growth"]).items():
        cells, first_of_rule = [], {(row["label"], row["rule"]): row for row in reversed(rows)}
        for point in dict.fromkeys((row["net"], row["batch"], row["modules"]) for row in rows):
            at_point = [row for row in rows if (row["net"], row["batch"], row["modules"]) == point]
            for row in at_point:
                bp = next((r for r in at_point if (r["label"], r["rule"]) == (row["label"], "bp")), None)
                ratios = [times(row, bp), times(row, first_of_rule[row["label"], row["rule"]])]
                ratios += [times(row, _numpy_row(at_point, row))] * several
                cells.append([*map(str, point), row["what"], *[row["label"]] * several, median(row), *ratios])
        texts += [f"### {title}", *_order(rows), table(heads, cells)]
    return texts
