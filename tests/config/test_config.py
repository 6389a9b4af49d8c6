"""Every key has a type and a range, and every mistake is named where it was made."""

from __future__ import annotations

import datetime
import math
import tomllib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilocal import rules
from minilocal.config import (
    FLAGS,
    TABLES,
    Config,
    check_agrees,
    flatten,
    from_tables,
    parse_setting,
    read_file,
    resolve,
    tables_of,
    value_of,
)
from minilocal.errors import UserError


def refused(*layers):
    """The one line that these layers are refused with."""
    with pytest.raises(UserError) as caught:
        resolve(layers)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_word_it_is_backlink_on_the_digits():
    config, remarks = resolve([])
    assert remarks == []
    assert tables_of(config) == {
        "rule": {"name": "backlink", **rules.options("backlink")},
        "net": {
            "name": "resnet20", "shortcut": None, "init": None, "fc_norm": None, "modules": 4, "balance": None,
            "weights": None,
        },
        "data": {
            "name": "digits", "dir": None, "download": True, "limit_train": None, "limit_test": None, "validation": 0,
            "augment": False,
        },
        "optim": {
            "name": "sgd", "lr": 0.1, "schedule": "cosine", "momentum": 0.9, "nesterov": False, "weight_decay": 1e-4,
            "batch_size": 128, "epochs": 10,
        },
        "run": {
            "seed": 0, "device": "cpu", "dtype": "float32", "tf32": False, "cuda_graph": True, "threads": 0,
                "kernels": "numpy",
            "processes": 1, "convergence": 0, "probes": False, "out": None,
        },
    }  # fmt: skip
    assert config.rule.options["length"] == 1 and config.rule.options["alpha"] == 0.5


def test_the_tables_survive_json():
    config, _ = resolve([("a", {"net.modules": [3, 3, 2, 2], "rule.alpha": 0.25, "optim.lr": 1})])
    again = from_tables(msgspec.json.decode(msgspec.json.encode(tables_of(config))), "config.json")
    assert again == config
    assert isinstance(again.optim.lr, float)


def test_later_layers_win():
    config, _ = resolve([("file", {"optim.lr": 0.2, "optim.epochs": 3}), ("--lr", {"optim.lr": 0.3})])
    assert (config.optim.lr, config.optim.epochs) == (0.3, 3)


