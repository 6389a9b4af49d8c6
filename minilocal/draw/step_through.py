"""A training step, frame by frame: a page with the network, what happens in it, and the bytes that are live."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from minilocal.array import Array
from minilocal.draw.frames import Frame, megabytes, record
from minilocal.draw.network import network
from minilocal.draw.network_layout import Layout
from minilocal.draw.page import STYLE
from minilocal.draw.step_page import CONTROLS, LOOK, SCRIPT
from minilocal.draw.style import MODULES, to_svg
from minilocal.errors import UserError
from minilocal.inputs import check_learner
from minilocal.learner import Learner
from minilocal.nets.summary import by
from minilocal.record.files import atomic_write

INLINE = 780  # pixels: the height of a page inside a notebook


@dataclass(frozen=True)
class StepThrough:
    """The frames of a training step, and their page. In a notebook it shows itself.

    in_flight    batches whose error is pending at each module before the step
    """

    title: str
    frames: list[Frame]
    in_flight: list[int]
    _svg: str
    _alt: str
    _boxes: dict[int, int]  # {unit: the first unit of its box}, counted from 1

    def __repr__(self) -> str:
        return f"<StepThrough: {self.title}, {len(self.frames)} frames>"

    def html(self) -> str:
        """The page: one file that needs no other. Without JavaScript it is the figure and the table of frames."""
        drawing = self._svg[self._svg.index("<svg") :].replace(
            "<svg", f'<svg role="img" aria-label="{escape(self._alt)}"', 1
        )
        facts = [self._facts(frame) for frame in self.frames]
        data = json.dumps(facts, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
        colours = [MODULES[k % len(MODULES)] for k in range(len(self.in_flight))]
        pending = ", ".join(f"{n} at module {k}" for k, n in enumerate(self.in_flight, 1) if n)
        before = f"<p>In flight before the step, batches whose error has not arrived: {pending}.</p>" if pending else ""
        return (
            "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
            "<meta name='viewport' content='width=device-width, initial-scale=1'>"
            f"<title>{escape(self.title)}</title><style>{STYLE}{LOOK}</style></head><body>"
            f"<h1>{escape(self.title)}</h1>{before}{CONTROLS}"
            f"<div id='network' tabindex='0' role='region' aria-label='The network'>{drawing}</div>"
            f"<details open><summary>All {len(self.frames)} frames as a table</summary>{self._table()}</details>"
            f"<script>const frames={data},colours={json.dumps(colours)};{SCRIPT}</script></body></html>\n"
        )

    def write(self, path: str | Path) -> None:
        """Write the page to a file, aside first and then renamed.

        Raises: UserError where it cannot be written.
        """
        with atomic_write(Path(path)) as file:
            file.write(self.html().encode())

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that its names meet no other page's."""
        style = f"width:100%;height:{INLINE}px;border:1px solid #ccc"
        return f'<iframe title="{escape(self.title)}" style="{style}" srcdoc="{escape(self.html())}"></iframe>'

    def _facts(self, frame: Frame) -> dict[str, object]:
        """What the page shows of a frame."""
        return {
            "kind": frame.kind, "where": where(frame), "shapes": _shapes(frame), "note": frame.note,
            "marks": self._marks(frame), "bytes": frame.by_module, "live": megabytes(frame.bytes),
        }  # fmt: skip

    def _marks(self, frame: Frame) -> list[str]:
        """The names of the parts of the figure that a frame is about."""
        if frame.unit is not None:
            marks = [f"unit-{self._boxes[frame.unit]}"]
        elif frame.part == "input" and frame.module > 1:
            marks = [f"up-{frame.module - 1}"]
        else:
            marks = [] if frame.part in ("input", "in flight") else [f"loss-{frame.module}"]
        if frame.goes == "up":
            marks.append(f"up-{frame.module}")
        if frame.goes == "down":
            marks.append(f"down-{frame.module - 1}")
        return marks

    def _table(self) -> str:
        heads = ["frame", "kind", "where", "shapes", "live", "what happens"]
        rows = [
            [str(n), frame.kind, where(frame), _shapes(frame), megabytes(frame.bytes), frame.note]
            for n, frame in enumerate(self.frames, 1)
        ]
        head = "".join(f"<th scope='col'>{name}</th>" for name in heads)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def step_through(learner: Learner, x: Array, y: Array, *, lr: float | None = None) -> StepThrough:
    """The frames of one training step on this batch: forward, local loss, backward, update, freed.

    A copy of the Learner takes the step, at its epoch and with what it has in flight; the Learner is unchanged. Where
    nothing is in flight yet and the rule has delays or buffers, the copy first takes steps at rate 0, until every
    module has an error. x (N, H, W, C) float, y (N,) int; `lr` is the learning rate, the last step's by default.

    >>> import minilocal as ml, numpy as np
    >>> net = ml.nets.mlp((16, 16), classes=4, size=2, rng=ml.rng(0))
    >>> learner = ml.Learner(net, ml.rules.gll(), modules=3, rng=ml.rng(1))
    >>> step = step_through(learner, np.ones((8, 2, 2, 3), "float32"), np.arange(8) % 4)
    >>> [frame.kind for frame in step.frames[:6]]
    ['forward', 'local loss', 'backward', 'update', 'freed', 'backward']

    Raises: UserError as `Learner.step`, for anything but a Learner, and one whose modules several processes train.
    """
    check_learner("step_through", learner)
    if len(learner.own_modules) != len(learner.modules):
        raise UserError("step_through: this process trains some of the modules: give a Learner of one process.")
    frames, in_flight = record(learner, x, y, lr)
    figure = network(learner, len(y))
    boxes = {
        u + 1: box.first + 1
        for row in Layout(learner).rows
        for box in row.boxes
        for u in range(box.first, box.first + box.count)
    }
    title = f"One step of {learner.rule.name} on {learner.net.name}, K = {len(learner.modules)}, {len(y)} images"
    return StepThrough(title, frames, in_flight, to_svg(figure), figure.alt, boxes)


def where(frame: Frame) -> str:
    """The place of a frame in the network."""
    part = f"unit {frame.unit}" if frame.unit is not None else {"objective": "loss"}.get(frame.part, frame.part)
    return f"module {frame.module}, {part}"


def _shapes(frame: Frame) -> str:
    """The shapes of a frame, from what it reads to what it returns."""
    return _joined(frame.shapes, ", " if frame.kind == "update" else " → ")


def _joined(shapes: Sequence[tuple[int, ...]], between: str) -> str:
    return between.join(by(shape) or "a number" for shape in shapes)
