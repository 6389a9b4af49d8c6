"""Rules by name: compositions written as text, and rules in a user's own file."""

from __future__ import annotations

import dataclasses

import pytest

import minilocal as ml
from minilocal import rules
from minilocal.config import check_agrees, from_tables, resolve, tables_of
from minilocal.rules.option_docs import args, headline, options_of
from minilocal.rules.registry import parse
from minilocal.rules.text import LONGEST, value

INFOPRO = {"objective": "infopro:lambdas=[6,0,1,2]", "boundary": "link:length=1"}


@pytest.mark.parametrize(
    ("answers", "rule"),
    [
        ({}, ml.rules.bp()),
        ({"objective": "classifier", "boundary": "closed"}, ml.rules.gll()),
        ({"objective": "classifier:aux=1c2f", "boundary": "link:length=2,alpha=.25,weighting=unfolded,error=total"},
         ml.rules.backlink(aux="1c2f", length=2, alpha=0.25, weighting="unfolded", error="total")),
        ({"objective": {"name": "classifier"}, "boundary": {"name": "link", "length": "module"}, "keep": "inputs"},
         ml.rules.backlink(length="module", keep="inputs")),
        ({"boundary": "delayed"}, ml.rules.ddg()),
        ({"boundary": "delayed:activations=1,beta=0.5,backward_weights=current", "when": "always:first=backward"},
         ml.rules.fdg(beta=0.5, backward_weights="current")),
        ({"boundary": "synthetic_gradient:labels=true,kernel=3"}, ml.rules.dni(labels=True, kernel=3)),
        ({"objective": "predsim:final_weight=1-beta", "boundary": "closed"}, ml.rules.predsim(final_weight="1-beta")),
        ({"objective": "classifier:aux=mlp", "boundary": "closed", "when": "asynchronous:buffer=3"},
         ml.rules.dgl(aux="mlp", buffer=3)),
        ({"objective": "classifier:aux=aux-adapt", "boundary": "closed", "when": "periodic:period=5,duration=1"},
         ml.rules.pgl(period=5, duration=1)),
        (INFOPRO, ml.rules.compose(objective=ml.objectives.infopro([6, 0, 1, 2]), boundary=ml.boundaries.link(1))),
        ({"accumulate": 2}, ml.rules.bp(accumulate=2)),
    ],
)  # fmt: skip
def test_a_composition_in_words_is_the_rule_that_it_says(answers, rule):
    composed = ml.rules.get("compose", **answers)
    assert (composed.objective, composed.when, composed.keep, composed.accumulate) == (
        rule.objective,
        rule.when,
        rule.keep,
        rule.accumulate,
    )
    assert type(composed.boundary) is type(rule.boundary) and vars(composed.boundary) == vars(rule.boundary)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"objective": "clasifier"}, "objective 'clasifier' is not known; did you mean 'classifier'?"),
        ({"boundary": "late"}, "boundary 'late' is not known. Known: open, closed, link, reach, cascade, weights, del"),
        ({"when": "sometimes"}, "when 'sometimes' is not known"),
        ({"boundary": "link:lenght=2"}, "boundary link has no option 'lenght'; did you mean 'length'? It has length,"),
        ({"boundary": "closed:length=2"}, "boundary closed has no option 'length'. It has none."),
        ({"boundary": "link:2"}, "write link:option=value,..., as link:length=1,alpha=0.25."),
        ({"boundary": 3}, "boundary = 3: write a name, or name:option=value,..., as link:"),
        ({"boundary": {"length": 3}}, "has no name"),
        ({"boundary": "link:length=x"}, "length = 'x'"),
        ({"boundary": "link"}, "objective=classifier"),
        ({"objective": "classifier"}, "boundary=link"),
        ({"keep": "nothing"}, "keep 'nothing' is not known"),
        ({"objective": "infopro:lambdas=[6,0,1]"}, "3 lambdas"),
    ],
)
def test_what_is_wrong_in_a_composition_is_one_line_in_its_words(answers, message):
    with pytest.raises(ml.UserError) as caught:
        ml.rules.get("compose", **answers)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_composition_in_a_file_and_in_a_config_is_kept_as_it_was_written():
    table = {"name": "compose", "objective": {"name": "classifier", "aux": "1c2f"}, "boundary": "link:length=2"}
    config = from_tables({"rule": table}, "file")
    assert from_tables(tables_of(config), "config.json") == config
    assert tables_of(config)["rule"] == {
        **table,
        "when": "always",
        "keep": "caches",
        "accumulate": 1,
        "context": "none",
    }


