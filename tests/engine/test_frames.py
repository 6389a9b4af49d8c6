"""How far the equations are from the call that runs them: frames of the stack, `Learner.step` included."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

import minilocal as ml
from minilocal.engine import synchronous
from minilocal.ops import conv_stats


def frames_of_the_package() -> list[str]:
    """The functions of the package that run now, `Learner.step` first."""
    package, names = str(Path(ml.__file__).parent), list[str]()
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename.startswith(package):
            names.append(frame.f_code.co_qualname)
        frame = frame.f_back
    assert names[-1] == "Learner.step"
    return names[::-1]


def step(monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> list[list[str]]:
    """The frames at every call of `where.name` in one step of BackLink on ResNet-8 with four modules."""
    seen, function = [], getattr(where, name)

    def counted(*args: object) -> object:
        seen.append([*frames_of_the_package(), name])
        return function(*args)

    monkeypatch.setattr(where, name, counted)
    net = ml.nets.resnet(8, size=8, rng=ml.rng(0))
    learner = ml.Learner(net, ml.rules.backlink(length=1), modules=4, rng=ml.rng(1))
    with ml.ops.reference():
        learner.step(np.ones((2, *net.shape), "f4"), np.arange(2), lr=0.1)
    return seen


def test_the_line_of_equation_6_is_at_most_six_frames_from_the_step(monkeypatch):
    seen = step(monkeypatch, synchronous, "mix")
    assert seen and max(map(len, seen)) <= 6, seen[0]


def test_the_operation_of_equation_6_is_at_most_seven_frames_from_the_step(monkeypatch):
    seen = step(monkeypatch, ml.ops, "mix")
    assert seen and max(map(len, seen)) <= 7, seen[0]


def test_the_plain_im2col_is_at_most_eight_frames_from_the_step(monkeypatch):
    """In the forward of a unit's convolution. A shortcut's convolution stands in a row of layers, one call deeper."""
    forwards = [names for names in step(monkeypatch, conv_stats, "im2col") if "Module.forward" in names]
    shortcuts = [names for names in forwards if "Residual.forward" in names and "Sequential.forward" in names]
    assert forwards and shortcuts and max(map(len, shortcuts)) <= 9, shortcuts[0]
    assert max(len(names) for names in forwards if names not in shortcuts) <= 8, forwards[0]
