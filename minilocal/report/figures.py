"""The figures of a panel: error curves, local accuracy over depth, memory, seconds, trade-offs, α × l, convergence."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from minilocal import draw
from minilocal.report.compare import deviation
from minilocal.report.convergence import convergence
from minilocal.report.document import Picture
from minilocal.report.groups import Group, Panel

SIZE = 4.7, 3.0  # inches: text of 10 points stays legible on a phone
WIDE, TITLE = 28, 48  # letters of a line beside a bar, and of a title


def pictures(
    panel: Panel, memory: Mapping[str, float | None], baselines: Mapping[str, float] | None = None
) -> list[Picture]:
    """The figures of a panel, where it has their numbers.

    `memory` has the MB of a step by the group's name, and `baselines` those of no run, which are bars of memory too.
    """
    groups = panel.groups
    return [
        _curves(panel),
        *_local(panel),
        *_memory(panel, {g.name: mb for g in groups if (mb := memory[g.name]) is not None}, baselines or {}),
        *_seconds(panel),
        *_heat(panel),
        *(_picture(panel, *named) for named in convergence(panel)),
    ]


def machines(groups: Sequence[Group]) -> dict[str, list[Group]]:
    """{machine: its groups}; a group whose seeds ran on different ones has a machine of its own."""
    by_machine: dict[str, list[Group]] = {}
    for group in groups:
        names = " and ".join(sorted({run.machine for run in group.runs}))
        by_machine.setdefault(names, []).append(group)
    return by_machine


def seconds(group: Group) -> float:
    """The mean over seeds of the median epoch's seconds; NaN where none is recorded."""
    return float(np.mean([run.seconds for run in group.runs]))


def _curves(panel: Panel) -> Picture:
    figure = draw.curves({group.name: list(group.errors) for group in panel.groups}, title=panel.title)
    several = any(len(group.runs) > 1 for group in panel.groups)
    band = " A band reaches from the least to the largest of the seeds, around their mean." * several
    return _picture(panel, "test-error", figure, f"Test error of the network after each epoch.{band}")


def _local(panel: Panel) -> list[Picture]:
    """Accuracy over depth, where a module below the last has a classifier of its own."""
    local = {g.name: list(100 - g.local_errors) for g in panel.groups if g.local_errors.size}
    if not any(np.isfinite(np.array(accuracy)[:, :-1]).any() for accuracy in local.values()):
        return []
    label = "test accuracy of a module's own classifier (%)"
    figure = draw.curves(local, title=panel.title, label="local accuracy (%)", along="module")
    caption = f"From the first module to the last: {label}, after the last epoch. The last one is the network's."
    return [_picture(panel, "local-accuracy", figure, caption)]


def _memory(panel: Panel, memory: Mapping[str, float], baselines: Mapping[str, float]) -> list[Picture]:
    """Bars of memory, baselines first, and error against memory."""
    if not memory:
        return []
    batches = sorted({group.settings["optim.batch_size"] for group in panel.groups})
    images = " or ".join(map(str, batches))
    caption = (
        f"Peak bytes of a training step of {images} images above parameters, statistics and momentum, estimated from "
        "the configuration."
    )
    caption += " Baselines are no runs." * bool(baselines)
    figure = bars_with_lines({**baselines, **memory}, "estimated peak of a step (MB)", panel.title)
    bars = Picture(f"memory-{panel.name}", figure, caption)
    points = {g.name: (memory[g.name], *_error(g)) for g in panel.groups if g.name in memory}
    return [bars, *_tradeoff(panel, "error-memory", points, "estimated peak of a step (MB)")]


def _seconds(panel: Panel) -> list[Picture]:
    """For each machine bars of seconds, and error against seconds."""
    result, by_machine = [], machines(panel.groups)
    for number, (machine, groups) in enumerate(by_machine.items(), 1):
        measured = {g.name: seconds(g) for g in groups if np.isfinite(seconds(g))}
        if not measured:
            continue
        end = f"-{number}" * (len(by_machine) > 1)
        label = "training seconds of an epoch"
        caption = f"Seconds of an epoch's training steps, the median epoch, on {machine}."
        result.append(Picture(f"seconds{end}-{panel.name}", bars_with_lines(measured, label, panel.title), caption))
        points = {g.name: (measured[g.name], *_error(g)) for g in groups if g.name in measured}
        result += _tradeoff(panel, f"error-seconds{end}", points, label, f" On {machine}.")
    return result


