"""When modules learn: which epochs are global, who is drawn, and what each answer says of itself, to the letter."""

from __future__ import annotations

import numpy as np
import pytest

import minilocal as ml
from minilocal.errors import UserError
from minilocal.rules import when
from minilocal.rules.option_docs import options_of
from minilocal.rules.when import When, always, asynchronous, periodic


class EveryThird(When):
    """An order of the user's: two local epochs, and a global one."""

    def is_global(self, epoch: int) -> bool:
        return epoch % 3 == 2


@pytest.mark.parametrize(
    ("answer", "epochs", "share"),
    [
        (When(), [], 0),
        (always(), [], 0),
        (periodic(period=4, duration=1), [3, 7, 11], 1 / 4),
        (periodic(period=4, duration=4), list(range(12)), 1),
        (periodic(period=4, duration=0), [], 0),
        (periodic(period=3, duration=2, includes=False), [3, 4, 8, 9], 2 / 5),
        (EveryThird(), [2, 5, 8, 11], 333 / 1000),  # counted over 1000 epochs
    ],
)
def test_the_epochs_in_which_main_weights_learn_from_the_last_loss(answer, epochs, share):
    assert [epoch for epoch in range(12) if answer.is_global(epoch)] == epochs and answer.global_share == share
    assert answer.guided is isinstance(answer, periodic | EveryThird)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (When(), ""),
        (always(), ""),
        (always(first="backward"), "updates come before forwards"),
        (periodic(period=5, duration=2), "in the last 2 of every 5 epochs the main weights learn from the last loss"),
        (
            periodic(period=5, duration=2, includes=False),
            "in the last 2 of every 7 epochs the main weights learn from the last loss",
        ),
        (asynchronous(), "modules are drawn at random, each to learn from one of the last 1 batches below it"),
        (
            asynchronous(buffer=4, slowed=1, noise=0.25),
            "modules are drawn at random (module 1 25% less often), each to learn from one of the last 4 batches "
            "below it",
        ),
    ],
)
def test_each_says_what_it_is(answer, text):
    assert answer.describe() == text


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: always(first="sideways"), "first 'sideways' is not known. Known: forward, backward."),
        (lambda: periodic(duration=3, period=2), "duration 3 is longer than the period 2 that includes it: give at "
         "most 2, or includes=False."),
        (lambda: periodic(period=0), "period = 0: give a whole number of epochs, 1 or more."),
        (lambda: periodic(duration=-1), "duration = -1: give a whole number of epochs, 0 or more."),
        (lambda: asynchronous(slowed=1), "slowed = 1 with noise = 0.0: one means nothing without the other; give "
         "noise above 0, or neither."),
        (lambda: asynchronous(noise=0.5), "slowed = None with noise = 0.5: one means nothing without the other; "
         "give the slowed worker's number, or neither."),
        (lambda: asynchronous(slowed=-1, noise=0.5), "slowed = -1: give the number of a worker, counted from 0, or "
         "leave it out."),
        (lambda: asynchronous(buffer=-1), "buffer = -1: give the batches that a buffer holds, 1 or more (0 is 1 too)."),
        (lambda: asynchronous(slowed=0, noise=1.0), "noise = 1.0 is outside [0, 1): at 1 the slowed worker would "
         "never work."),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_to_the_letter(make, line):
    with pytest.raises(UserError) as caught:
        make()
    assert str(caught.value) == line


def test_the_longest_duration_and_the_least_of_each_number():
    assert periodic(period=2, duration=2).duration == 2 and periodic(period=1, duration=0).cycle == 1
    assert [asynchronous(buffer=b).entries for b in (0, 1, 4)] == [1, 1, 4]
    assert asynchronous(slowed=0, noise=0.5).shares(3) == [0.5, 1.0, 1.0] and asynchronous().shares(2) == [1.0, 1.0]


def test_the_first_draws_fill_every_buffer_and_then_chance_decides_by_the_shares():
    """Of 4000 draws a worker's count strays from its mean by √(n p (1-p)) < 31; six of those are 190."""
    answer, rng = asynchronous(slowed=1, noise=0.5), np.random.default_rng(0)
    assert [answer.draw(rng, draws, 3) for draws in range(6)] == [0, 0, 1, 1, 2, 2]
    counts = np.bincount([answer.draw(rng, 6, 3) for _ in range(4000)], minlength=3)
    assert np.abs(counts - 4000 * np.array([2, 1, 2]) / 5).max() < 190


def test_the_names_and_an_option_that_needs_a_default():
    assert dir(when) == sorted(when.__all__)

    def bare(length):
        """A rule."""

    def by_place(length=1, /):
        """A rule."""

    for function in bare, by_place:
        with pytest.raises(UserError, match="rule mine: its option 'length' needs a default and a name, as length=1"):
            options_of(function, "mine")


def test_an_error_of_the_packages_in_a_users_file_is_handed_on_as_it_is(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import minilocal as ml\nmine = ml.rules.backlink(alpha=2)\n")
    with pytest.raises(UserError, match=r"^BackLink alpha 2 is outside \[0, 1\]"):
        ml.rules.get(f"{file}:mine")
