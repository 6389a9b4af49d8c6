"""What is said of a name that is not known."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import minilocal as ml
from minilocal.errors import boolean, fraction, nearest, printable, real, reason, unknown, whole


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("backlnk", ml.rules.NAMES, "backlink"),
        ("BP", ml.rules.NAMES, "bp"),
        ("GLL", ml.rules.NAMES, "gll"),
        ("CIFAR10", ml.data.NAMES, "cifar10"),
        ("cifar", ml.data.NAMES, "cifar10"),
        ("x_train", ("train_x", "train_y", "test_x", "test_y"), "train_x"),
        ("Y_Test", ("train_x", "train_y", "test_x", "test_y"), "test_y"),
        ("sdg", ("sgd", "adam"), "sgd"),
        ("resnt20", ml.nets.NAMES, "resnet20"),
        ("foo", ml.rules.NAMES, None),
        ("", ml.rules.NAMES, None),
        (3, ("a", "b"), None),
    ],
)
def test_the_nearest_name(word, known, meant):
    assert nearest(word, known) == (f"; did you mean {meant!r}?" if meant else ".")


def test_the_sentence_ends_once():
    assert str(unknown("rule", "GLL", ["gll"])) == "rule 'GLL' is not known; did you mean 'gll'? Known: gll."
    assert str(unknown("rule", "x", ["gll"], more="or a file")) == "rule 'x' is not known. Known: gll, or a file."


def test_no_caller_ends_it_again():
    """After {nearest(...)} a sentence is over: a space or nothing follows, in every message of the package."""
    wrong, calls = [], 0
    for path in Path(ml.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                for part, after in zip(node.values, [*node.values[1:], None], strict=True):
                    if isinstance(part, ast.FormattedValue) and "nearest(" in ast.unparse(part):
                        calls += 1
                        text = str(after.value) if isinstance(after, ast.Constant) else ""
                        if text and not text.startswith(" "):
                            wrong.append(f"{path.name}:{node.lineno}")
    assert calls >= 5 and not wrong


def test_a_name_of_weights_that_is_not_here_is_answered_with_one_full_stop():
    learner = ml.Learner(ml.nets.mlp((8,), rng=ml.rng(0)), ml.rules.gll(), modules=2, rng=ml.rng(0))
    with pytest.raises(ml.UserError) as caught:
        learner.load({"layers.O.weight": learner.parameters()["layers.0.weight"]})
    assert "?." not in str(caught.value) and ".." not in str(caught.value), str(caught.value)


def test_a_network_may_be_named_that_is_not_in_the_list():
    with pytest.raises(ml.UserError, match=r"any resnetN with N = 6m \+ 2, any wrnD-W with D = 6m \+ 4\."):
        ml.nets.get("foo", rng=ml.rng(0))


@pytest.mark.parametrize("number", [True, 1.0, "1", None, [1], -1, np.float64(1), np.bool_(True)])
def test_a_whole_number_is_one_of_pythons_or_numpys_and_not_a_truth_value(number):
    assert type(whole("n", np.int64(3))) is int and whole("n", 0, 0) == 0 and whole("n", 5, 1, 5) == 5
    for wrong, limits in ((number, "0 or more"), (6, "0 to 5")):
        with pytest.raises(ml.UserError, match=f"^n = .*: give a whole number, {limits}\\.$"):
            whole("n", wrong, 0, 5 if wrong == 6 else None)
    with pytest.raises(ml.UserError, match=r"^n = .*: give a side"):
        whole("n", number, give="a side")


@pytest.mark.parametrize("number", [True, "1", None, float("nan"), float("inf"), -0.1, 1.1, 10**400, 1j])
def test_a_fraction_is_a_number_between_0_and_1(number):
    assert fraction("x", 1) == 1 and fraction("x", 0.0) == 0 and type(fraction("x", np.float32(0.5))) is float
    with pytest.raises(ml.UserError, match=r"^x .* is outside \[0, 1\]: why\.$"):
        fraction("x", number, why="why")


def test_a_round_bracket_excludes_its_end():
    for ends, wrong, right in (("[)", 1, 0), ("(]", 0, 1)):
        assert fraction("x", right, ends) == right
        with pytest.raises(ml.UserError, match=r"x \d is outside [\[(]0, 1[\])]\.$"):
            fraction("x", wrong, ends)
    with pytest.raises(ml.UserError, match=r"^x inf is outside \[0, inf\)\.$"):
        real("x", float("inf"), 0, float("inf"), "[)")


@pytest.mark.parametrize("value", [0, 1, "true", None, np.bool_(True)])
def test_a_truth_value_is_true_or_false(value):
    assert boolean("b", True) is True
    with pytest.raises(ml.UserError, match=r"^b = .*: give true or false"):
        boolean("b", value)


def test_what_comes_from_elsewhere_is_one_line_that_a_terminal_shows_as_it_is():
    assert printable("résumé α \x1b[2J\x07\r\n\udcff") == "résumé α \\x1b[2J\\x07\\r\\n\\udcff"
    text = reason(OSError("gone\n \x1b[31maway" + "!" * 1000))
    assert text.startswith("gone \\x1b[31maway!!!") and text.endswith("! ...") and len(text) < 320
    assert reason(KeyError()) == "KeyError"
    assert reason(ValueError("It ends.")) == "It ends"