def test_every_option_of_every_rule_is_told():
    """`minilocal train --rule NAME --help` has a sentence for each, out of the function's docstring."""
    for name in (*ml.rules.NAMES, "compose"):
        make = rules.constructor(name)
        documented = options_of(make, name)
        assert {option.name: option.default for option in documented} == rules.options(name)
        assert all(option.does.endswith(".") and len(option.does) > 20 for option in documented), (name, documented)
        assert set(args((make.__doc__ or "").replace("\n    ", "\n"))) == {option.name for option in documented}, name
        assert headline(make).endswith(".")


RULES = '''
import minilocal as ml
from beside import ALPHA

quiet = ml.rules.compose("Quiet", objective=ml.objectives.classifier(), boundary=ml.boundaries.link(1, ALPHA))


def loud(*, alpha: float = 0.5, aux="0c1f", sizes=(1, 2), inner=quiet, pair=(quiet, 1)):
    """A louder link.

    Args:
        alpha: how little, 0 to 1.
    """
    return ml.rules.compose("Loud", objective=ml.objectives.classifier(aux), boundary=ml.boundaries.link(2, alpha))


def forgiving(*others, alpha: float = 0.5, **more):
    return loud(alpha=alpha)


def broken(*, x=1):
    return 1 / (x - 1)


def needs(x):
    return quiet


def wrong():
    return 3


def taken(name="x"):
    return quiet
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside.py").write_text("ALPHA = 0.75\n")
    (tmp_path / "mine.py").write_text(RULES)
    return tmp_path / "mine.py"


def test_a_rule_of_ones_own_is_named_by_its_file(mine):
    assert ml.rules.get("mine.py:quiet").boundary == ml.boundaries.link(1, 0.75)
    assert ml.rules.get("mine.py:loud", alpha=0.25).boundary == ml.boundaries.link(2, 0.25)
    assert rules.label("mine.py:loud") == "loud" and rules.label("bp") == "bp"
    assert list(rules.options("mine.py:forgiving")) == ["alpha"], "what it takes besides has no name"
    documented = options_of(rules.constructor("mine.py:loud"), "")
    assert [option.does for option in documented] == ["how little, 0 to 1.", "", "", "", ""]


def test_a_word_too_long_for_a_number_is_a_word():
    assert value("1" * 300) == int("1" * 300) and value("1" * (LONGEST + 1)) == "1" * (LONGEST + 1)


def test_options_that_there_are_not_and_those_given_twice(mine):
    with pytest.raises(ml.UserError, match=r"^rule 'gll' has no option 'length'\. For it, its options are aux\.$"):
        ml.rules.get("gll", length=1)
    with pytest.raises(ml.UserError, match=r"^rule 'mine.py:quiet' has no option 'length'\. For it, it has none\.$"):
        ml.rules.get("mine.py:quiet", length=1)
    with pytest.raises(ml.UserError, match=r"^--rule = '.*' sets alpha, and so does alpha = 0\.5\.$"):
        parse("--rule", "backlink:length=2,alpha=0.25", length=1, alpha=0.5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "mine.py:lood",
            "mine.py has no rule 'lood'; did you mean 'loud'? It has quiet, loud, forgiving, broken,",
        ),
        ("mine.py", "name the rule in it too, as mine.py:my_rule"),
        ("mine.py:", "name the rule in it too"),
        ("none.py:x", "none.py cannot be read, No such file or directory."),
        ("mine.py:broken", "mine.py:22: ZeroDivisionError: division by zero"),
        ("mine.py:needs", "its option 'x' needs a default and a name, as x=1."),
        ("mine.py:wrong", "returned a int, not a Rule"),
        ("mine.py:ml", "is a module: give a Rule, or a function that returns one"),
        ("mine.py:taken", "has an option 'name', a key of [rule] itself: give it another name."),
        ("bad.py:x", "bad.py:2: SyntaxError: invalid syntax"),
        ("raises.py:x", "raises.py:2: KeyError: 'k'"),
        ("exits.py:x", "exits.py:1: SystemExit: 3"),
    ],
)
def test_what_is_wrong_with_it_is_one_line_with_its_place(mine, name, message):
    (mine.parent / "bad.py").write_text("x = 1\ny = = 2\n")
    (mine.parent / "raises.py").write_text("x = {}\nx['k']\n")
    (mine.parent / "exits.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(ml.UserError) as caught:
        ml.rules.get(name)
    assert message in str(caught.value) and "\n" not in str(caught.value), str(caught.value)


def test_a_run_names_its_rules_file_from_the_root_with_its_fingerprint(mine, tmp_path, monkeypatch, recwarn):
    config, _ = resolve([("--rule", {"rule.name": "mine.py:loud"}), ("--alpha", {"rule.alpha": 0.25})])
    table = tables_of(config)["rule"]
    assert table == {
        "name": f"{mine}:loud",
        "sha256": rules.from_file.fingerprint("mine.py:loud"),
        "alpha": 0.25,
        "aux": "0c1f",
        "sizes": [1, 2],
    }
    check_agrees(config, [("--rule", {"rule.name": "./mine.py:loud"})], "R")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert from_tables(tables_of(config), "config.json") == config and not recwarn.list
    mine.write_text(RULES.replace("link(2,", "link(3,"))
    again = from_tables(tables_of(config), "config.json")
    assert again == config and "has changed since this run began" in str(recwarn.pop().message)
    boundary = ml.rules.get(again.rule.name).boundary
    assert isinstance(boundary, ml.boundaries.link) and boundary.length == 3
    mine.unlink()
    with pytest.raises(ml.UserError, match=r"mine\.py cannot be read"):
        from_tables(tables_of(config), "config.json")


def test_a_fingerprint_without_a_file_and_an_option_that_no_file_can_hold_are_refused(mine):
    with pytest.raises(ml.UserError, match="gll is in none"):
        resolve([("FILE", {"rule.name": "gll", "rule.sha256": "0"})])
    with pytest.raises(ml.UserError, match="has no such option"):
        resolve([("FILE", {"rule.name": "mine.py:loud", "rule.inner": "x"})])
    own = ("FILE", {"rule.name": "mine.py:loud", "rule.sha256": "0", "rule.alpha": 0.1})
    with pytest.warns(UserWarning, match="has changed"):
        assert dataclasses.is_dataclass(ml.rules.get(resolve([own])[0].rule.name))
    config, remarks = resolve([own, ("--rule", {"rule.name": "gll"})])
    assert config.rule.sha256 is None and len(remarks) == 1


def test_a_file_that_cannot_be_read_as_python_is_said_to_be_wrong_in_its_first_line(tmp_path):
    file = tmp_path / "null.py"
    file.write_bytes(b"x = 1\n\0")
    with pytest.raises(ml.UserError) as caught:
        ml.rules.get(f"{file}:x")
    assert str(caught.value).startswith(f"{file}:1: ") and "null bytes" in str(caught.value)


def test_the_deepest_line_of_the_users_file_is_named(tmp_path):
    file = tmp_path / "deep.py"
    file.write_text("def inner():\n    raise ValueError('no')\n\n\ninner()\n")
    with pytest.raises(ml.UserError) as caught:
        ml.rules.get(f"{file}:x")
    assert str(caught.value) == f"{file}:2: ValueError: no"
