"""Optimisers against their equations written out, and learning rates against numbers worked out by hand."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from math import cos, pi
from typing import Any, cast

import numpy as np
import pytest

from minilocal import optim
from minilocal.errors import UserError


def run(recipe, grads, w0=1.0, lr=0.1, dtype="float64"):
    w = np.full(2, w0, dtype)
    state: dict[str, Any] = {}
    for g in grads:
        recipe.update([(w, np.full(2, g, dtype), state)], lr)
    assert w.dtype == dtype
    return w[0]


def test_sgd_with_momentum_and_decay():
    w, v = 1.0, 0.0
    for g in (0.5, -0.2, 0.3):
        g = g + 0.01 * w
        v = 0.9 * v + g
        w = w - 0.1 * v
    assert run(optim.SGD(momentum=0.9, weight_decay=0.01), (0.5, -0.2, 0.3)) == pytest.approx(w, rel=1e-14)


def test_nesterov_looks_ahead():
    w, v = 1.0, 0.0
    for g in (0.5, -0.2, 0.3):
        g = g + 0.01 * w
        v = 0.9 * v + g
        w = w - 0.1 * (g + 0.9 * v)
    assert run(optim.SGD(momentum=0.9, weight_decay=0.01, nesterov=True), (0.5, -0.2, 0.3)) == pytest.approx(
        w, rel=1e-14
    )


@pytest.mark.parametrize("decay", [0, 0.3])
def test_adam(decay):
    w, m, s = 1.0, 0.0, 0.0
    for t, loss in enumerate((0.5, -0.2, 0.3), 1):
        g = loss + decay * w
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
        w -= 0.1 * (m / (1 - 0.9**t)) / ((s / (1 - 0.999**t)) ** 0.5 + 1e-8)
    assert run(optim.Adam(weight_decay=decay), (0.5, -0.2, 0.3)) == pytest.approx(w, rel=1e-12)


def test_a_gradient_of_0_is_divided_by_adams_epsilon():
    w = np.ones(3, "f4")
    optim.Adam(eps=1e-30).update([(w, np.zeros(3, "f4"), {})], 0.1)
    assert (w == 1).all()
    for eps in (0, 1e-40):
        with pytest.raises(UserError, match="give 1e-30 or more"):
            optim.Adam(eps=eps)
    with pytest.raises(UserError, match="nesterov = 1"):
        optim.SGD(nesterov=cast(Any, 1))


@pytest.mark.parametrize(
    "recipe",
    [
        optim.SGD(momentum=0.9, weight_decay=0.1),
        optim.SGD(momentum=0.9, weight_decay=0.1, nesterov=True),
        optim.SGD(momentum=0.0),
        optim.Adam(weight_decay=0.1),
    ],
)
def test_float32_stays_float32(recipe):
    w = np.ones(3, "f4")
    state: dict[str, Any] = {}
    for _ in range(3):
        recipe.update([(w, np.ones(3, "f4"), state)], 0.1)
    assert w.dtype == "f4" and all(a.dtype == "f4" for a in state.values() if isinstance(a, np.ndarray))


def test_numpys_numbers_become_pythons():
    half: Any = np.float32(0.5)
    sgd = optim.SGD(momentum=half, weight_decay=np.float64(0.25))
    assert sgd == optim.SGD(momentum=0.5, weight_decay=0.25) and type(sgd.momentum) is type(sgd.weight_decay) is float


def test_schedules():
    assert [optim.constant(0.3).lr(e) for e in (0, 7)] == [0.3, 0.3]
    drops = optim.steps(1.0, (2, 4), 0.5)
    assert [drops.lr(e) for e in range(6)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert optim.cosine(0.8, 10).lr(0) == 0.8 and optim.cosine(0.8, 10).lr(5) == pytest.approx(0.4)
    assert [round(optim.warmup(optim.constant(1.0), 4).lr(e), 9) for e in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


@pytest.mark.parametrize("E", [12, 160, 400])
@pytest.mark.parametrize("lr0", [0.1, 0.8, 0.9])  # 0.9 at e = 11: c is not c * 10 / 10
def test_infopros_schedule_to_the_letter(lr0, E):
    at = optim.infopro(lr0, E)
    for e in range(1, E + 1):
        c = 0.5 * lr0 * (1 + cos(pi * e / E))
        assert at.lr(e - 1) == (c if e > 10 else c * (e - 1) / 10 + 0.01 * (11 - e) / 10)
    assert at.lr(0) == 0.01 and at.lr(E - 1) == 0.0


@pytest.mark.parametrize(
    "text, epoch, expected",
    [
        ("constant", 9, 0.1),
        ("steps", 5, 0.01),
        ("steps:3,8:0.5", 8, 0.025),
        ("warmup:5+constant", 0, 0.02),
        ("cosine", 0, 0.1),
    ],
)
def test_schedules_as_flags_spell_them(text, epoch, expected):
    assert optim.schedule(text, 0.1, 10).lr(epoch) == pytest.approx(expected)


def rates(text, epochs, lr=0.1):
    at = optim.schedule(text, lr, epochs)
    return [at.lr(e) for e in range(epochs)]


def test_fdgs_warm_up_is_held_and_its_milestones_are_epochs_of_the_run():
    """Table 4 of that paper: 0.01 for 3 epochs, then 0.1, divided by 10 at 150, 225 and 275."""
    got = rates("hold:3:0.01+steps:150,225,275", 300)
    assert got[:3] == [0.01] * 3
    edges = ((3, 150, 1), (150, 225, 0.1), (225, 275, 0.1**2), (275, 300, 0.1**3))
    assert got[3:] == [0.1 * f for first, last, f in edges for _ in range(first, last)]
    assert rates("hold:1:0.5+cosine", 4)[1:] == rates("cosine", 4)[1:] and rates("hold:1:0.5+cosine", 4)[0] == 0.5


def test_steps_alone_neither_begin_low_nor_drop_twice_at_once():
    by_epochs = {E: [round(r, 9) for r in rates("steps", E)] for E in (1, 2, 3, 4, 8)}
    assert by_epochs == {
        1: [0.1], 2: [0.1, 0.01], 3: [0.1, 0.01, 0.001], 4: [0.1, 0.1, 0.01, 0.001],
        8: [0.1] * 4 + [0.01] * 2 + [0.001] * 2,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["cosine", "infopro", "steps", "warmup:3+cosine", "hold:2:0.3+infopro"])
@pytest.mark.parametrize("epochs", [1, 2, 12])
def test_past_its_end_a_schedule_stays_at_the_last_epochs_rate(text, epochs):
    at = optim.schedule(text, 0.1, epochs)
    start = max(epochs - 1, 3)  # a warm-up that outlasts the run goes on
    assert [at.lr(e) for e in range(start, 40)] == [at.lr(start)] * (40 - start)
    assert at.lr(start) == optim.schedule(text.rpartition("+")[2], 0.1, epochs).lr(epochs - 1)


EXTENDS = {
    "constant": True, "steps:1,2": True, "steps:3:0.5": True, "warmup:2+steps:3": True, "warmup:3+constant": True,
    "hold:2:0.01+steps:3": True, "hold:1:0.3+constant": True,
    "cosine": False, "infopro": False, "steps": False, "warmup:2+cosine": False, "hold:2:0.01+steps": False,
}  # fmt: skip


@pytest.mark.parametrize("text", EXTENDS)
def test_a_schedule_says_whether_a_longer_run_has_the_same_rates(text):
    short, longer = rates(text, 4), rates(text, 9)[:4]
    assert optim.schedule(text, 0.1, 4).extends == EXTENDS[text] == (short == longer)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("steps:9,3", "each later than the one before"), ("steps:3,3", "each later"), ("steps:-1", "counted from 0"),
        ("steps:1:-1", "factor -1.0 is outside (0, inf)"), ("steps:1:nan", "factor nan"), ("steps:1:inf", "factor inf"),
        ("steps:1:0", "factor 0.0"), ("steps:1:0.5:2", "write steps:EPOCH"), ("steps:1.5", "write steps:EPOCH"),
        ("hold:3:0.01", "say what follows it"), ("warmup:5", "as in warmup:5+cosine"),
        ("hold:3+cosine", "before '+' stands warmup:N, or hold:N:RATE"), ("hold:0:0.1+cosine", "before '+'"),
        ("warmup:²+cosine", "before '+'"),
        ("hold:2:x+cosine", "'x' is no learning rate"), ("hold:2:-1+cosine", "rate -1.0"),
        ("hold:2:nan+cosine", "rate nan"), ("warmup:2:3+cosine", "before '+'"), ("wramup:2+cosine", "before '+'"),
        ("add:2:0.1+cosine", "before '+'"), ("holds:2:0.1+cosine", "before '+'"),
        ("hold:2:0.1+warmup:3+cosine", "once"), ("warmup:3+hold:2:0.1+cosine", "once"),
        ("hold:2:0.1+cosin", "did you mean 'cosine'"), ("cosine:3", "takes no details"),
    ],
)  # fmt: skip
def test_a_schedule_that_cannot_be_is_refused_in_a_line(text, line):
    with pytest.raises(UserError) as caught:
        optim.schedule(text, 0.1, 10)
    assert line in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("milestones", ["150", 150, None])
def test_milestones_are_a_list(milestones):
    with pytest.raises(UserError, match=r"^schedule steps: milestones = .*: give a list of epochs, as \(150, 225\)\.$"):
        optim.steps(0.1, milestones)


def test_what_is_no_schedule_is_refused_in_a_line():
    unchecked: Any = optim
    for build in (lambda: unchecked.warmup(0.1, 5), lambda: unchecked.hold("cosine", 5, 0.1)):
        with pytest.raises(UserError, match=r"is no schedule: give minilocal\.optim\.cosine\(lr, epochs\)"):
            build()
    for text in (None, 3, ["cosine"]):
        with pytest.raises(UserError, match=r"^schedule .*: give its text, as 'cosine' or"):
            unchecked.schedule(text, 0.1, 10)


@pytest.mark.parametrize("lr, epochs", [(0.0, 3), (float("nan"), 3), (float("inf"), 3), (-0.1, 3), (0.1, 0)])
def test_a_schedule_starts_from_a_rate_and_lasts(lr, epochs):
    with pytest.raises(UserError, match="give"):
        optim.schedule("cosine", lr, epochs)


@pytest.mark.parametrize(
    ("text", "epochs", "last"),
    [
        ("steps:2,5", 5, 6), ("steps:2,5", 6, None), ("warmup:3+constant", 2, 3), ("warmup:3+cosine", 3, None),
        ("hold:3:1+constant", 3, 4), ("hold:3:1+constant", 4, None), ("infopro", 10, 11), ("infopro", 11, None),
        ("cosine", 1, None), ("steps", 1, None),
    ],
)  # fmt: skip
def test_a_schedule_says_what_a_run_is_too_short_for(text, epochs, last):
    line = optim.schedule(text, 0.1, epochs).unreached(epochs)
    assert (f"{text} changes as late as epoch {last}, and this run ends after {epochs}." in line) if last else not line


def test_numbers_of_an_optimiser_are_given_by_name():
    """Adam(1e-3) would set β1."""
    SGD, Adam = cast(Any, optim.SGD), cast(Any, optim.Adam)
    for call in (lambda: Adam(1e-3), lambda: SGD(0.1), lambda: SGD(0.1, momentum=0.9)):
        with pytest.raises(UserError, match=r"the learning rate is given to step\(lr=...\)"):
            call()
    assert optim.SGD(momentum=0.5) == pickle.loads(pickle.dumps(optim.SGD(momentum=0.5)))
    assert replace(copy.deepcopy(optim.Adam(beta1=0.5)), eps=1e-6) == optim.Adam(beta1=0.5, eps=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda bad: optim.SGD(momentum=bad), lambda bad: optim.SGD(weight_decay=bad), lambda bad: optim.Adam(eps=bad),
        lambda bad: optim.Adam(beta1=bad), lambda bad: optim.Adam(beta2=bad), lambda bad: optim.Adam(weight_decay=bad),
    ],
)  # fmt: skip
@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "0.9", None, True])
def test_an_optimisers_numbers_are_checked(call, bad):
    with pytest.raises(UserError, match="give 0 or more"):
        call(bad)


@pytest.mark.parametrize("make", [lambda: optim.SGD(momentum=2), lambda: optim.Adam(beta1=1)])
def test_a_memory_that_never_fades_is_refused(make):
    with pytest.raises(UserError, match="below 1"):
        make()


def test_an_optimiser_by_its_name_has_the_usual_numbers():
    assert optim.get("sgd") == optim.SGD() and optim.get("adam") == optim.Adam()
    with pytest.raises(UserError, match=r"optimiser 'adm' is not known.*'adam'"):
        optim.get("adm")


def test_nesterov_needs_a_momentum():
    with pytest.raises(UserError, match=r"^Nesterov's step looks ahead along the momentum: give momentum > 0, or "):
        optim.SGD(momentum=0, nesterov=True)
    assert optim.SGD(momentum=0).momentum == 0 and optim.SGD(momentum=0.1, nesterov=True).nesterov
