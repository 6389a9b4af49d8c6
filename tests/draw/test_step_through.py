"""A step as frames: of a copy, in the order of the engine, with the bytes that `memory` counts, on one page."""

from __future__ import annotations

import re
from html import escape
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import memory
from minilocal.draw import step_through
from minilocal.draw.frames import Recorder
from minilocal.tree import tree_leaves
from tests.helpers.browser import dom_of, in_a_browser, title_of

NET = ml.nets.mlp((12, 12, 12, 12, 12), classes=3, size=2, rng=ml.rng(0))
IMAGES = ml.nets.resnet(8, size=8, rng=ml.rng(0))
ASYNCHRONOUS = ml.rules.compose("asynchronous", objective=ml.objectives.classifier(), boundary=ml.boundaries.closed(),
                                when=ml.when.asynchronous(buffer=2))  # fmt: skip
NOW = {
    "BP": ml.rules.bp(), "BP, inputs kept": ml.rules.bp(keep="inputs"), "GLL": ml.rules.gll(),
    "BackLink": ml.rules.backlink(), "BackLink, unfolded": ml.rules.backlink(weighting="unfolded"),
    "BackLink, own-scaled": ml.rules.backlink(length="module", error="own-scaled"),
    "BackLink, total": ml.rules.backlink(length="module", error="total"),
    "BackLink, inputs kept": ml.rules.backlink(keep="inputs"),
    "DGL": ml.rules.dgl(), "PredSim": ml.rules.predsim(), "PGL": ml.rules.pgl(period=2, duration=1),
    "DNI": ml.rules.dni(), "InfoPro": ml.rules.infopro(lambdas=(1.0, 1.0, 1.0, 1.0)),
}  # fmt: skip
OTHERS = {
    "DDG": ml.rules.ddg(), "FDG": ml.rules.fdg(), "asynchronous": ASYNCHRONOUS, "accumulated": ml.rules.bp(accumulate=2)
}  # fmt: skip
ALL = NOW | OTHERS


def batch_of(net, images=4):
    x = np.random.default_rng(0).standard_normal((images, *net.shape)).astype("f4")
    return x, np.arange(images) % net.classes


def make_learner(rule, net=NET, modules=3, epoch=0):
    learner = ml.Learner(net, rule, modules, rng=ml.rng(1))
    learner.epoch = epoch
    return learner


def images_for(name):
    return IMAGES if name in ("InfoPro", "PredSim", "DGL") else NET


def work_of(step):
    return [(f.kind, f.module, f.unit or f.part) for f in step.frames if f.kind != "freed"]


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("name", ALL)
def test_the_learner_is_unchanged_bit_for_bit_and_every_kind_is_seen(name, epoch):
    net = images_for(name)
    learner = make_learner(ALL[name], net, epoch=epoch)
    for _ in range(ALL[name].least_batches(3)):
        learner.step(*batch_of(net), lr=0.1)
    before = learner.state()
    step = step_through(learner, *batch_of(net), lr=0.5)
    after = learner.state()
    assert before.keys() == after.keys() and all(np.array_equal(before[k], after[k]) for k in before)
    assert {f.kind for f in step.frames} == {"forward", "local loss", "backward", "update", "freed"}
    assert {f.module for f in step.frames if f.kind == "forward"} >= {1}
    assert all(not module.hooks for module in learner.modules)


def test_the_order_of_backlink_is_that_of_algorithm_1():
    """Two modules of two units, l = 1: each unit's update comes as soon as both of its errors have been in it.

    The network's own head has no parameters here, so the last loss has no update.
    """
    net = ml.nets.mlp((12, 12, 12), classes=3, size=2, rng=ml.rng(0))
    step = step_through(make_learner(ml.rules.backlink(length=1), net, 2), *batch_of(net))
    loss = "objective"
    assert work_of(step) == [
        ("forward", 1, 1), ("forward", 1, 2), ("local loss", 1, loss), ("backward", 1, loss), ("update", 1, loss),
        ("backward", 1, 2), ("backward", 1, 1), ("update", 1, 1),  # the linked unit 2 waits
        ("forward", 2, 3), ("forward", 2, 4), ("local loss", 2, loss), ("backward", 2, loss),
        ("backward", 2, 4), ("update", 2, 4), ("backward", 2, 3), ("update", 2, 3),
        ("backward", 1, 2), ("update", 1, 2),  # the error from above, then (6)
    ]  # fmt: skip
    assert [(f.module, f.unit) for f in step.frames if f.goes == "down"] == [(2, 3)]
    assert [(f.module, f.unit) for f in step.frames if f.goes == "up"] == [(1, 2)]


