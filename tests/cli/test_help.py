"""What each command says of itself, and of the rule that is named beside --help."""

from __future__ import annotations

import importlib
import shlex

import pytest

from minilocal import cli, rules
from minilocal.cli.examples import EXAMPLES
from minilocal.config import TABLES, from_tables, read_file, resolve, tables_of
from minilocal.rules.option_docs import options_of

CHEAP = [line for command in ("train", "locality", "data") for line in EXAMPLES[command] if "resnet" not in line]
OWN = '''
import minilocal as ml


def whisper(*, alpha: float = 0.9):
    """A quiet link.

    Args:
        alpha: the weight of the module's own loss, 0 to 1.
    """
    return ml.rules.compose("Whisper", objective=ml.objectives.classifier(), boundary=ml.boundaries.link(1, alpha))
'''


@pytest.fixture
def help_of(capsys, monkeypatch):
    """What `minilocal WORDS --help` prints, without its line ends."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(words: str) -> str:
        with pytest.raises(SystemExit) as end:
            cli.main(shlex.split(words))
        assert end.value.code == 0
        return " ".join(capsys.readouterr().out.split())

    return call


@pytest.mark.parametrize("name", [*rules.NAMES, "compose"])
def test_the_help_beside_a_rule_tells_each_of_its_options(help_of, name):
    for words in (f"train --rule {name} --help", f"train --help --rule={name}", f"locality --rule {name} -h"):
        text = help_of(words)
        for option in options_of(rules.constructor(name), name):
            assert f"rule.{option.name}=" in text and option.does in text, (words, option)


def test_it_tells_the_answers_that_a_composition_is_made_of(help_of):
    text = help_of("train --rule compose --help")
    for answers in rules.ANSWERS.values():
        assert all(name in text for name in answers)
    assert "length=1,alpha=0.5,weighting=literal,error=own" in text


def test_it_tells_the_options_of_ones_own_rule(help_of, tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    text = help_of(f"train --rule {tmp_path / 'mine.py'}:whisper --help")
    assert "whisper: A quiet link." in text and "rule.alpha=0.9 the weight of the module's own loss" in text


def test_a_rule_without_a_docstring_is_named_without_a_colon(help_of, tmp_path):
    (tmp_path / "mine.py").write_text("def quiet(alpha=0.5):\n    pass\n")
    text = help_of(f"train --rule {tmp_path / 'mine.py'}:quiet --help")
    assert "rule.alpha=0.5" in text and "quiet:" not in text.partition("options:")[2].split()


def test_without_a_rule_the_help_says_how_to_ask(help_of):
    assert "shows the options of that rule too" in help_of("train --help --rule")
    text = help_of("train --help")
    assert "--rule NAME --help shows the options of that rule too" in text
    assert all(name in text for name in rules.NAMES)


def test_a_rule_that_is_not_known_is_one_line(capsys):
    assert cli.main(["train", "--rule", "backlnk", "--help"]) == 2
    assert "did you mean 'backlink'" in capsys.readouterr().err


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_ends_its_help_with_examples_that_it_takes(command):
    parser = importlib.import_module(f"minilocal.cli.{command}").parser()
    for line in EXAMPLES[command]:
        minilocal, name, *words = shlex.split(line)
        assert (minilocal, name) == ("minilocal", command) and line in parser.format_help()
        if "--help" not in words:
            parser.parse(words)


@pytest.mark.parametrize("line", CHEAP)
def test_an_example_works(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)[1:]
    if words[0] == "train" and "--help" not in words:
        words += ["--net", "mlp", "--modules", "2", "--limit-train", "40", "--limit-test", "20", "--epochs", "1"]
    try:
        assert cli.main(words) == 0
    except SystemExit as end:
        assert end.code == 0


@pytest.mark.parametrize(
    "words",
    [
        "--preset fdg --lr 0.05", "--preset infopro-softmax", "--rule bp --modules 3,3,4 --augment",
        "--rule compose --set rule.objective=infopro:lambdas=[6,0,1,2] --set rule.boundary=link", "",
    ],
)  # fmt: skip
def test_what_is_shown_asks_for_the_same_run(words, tmp_path, capsys):
    from minilocal.cli.train import parser, sources_of

    asked = shlex.split(words)
    assert cli.main(["train", *asked, "--show"]) == 0
    (tmp_path / "shown.toml").write_text(capsys.readouterr().out)
    again, _ = resolve([read_file(tmp_path / "shown.toml")])
    assert again == resolve(sources_of(parser().parse(asked)))[0]
    assert not list(tmp_path.glob("runs*"))


def test_a_preset_is_shown_under_its_source(capsys):
    assert cli.main(["train", "--preset", "fdg", "--show"]) == 0
    assert capsys.readouterr().out.startswith("# FDG with gradient shrinking on ResNet-56")


def test_tables_and_odd_letters_are_shown_as_toml_reads_them(tmp_path):
    from minilocal.config import as_toml

    rule = {"name": "compose", "objective": {"name": "classifier", "aux": "1c2f"}, "boundary": "link"}
    config = from_tables({"rule": rule, "run": {"out": 'a "b"\\c\u007f\u0001é'}}, "here")
    (tmp_path / "t.toml").write_text(as_toml(config), encoding="utf-8")
    assert resolve([read_file(tmp_path / "t.toml")])[0] == config
    assert set(TABLES) == set(tables_of(config))


def test_a_runs_own_configuration_starts_another_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(OWN)
    small = [
        "--net",
        "mlp",
        "--modules",
        "2",
        "--limit-train",
        "40",
        "--limit-test",
        "20",
        "--epochs",
        "1",
        "--lr",
        "0.01",
        "--threads",
        "1",
    ]
    assert cli.main(["train", *small, "--rule", "mine.py:whisper", "--out", "a"]) == 0
    (tmp_path / "mine.py").write_text(OWN + "\n")
    assert cli.main(["train", "--config", "a/config.json", "--seed", "1", "--out", "b"]) == 0
    assert "has changed" not in capsys.readouterr().err
    a, b = (read_file(tmp_path / run / "config.json")[1] for run in "ab")
    assert {key for key in a if a[key] != b[key]} == {"run.seed"}
    (tmp_path / "bad.json").write_text('{"rule": ')
    assert cli.main(["train", "--config", "bad.json"]) == 2
    assert "configuration bad.json is not JSON" in capsys.readouterr().err
