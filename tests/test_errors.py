"""What is said of a name that is not known."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import minilocal as ml
from minilocal.errors import nearest, unknown


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
                        text = after.value if isinstance(after, ast.Constant) else ""
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