@pytest.mark.parametrize("name", NOW)
def test_live_bytes_are_those_of_the_memory_profile(name, monkeypatch):
    """After each forward and backward, to the byte: the profile samples there."""
    curve = list[int]()
    for method in ("forward", "backward"):
        reported: Any = getattr(Recorder, method)

        def then_read(recorder: Recorder, *arguments: Any, reported: Any = reported) -> None:
            reported(recorder, *arguments)
            curve.append(recorder.frames[-1].bytes)

        monkeypatch.setattr(Recorder, method, then_read)
    net = images_for(name)
    learner, (x, y) = make_learner(NOW[name], net), batch_of(net, 16)
    step_through(learner, x, y)
    assert curve and curve == list(memory.profile(learner, x, y).curve)


def test_gll_frees_a_module_before_the_next_loss_and_bp_does_not():
    def of_module_1(rule: Any) -> int:
        frames = step_through(make_learner(rule), *batch_of(NET)).frames
        return next(f.by_module[0] for f in frames if f.kind == "forward" and f.unit == len(NET.units))

    assert of_module_1(ml.rules.gll()) == 0 < of_module_1(ml.rules.bp())


def test_what_a_delayed_rule_has_in_flight_is_live_from_the_first_frame():
    learner = make_learner(ml.rules.fdg())
    for _ in range(learner.rule.least_batches(3)):
        learner.step(*batch_of(NET), lr=0.1)
    step = step_through(learner, *batch_of(NET))
    assert step.in_flight == learner.in_flight and step.in_flight[0] > step.in_flight[1] > 0
    held = {id(a): a.nbytes for a in tree_leaves(learner.engine.held_arrays(), None)}
    assert held and step.frames[0].bytes > 0.5 * sum(held.values())
    assert any("later" in f.note for f in step.frames if f.goes == "down")
    fresh = step_through(make_learner(ml.rules.fdg()), *batch_of(NET))
    assert {f.module for f in fresh.frames if f.kind == "backward"} == {1, 2, 3}


def test_a_global_epoch_of_pgl_sends_the_last_error_through_every_module():
    rule = NOW["PGL"]
    down = [
        [f.module for f in step_through(make_learner(rule, epoch=e), *batch_of(NET)).frames if f.goes == "down"]
        for e in (0, 1)
    ]
    assert down == [[], [3, 2]]


def test_the_page_needs_nothing_else_and_is_small(tmp_path):
    net = ml.nets.resnet(20, size=8, rng=ml.rng(0))
    step = step_through(make_learner(ml.rules.backlink(), net, 4), *batch_of(net))
    step.write(tmp_path / "step.html")
    page = (tmp_path / "step.html").read_text()
    assert page == step.html() and len(page.encode()) < 300_000
    assert not re.findall(r"(?:src|href)=['\"]?(?!#)[^'\" ]*//", page)
    assert page.count("<tr>") == len(step.frames) + 1 and "<details open>" in page and "srcdoc" in step._repr_html_()
    assert repr(step) == f"<StepThrough: {step.title}, {len(step.frames)} frames>"
    with pytest.raises(ml.UserError):
        step.write(tmp_path / "none" / "step.html")


PROBE = """<!doctype html><title>not run</title>{frames}<script>
onload = () => document.title = [...document.querySelectorAll('iframe')].map(frame => {{
  const page = frame.contentDocument;
  for (let n = 0; n < {clicks}; n++) page.getElementById('next').click();
  const marks = [...page.querySelectorAll('#network .on')].map(e => e.id).join(' ');
  return [page.documentElement.scrollWidth, page.getElementById('count').textContent, marks].join('; ');
}}).join('|');</script>"""


@in_a_browser
def test_a_browser_shows_each_frame_and_nothing_overflows(tmp_path):
    step, widths = step_through(make_learner(ml.rules.backlink()), *batch_of(NET)), (390, 1280)
    clicks = next(n for n, f in enumerate(step.frames) if f.goes == "down")
    style = "border:0;height:900px;width:{}px"
    frames = "".join(f"<iframe style='{style.format(w)}' srcdoc=\"{escape(step.html())}\"></iframe>" for w in widths)
    (tmp_path / "probe.html").write_text(PROBE.format(frames=frames, clicks=clicks))
    dom = dom_of(tmp_path / "probe.html", tmp_path)
    frame = step.frames[clicks]
    marks = f"down-{frame.module - 1} unit-{frame.unit}"
    for text, width in zip(title_of(dom).split("|"), widths, strict=True):
        wide, count, marked = text.split("; ")
        assert int(wide) <= width and count == f"{clicks + 1} of {len(step.frames)}"
        assert sorted(marked.split()) == marks.split()