def test_toml(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('[rule]\nname = "backlink"\nlength = 2\n[net]\nmodules = [5, 5]\n[optim]\nlr = 1\n')
    config, _ = resolve([read_file(file)])
    assert (config.rule.options["length"], config.net.modules, config.optim.lr) == (2, [5, 5], 1.0)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[optim]\nepocs = 3", "key 'optim.epocs' is not known; did you mean 'epochs'?"),
        ("[optm]\nlr = 1", "table 'optm' is not known; did you mean 'optim'?"),
        ("lr = 1", "table 'lr' is not known; it belongs in a table, as optim.lr"),
        ("optim = 3", "'optim' is a table"),
        ('[optim]\nepochs = "ten"', "optim.epochs = 'ten' ({}): expected int"),
        ("[optim]\nepochs = 2.5", "optim.epochs = 2.5 ({}): expected int"),
        ("[optim]\nlr = nan", "optim.lr = nan ({}): expected float > 0"),
        ("[optim]\nlr = true", "optim.lr = True ({}): expected float"),
        ("[net]\nmodules = [2, 0]", "net.modules = [2, 0] ({}): expected K, unit counts as 3,3,2, or"),
        ("[net]\nmodules = []", "net.modules = [] ({}): expected"),
        ("[net]\nmodules = 2.5", "net.modules = 2.5 ({}): expected K, unit counts as 3,3,2, or a published split"),
        ('[net]\nbalance = "tiem"', "net.balance ({}) 'tiem' is not known; did you mean 'time'? Known: time, mem"),
        ("[net]\nbalance = true", "net.balance = True ({}): expected time, memory or flops."),
        (
            '[net]\nmodules = [5, 5]\nbalance = "time"',
            "net.balance = 'time' ({0}) met net.modules = [5, 5] ({0}), which is cut already: give modules as a number",
        ),
        ('[net]\nname = "resnet32"\nmodules = "infopro:4"\nbalance = "flops"', "met net.modules = 'infopro:4' ({})"),
        ('[run]\ndtype = "float16"', "run.dtype = 'float16' ({}): expected one of float32, float64."),
        ('[rule]\nlenght = 1', "rule.lenght ({}): backlink has no such option; did you mean 'length'?"),
        ("[rule]\noptions = 1", "rule.options ({}): backlink has no such option"),
        ('[rule]\nname = "gll"\nalpha = 0.5', "rule.alpha ({}): gll has no such option"),
        ("[rule]\nname = 3", "rule.name = 3 ({}): expected str"),
        ('[data]\naugment = "flip"', "data.augment = 'flip' ({}): expected one of true, false, reflect."),
        ('[net]\nmodules = "a"', "net.modules = 'a' ({}): modules 'a' is no way to cut. Give K"),
        ('[rule]\nalpha = 1.5', "rule.alpha = 1.5 ({}): BackLink alpha 1.5 is outside [0, 1]"),
        ('[rule]\nname = "pgl"\naround = "ddg"', "rule.around = 'ddg' ({}): PGL around DDG: it takes a rule without"),
        ('[optim]\nschedule = "cosin"', "optim.schedule = 'cosin' ({}): schedule 'cosin' is not known; did you mean"),
        ("[rule", "is not TOML"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_is_named_with_the_file(tmp_path, text, line):
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        resolve([read_file(file)])
    assert line.format(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "run.toml" in str(caught.value)


def test_a_published_split_is_a_way_to_cut(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('[net]\nname = "resnet110"\nmodules = "infopro:16"\n')
    config, _ = resolve([read_file(file)])
    assert config.net.modules == "infopro:16"
    assert from_tables(msgspec.json.decode(msgspec.json.encode(tables_of(config))), "config.json") == config


def test_a_balance_is_a_measure_and_a_number_of_modules():
    config, _ = resolve([("--balance", {"net.balance": value_of("net.balance", "time")}), ("a", {"net.modules": 3})])
    assert (config.net.modules, config.net.balance) == (3, "time")
    assert from_tables(tables_of(config), "config.json") == config


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_file(tmp_path / "no.toml")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rule.name", "backlnk", "did you mean 'backlink'"),
        ("rule.alpha", 1.5, "outside [0, 1]"),
        ("rule.aux", "9c9f", "Known: 0c1f"),
        ("net.name", "resnt20", "did you mean 'resnet20'"),
        ("net.name", "mine.py:small", "Train one of your own in Python: minilocal.fit("),
        ("net.modules", "a", "'a' is no way to cut. Give K, unit counts"),
        ("net.modules", "infopro:16", "no split of ResNet-20 into 16. Known: ResNet-32"),
        ("data.name", "cifar", "did you mean 'cifar10'"),
        ("data.name", "/x/mine.npz", "did you mean 'npz:/x/mine.npz'"),
        ("rule.name", "BP", "did you mean 'bp'"),
        ("optim.name", "sdg", "one of sgd, adam"),
        ("optim.schedule", "cosin", "did you mean 'cosine'"),
        ("optim.momentum", 1.0, "< 1"),
        ("optim.weight_decay", -1, ">= 0"),
        ("optim.batch_size", 0, ">= 1"),
        ("optim.lr", 0, "> 0"),
        ("optim.lr", math.inf, "float"),
        ("run.seed", -1, ">= 0"),
        ("run.processes", 5, "so give at most 4"),
        ("data.validation", -1, ">= 0"),
    ],
)
def test_what_is_unknown_or_out_of_range_is_refused(key, value, message):
    line = refused(("--flag", {key: value}))
    assert message in line


WRONG = [
    "flip", "", "npz:", "~", "\0", 3, -1, 2.5, math.nan, math.inf, 10**30, True, [], [1], ["a"], [[1]], {"a": 1},
    datetime.date(2020, 1, 1), datetime.time(1), None,
]  # fmt: skip
WORDS = ["flip", "", "3", "-1", "2.5", "nan", "true", "[]", "[1]", "1,2", "{a = 1}", "2020-01-01", "'x", "=", "[1"]
KEYS = [
    *((None, f"{table}.{name}") for table, struct in TABLES.items() for name in struct.__struct_fields__),
    *((rule, f"rule.{option}") for rule in rules.NAMES for option in rules.options(rule)),
]


@pytest.mark.parametrize(("rule", "key"), [(rule, key) for rule, key in KEYS if key != "rule.options"])
def test_every_key_takes_a_value_or_refuses_it_in_one_line_with_the_key_and_the_source(rule, key):
    for value in WRONG:
        try:
            resolve([("base", {"rule.name": rule} if rule else {}), ("FILE", {key: value})])
        except UserError as error:
            assert key in str(error) and "(FILE)" in str(error) and "\n" not in str(error), (value, str(error))


@pytest.mark.parametrize(("rule", "key"), [(rule, key) for rule, key in KEYS if key != "rule.options"])
def test_so_does_every_word_of_the_command_line(rule, key):
    for word in (
        "flip",
        "",
        "3",
        "-1",
        "2.5",
        "nan",
        "true",
        "[]",
        "[1]",
        "1,2",
        "{a = 1}",
        "2020-01-01",
        "'x",
        "=",
        "[1",
    ):
        try:
            resolve([("base", {"rule.name": rule} if rule else {}), parse_setting(f"{key}={word}")])
        except UserError as error:
            assert key in str(error) and "(--set)" in str(error) and "\n" not in str(error), (word, str(error))


TABLE_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


PLACES = [*KEYS, *(("compose", f"rule.{option}") for option in rules.options("compose"))]


@given(place=st.sampled_from(PLACES), value=TABLE_LIKE)
@settings(deadline=None, max_examples=100, derandomize=True)
def test_no_value_at_all_ends_in_a_traceback(place, value):
    rule, key = place
    try:
        resolve([("base", {"rule.name": rule or "bp"}), ("FILE", {key: value})])
    except UserError as error:
        assert "\n" not in str(error)


@given(text=st.text() | st.from_regex(r"(link|delayed|closed)(:[a-z]+=[-0-9a-z.\[\],]*)?(,.*)?", fullmatch=True))
@settings(deadline=None, max_examples=100, derandomize=True)
def test_no_answer_in_words_ends_in_a_traceback(text):
    for key in ("objective", "boundary", "when"):
        try:
            resolve([parse_setting("rule.name=compose"), parse_setting(f"rule.{key}={text}")])
        except UserError as error:
            assert f"rule.{key}" in str(error)


@pytest.mark.parametrize(
    "text",
    ["\xff".encode("latin-1"), b"{", b"[" * 5000, b"[optim]\nlr = " + b"9" * 5000, b"[optim]\nlr = " + b"[" * 5000,
     b'{"optim": {"lr": ' + b"[" * 100_000, b'{"optim": {"lr": ' + b"9" * 5000 + b"}}", b"\0", b"[rule]\n[rule]"],
)  # fmt: skip
def test_a_file_of_anything_is_one_line(tmp_path, text):
    (tmp_path / "t").write_bytes(text)
    with pytest.raises(UserError, match=r"configuration .* is not (TOML|JSON): ") as caught:
        resolve([read_file(tmp_path / "t")])
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_read_over(tmp_path):
    (tmp_path / "t.toml").write_bytes(b"\xef\xbb\xbf[optim]\nlr = 0.05\n")
    assert read_file(tmp_path / "t.toml")[1] == {"optim.lr": 0.05}


def test_paths_are_kept_from_the_root_so_that_a_run_works_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    asked = {"data.name": "npz:mine.npz", "data.dir": "images", "run.out": "runs/a"}
    config, _ = resolve([("a", asked)])
    assert (config.data.name, config.data.dir) == (f"npz:{tmp_path}/mine.npz", f"{tmp_path}/images")
    assert config.run.out == "runs/a"
    config, _ = resolve([("a", {"data.name": "npz:~/mine.npz", "data.dir": "~", "run.out": "~/x"})])
    assert (config.data.name, config.data.dir, config.run.out) == ("npz:/home/ada/mine.npz", "/home/ada", "/home/ada/x")
    assert resolve([("a", {"data.name": "digits"})])[0].data.name == "digits"
    check_agrees(resolve([("a", asked)])[0], [("--dataset", {"data.name": "npz:mine.npz"})], "R")


def test_another_folder_of_data_holds_the_file_that_a_run_was_trained_on():
    tables = tables_of(resolve([("a", {"data.name": "npz:/gone/mine.npz"})])[0])
    assert from_tables(tables, "config.json", {"data.dir": "/here"}).data.name == "npz:/here/mine.npz"
    assert from_tables(tables, "config.json").data.name == "npz:/gone/mine.npz"


def test_adam_has_no_momentum():
    assert resolve([("a", {"optim.name": "adam"})])[0].optim.momentum is None
    assert "optim.momentum (--momentum) is SGD's" in refused(
        ("a", {"optim.name": "adam"}), ("--momentum", {"optim.momentum": 0.9})
    )
    assert "optim.nesterov (b) is SGD's" in refused(("b", {"optim.name": "adam", "optim.nesterov": True}))


BEST = "DNI recommends Adam at 0.001"
ADVICE = [  # what was asked: the optimiser, its rate, and the remark
    ({}, "adam", 1e-3, f"{BEST}: used, since neither optim.name nor optim.lr (--lr) was given."),
    ({"lr": 0.01}, "adam", 0.01, f"{BEST}: it is used, at the 0.01 of here, since optim.name was not given."),
    ({"name": "adam"}, "adam", 1e-3, f"{BEST}: that rate is used, since optim.lr (--lr) was not given."),
    ({"name": "adam", "lr": 3e-5}, "adam", 3e-5, None),
    ({"name": "sgd"}, "sgd", 0.1, f"{BEST}; optim.name (here) asks for SGD, under which it may diverge."),
    ({"name": "sgd", "lr": 0.1}, "sgd", 0.1, f"{BEST}; optim.name (here) asks for SGD, under which it may diverge."),
    ({"momentum": 0.5}, "sgd", 0.1, f"{BEST}; optim.momentum (here) asks for SGD, under which it may diverge."),
    ({"momentum": 0.0}, "sgd", 0.1, f"{BEST}; optim.momentum (here) asks for SGD, under which it may diverge."),
    ({"nesterov": True}, "sgd", 0.1, f"{BEST}; optim.nesterov (here) asks for SGD, under which it may diverge."),
    ({"nesterov": False, "epochs": 3}, "adam", 1e-3, f"{BEST}: used, since neither"),
]


@pytest.mark.parametrize(("asked", "name", "lr", "remark"), ADVICE)
def test_a_rules_optimiser_and_rate_are_used_where_none_was_asked_for(asked, name, lr, remark):
    keys = {f"optim.{key}": value for key, value in asked.items()}
    config, remarks = resolve([("--rule", {"rule.name": "dni"}), ("here", keys)])
    assert (config.optim.name, config.optim.lr) == (name, lr)
    assert config.optim.momentum == (asked.get("momentum", 0.9) if name == "sgd" else None)
    assert len(remarks) == (remark is not None) and (remark is None or remarks[0].startswith(remark))
    again, repeated = resolve([("config.json", flatten(tables_of(config), ""))])
    assert again == config and bool(repeated) == (name == "sgd")


@pytest.mark.parametrize("rule", ["ddg", "fdg"])
def test_delayed_rules_recommend_a_lower_rate_of_sgd(rule):
    for asked, lr in [({}, 0.03), ({"optim.lr": 0.1}, 0.1), ({"optim.momentum": 0.5}, 0.03)]:
        config, remarks = resolve([("--rule", {"rule.name": rule}), ("here", asked)])
        assert (config.optim.name, config.optim.lr) == ("sgd", lr)
        assert config.optim.momentum == asked.get("optim.momentum", 0.9)
        assert len(remarks) == (lr == 0.03) and all(f"{rule.upper()} recommends SGD at 0.03" in r for r in remarks)
    assert resolve([("--rule", {"rule.name": rule}), ("here", {"optim.name": "adam"})])[0].optim.name == "adam"


def test_other_rules_recommend_nothing_and_other_layers_win():
    for name in rules.NAMES:
        assert (rules.get(name).recommends is not None) == (name in ("dni", "ddg", "fdg"))
    preset = ("preset", {"rule.name": "backlink", "optim.name": "sgd", "optim.lr": 0.5})
    config, _ = resolve([preset, ("--rule", {"rule.name": "dni"})])
    assert (config.optim.name, config.optim.lr) == ("sgd", 0.5)


def test_adam_leaves_the_momentum_of_a_preset_behind_and_refuses_that_of_a_flag():
    preset, adam = ("preset", {"optim.momentum": 0.9, "optim.nesterov": False}), ("--set", {"optim.name": "adam"})
    config, remarks = resolve([preset, adam])
    assert config.optim.name == "adam" and config.optim.momentum is None
    assert remarks == ["optim.momentum = 0.9 is dropped: adam (--set) has none."]
    assert "optim.momentum (--momentum) is SGD's" in refused(preset, ("--momentum", {"optim.momentum": 0.5}), adam)
    assert "optim.momentum (preset) is SGD's" in refused(("preset", {**adam[1], **preset[1]}))


def test_another_rule_leaves_the_old_rules_options_behind_and_says_so():
    preset = ("preset", {"rule.name": "backlink", "rule.alpha": 0.3, "rule.aux": "1c2f"})
    config, remarks = resolve([preset, ("--rule", {"rule.name": "gll"})])
    assert config.rule.name == "gll" and config.rule.options["aux"] == "1c2f"
    assert remarks == ["rule.alpha = 0.3 is dropped: gll (--rule) has no such option."]
    config, remarks = resolve([preset, ("--rule", {"rule.name": "backlink"})])
    assert config.rule.options["alpha"] == 0.3 and remarks == []
    assert "rule.alpha (--alpha)" in refused(preset, ("--rule", {"rule.name": "gll"}), ("--alpha", {"rule.alpha": 0.3}))


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("optim.lr", "1e-4", 1e-4), ("optim.lr", ".5", 0.5), ("optim.epochs", "3", 3), ("optim.epochs", "ten", "ten"),
        ("net.modules", "4", 4), ("net.modules", "3,3,4", [3, 3, 4]), ("net.modules", "[3, 3]", [3, 3]),
        ("net.modules", "infopro:4", "infopro:4"),
        ("rule.aux", "0c1f", "0c1f"), ("rule.aux", '"1c2f"', "1c2f"), ("rule.length", "2", 2),
        ("optim.nesterov", "true", True), ("run.out", "5", "5"), ("data.dir", "[x]", "[x]"), ("run.seed", "-1", -1),
    ],
)  # fmt: skip
def test_words_become_values(key, text, value):
    parsed = value_of(key, text)
    assert parsed == value and type(parsed) is type(value)
    assert parse_setting(f"{key} = {text}") == ("--set", {key: value})