def _tradeoff(
    panel: Panel, name: str, points: Mapping[str, tuple[float, float, float]], along: str, more: str = ""
) -> list[Picture]:
    """Test error against a cost, where there are two points with an error."""
    points = {group: point for group, point in points.items() if np.isfinite(point[1])}
    if len(points) < 2:
        return []
    figure = draw.scatter(points, label="test error (%)", along=along, title=panel.title)
    caption = f"Test error after the last epoch against cost: lower left is better.{more}"
    if any(np.isfinite(deviation) for *_, deviation in points.values()):
        caption += " Bars are one standard deviation over seeds."
    return [_picture(panel, name, figure, caption)]


def _heat(panel: Panel) -> list[Picture]:
    """α × l, for each set of finished groups that differ in these two only and fill a grid of two by two or more."""
    sets: dict[str, dict[tuple[float, int], Group]] = {}
    for group in panel.groups:
        s = group.settings
        if group.finished and not group.again and "rule.alpha" in s and isinstance(s.get("rule.length"), int):
            rest = str(sorted((k, str(v)) for k, v in s.items() if k not in ("rule.alpha", "rule.length")))
            sets.setdefault(rest, {})[s["rule.alpha"], s["rule.length"]] = group
    grids = [grid for grid in sets.values() if all(len({key[i] for key in grid}) > 1 for i in (0, 1))]
    result = []
    for number, grid in enumerate(grids, 1):
        alphas, lengths = sorted({a for a, _ in grid}), sorted({n for _, n in grid})
        errors = {key: float(group.last.mean()) for key, group in grid.items()}
        if not np.isfinite(list(errors.values())).any():
            continue
        rows = {f"α = {a:g}": [errors.get((a, n), np.nan) for n in lengths] for a in alphas}
        rule = next(iter(grid.values())).rule
        figure = draw.heat(
            rows, along="propagation length l", columns=[str(n) for n in lengths], from_least=True,
            title=rule, label="Test error (%)", form="{:.1f}",
        )  # fmt: skip
        end = f"-{number}" * (len(grids) > 1)
        caption = f"{rule} on {panel.title}: test error (%) after the last epoch, mean over seeds. White is the least."
        result.append(Picture(f"alpha-length{end}-{panel.name}", figure, caption))
    return result


def _error(group: Group) -> tuple[float, float]:
    return float(group.last.mean()), deviation(group.last)


def bars_with_lines(
    values: Mapping[str, float], label: str, title: str, deviations: Mapping[str, float] | None = None
) -> draw.Figure:
    """`draw.bars` at the size of a page, with names in several lines."""
    figure = draw.bars(values, label=label, title=title, form="{:.3g}", deviations=deviations)
    (axes,) = figure.axes
    lines = [textwrap.fill(name.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"), WIDE) for name in values]
    axes.set_yticks(range(len(values)), lines)
    rows = sum(text.count("\n") + 1 for text in lines)
    figure.set_size_inches(SIZE[0], 1.0 + 0.2 * rows + 0.12 * len(values))
    _wrap_title(figure)
    return figure


def at_page_size(figure: draw.Figure) -> draw.Figure:
    """The figure at the size of a page, its legend below it."""
    _wrap_title(figure)
    figure.set_size_inches(*SIZE)
    draw.legend_below(figure)
    return figure


def _wrap_title(figure: draw.Figure) -> None:
    (axes,) = figure.axes
    axes.set_title(textwrap.fill(axes.get_title(loc="left"), TITLE), loc="left")


def _picture(panel: Panel, name: str, figure: draw.Figure, caption: str) -> Picture:
    """A line chart or a scatter plot of the panel."""
    return Picture(f"{name}-{panel.name}", at_page_size(figure), caption)
