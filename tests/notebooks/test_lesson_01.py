"""What lesson 1 says of its runs is what they gave."""

from __future__ import annotations

import inspect
import re

import minilocal as ml
from tests.helpers.lessons import printed

NAME = "01_backpropagation"


def test_what_it_says_of_memory_is_what_it_measured():
    text = printed(NAME)
    per_block = [float(n) for n in re.findall(r"([\d.]+) MB for each further block", text)]
    assert len(per_block) == 3 and max(per_block) < 1.5 * min(per_block)  # close to a straight line
    assert 1.7 < float(re.findall(r"64 images in place of 32: × ([\d.]+)", text)[0]) < 2.1  # nearly twice
    bp, checkpointed = map(float, re.findall(r"BP ([\d.]+) MB, checkpointed at 4 modules ([\d.]+) MB", text)[0])
    assert checkpointed < bp
    assert "the same gradients, bit for bit: True" in text


def test_the_sum_of_both_errors_that_it_shows_is_the_source_that_is_there():
    *_, of_shortcut, _, the_sum, _ = lines = inspect.getsource(ml.layers.Residual.backward).splitlines()
    assert "\n".join(lines[-4:]) in printed(NAME)
    assert of_shortcut.strip().startswith("ds, ") and "self.conv1.backward" in the_sum and "add=ds" in the_sum


def test_a_step_holds_most_at_the_loss_and_nothing_at_its_end():
    live = [int(n.replace(",", "")) for n in re.findall(r"^ +\d+ +([\d,]+) bytes  ", printed(NAME), re.M)]
    notes = re.findall(r"^ +\d+ +[\d,]+ bytes  (.*)$", printed(NAME), re.M)
    assert max(live) == live[next(n for n, note in enumerate(notes) if note.startswith("the loss L4"))] and not live[-1]


def test_what_it_says_of_lost_errors_is_what_its_runs_gave():
    text = printed(NAME)
    after = re.findall(r"^(.+?) +([\d.]+) \(([\d.]+) to ([\d.]+)\)$", text, re.M)
    means = {name: float(mean) for name, mean, _, _ in after}
    right, replaced, early = (means[name] for name in means)
    assert next(iter(means)) == "both errors added" and max(means.values()) < 30  # all three learn
    assert right <= early < right + 3  # without the block's part it ends close to the right one
    assert replaced > right + 3  # and without the shortcut's it falls more slowly