@pytest.mark.parametrize("text", ["optim.lr", "lr=1", "=1", ""])
def test_a_setting_is_a_key_and_a_value(text):
    with pytest.raises(UserError, match=r"table\.key=value"):
        parse_setting(text)


def test_every_flag_names_a_key_that_exists():
    for flag, key in FLAGS.items():
        table, _, name = key.partition(".")
        assert name in (
            rules.options("backlink") if table == "rule" and name != "name" else tables_of(Config())[table]
        ), flag


def test_what_is_asked_again_must_agree():
    config, _ = resolve([("a", {"optim.lr": 1, "run.out": "runs/a"})])
    check_agrees(
        config,
        [("--lr", {"optim.lr": 1.0}), ("--out", {"run.out": "elsewhere"}), ("--rule", {"rule.name": "backlink"})],
        "R",
    )
    for key, value in {"optim.lr": 2.0, "optim.epochs": 11, "rule.name": "gll", "rule.alpha": 0.1}.items():
        with pytest.raises(UserError, match=f"{key} = .* does not agree with R"):
            check_agrees(config, [("--flag", {key: value})], "R")


def test_the_presets_are_the_papers_recipe():
    from minilocal.cli.train import preset_source, presets

    assert {"backlink-conv", "backlink-linear"} <= set(presets())
    for name, aux in {"backlink-linear": "0c1f", "backlink-conv": "1c2f"}.items():
        config, _ = resolve([preset_source(name)])
        assert (config.data.name, config.net.name, config.rule.options["aux"]) == ("cifar10", "resnet32", aux)
        o = config.optim
        assert (o.batch_size, o.epochs, o.weight_decay, o.lr, o.momentum) == (512, 200, 1e-4, 0.5, 0.9)


def test_flattening_is_undone_by_resolving():
    text = "[data]\nname = 'digits'\n[run]\nseed = 3\n"
    assert flatten(tomllib.loads(text), "x") == {"data.name": "digits", "run.seed": 3}
