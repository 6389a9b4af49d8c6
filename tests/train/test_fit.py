"""`ml.fit`: the loop of a run in one call, with the same weights, and a line for each wrong input."""

from __future__ import annotations

import os
import subprocess
import sys
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import record
from minilocal.train import build, train
from minilocal.train.fit import order_key
from tests.fake import cuda_on_host
from tests.fake.device import fake
from tests.helpers.small_run import configuration

RULES = ["bp", "gll", "backlink", "dgl", "predsim", "infopro", "pgl", "dni", "ddg", "fdg"]
PGL = {"rule__period": 2, "rule__duration": 1}


@pytest.fixture(scope="module")
def digits():
    return ml.data.load("digits", limit_train=40, limit_test=20)


def make_learner(rule=None, seed=0, **options):
    """As `minilocal train --seed` builds it: the network and the Learner from one generator."""
    rng = ml.rng(seed)
    net = ml.nets.get("mlp", classes=10, channels=1, size=16, rng=rng)
    sgd = ml.optim.SGD(momentum=0.9, weight_decay=1e-4)
    return ml.Learner(net, rule or ml.rules.gll(), 2, rng=rng, **{"optimizer": sgd, **options})


def same(one: ml.Learner, two: ml.Learner) -> bool:
    """The same weights, statistics and optimiser state, to the last bit."""
    a, b = ({name: x for name, x in fitted.state().items() if not name.startswith("count:")} for fitted in (one, two))
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def without_seconds(row: dict[str, Any]) -> dict[str, Any]:
    return {name: v for name, v in row.items() if "seconds" not in name and name != "train_loss"}


def like_json(row: dict[str, Any]) -> dict[str, Any]:
    """NaN as a run's file has it."""
    return {**row, "losses": [None if isnan(loss) else loss for loss in row["losses"]]}


@pytest.mark.parametrize("rule", RULES)
def test_a_fit_and_a_run_are_the_same_to_the_last_bit(tmp_path, rule):
    keys = {
        "rule__name": rule,
        "net__name": "resnet8",
        "optim__schedule": "cosine",
        "optim__epochs": 3,
        "data__validation": 10,
        "run__seed": 5,
    }
    config = configuration(tmp_path / "run", **keys, **(PGL if rule == "pgl" else {}))
    result = train(config)
    dataset, fitted = build(config)
    rows = ml.fit(fitted, dataset, epochs=3, batch_size=16, lr=config.optim.lr, schedule="cosine", seed=5)
    assert same(result.learner, fitted)
    assert [like_json(without_seconds(row)) for row in rows] == [without_seconds(row) for row in result.rows]
    assert rows[0]["validation_error"] >= 0 and rows[0]["train_loss"] == pytest.approx(
        rows[0]["losses"][-1], nan_ok=True
    )


def test_augmented_batches_are_those_of_a_run(tmp_path):
    config = configuration(tmp_path / "run", data__augment=True, net__name="resnet8")
    result = train(config)
    dataset, fitted = build(config)
    ml.fit(fitted, dataset, 2, 16, config.optim.lr, "constant", augment=True)
    assert same(result.learner, fitted)
    dataset, plain = build(config)
    ml.fit(plain, dataset, 2, 16, config.optim.lr, "constant")
    assert not same(plain, fitted)


def test_a_seed_names_the_order(digits):
    one, again, other = (make_learner() for _ in range(3))
    for fitted, seed in ((one, 0), (again, 0), (other, 1)):
        ml.fit(fitted, digits, epochs=1, batch_size=16, seed=seed)
    assert same(one, again) and not same(one, other)
    assert order_key(3) == make_learner(seed=3).key


def test_a_fit_is_the_plain_loop(digits):
    fitted, by_hand = make_learner(), make_learner()
    ml.fit(fitted, digits, epochs=2, batch_size=16, lr=0.05, schedule="constant")
    for epoch in range(2):
        by_hand.epoch = epoch
        for x, y in digits.batches(epoch, 16, by_hand.key):
            by_hand.step(x, y, lr=0.05)
    assert same(fitted, by_hand)


@pytest.mark.parametrize("rule", [ml.rules.pgl(period=2, duration=1), ml.rules.fdg(), ml.rules.dgl(buffer=2)])
def test_another_fit_trains_further(digits, rule):
    """At a constant rate three epochs and two are five: phases, batches in flight and the order go on."""
    whole, parts = make_learner(rule), make_learner(rule)
    options: dict[str, Any] = {"batch_size": 8, "lr": 0.01, "schedule": "constant"}
    five = ml.fit(whole, digits, epochs=5, **options)
    three, two = (ml.fit(parts, digits, epochs=epochs, **options) for epochs in (3, 2))
    assert same(whole, parts) and whole.epoch == parts.epoch == 5
    np.testing.assert_equal([without_seconds(row) for row in three + two], [without_seconds(row) for row in five])


def test_a_callback_is_given_each_row_and_may_stop(digits, capsys):
    seen = []

    def stop_after_two(row):
        seen.append(row)
        return row["epoch"] == 2

    rows = ml.fit(make_learner(), digits, epochs=4, batch_size=16, on_epoch=stop_after_two)
    assert seen == rows and [row["epoch"] for row in rows] == [1, 2]
    assert (
        len(ml.fit(make_learner(), digits, epochs=2, batch_size=16, on_epoch=lambda row: row)) == 2
    )  # True alone stops
    ml.fit(make_learner(), digits, epochs=1, batch_size=16, on_epoch=print)
    line = capsys.readouterr().out
    assert line.startswith("epoch   1  lr 0.1  losses ") and line.endswith(" s\n") and line.count("\n") == 1
    stopped = make_learner()
    with pytest.raises(KeyError):
        ml.fit(stopped, digits, epochs=4, batch_size=16, on_epoch=lambda row: row["stop"])
    assert stopped.epoch == 1


def test_on_a_device_the_batches_are_made_there(digits, monkeypatch):
    monkeypatch.setattr(cuda_on_host, "checked", False)  # tests/kernels looks at every load and store
    host, device = make_learner(), make_learner(device=fake)
    rows = [ml.fit(fitted, digits, epochs=2, batch_size=16, lr=0.05) for fitted in (host, device)]
    assert all(isinstance(a, fake.ndarray) for a in device.parameters().values())
    for a, b in zip(*rows, strict=True):
        np.testing.assert_allclose(a["losses"], b["losses"], rtol=1e-4)
        assert type(b["losses"][0]) is float


def test_a_fit_that_diverges_is_one_line(digits):
    with pytest.raises(
        ml.UserError, match=r"training diverged: the loss of module . of 2 became .* in epoch 1, step "
    ) as e:
        ml.fit(make_learner(), digits, epochs=2, batch_size=16, lr=1e8)
    assert "\n" not in str(e.value) and "lower lr" in str(e.value)


def test_a_fit_whose_losses_stay_finite_but_not_its_state_is_one_line():
    """A variance overflows: batch norm then divides by infinity, and what it makes is finite."""
    x, y = np.random.default_rng(3).integers(0, 256, (32, 8, 8, 3), dtype=np.uint8), np.arange(32) % 4
    net = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
    learner = ml.Learner(net, ml.rules.ddg(), 2, rng=ml.rng(0))
    line = (
        r"^training diverged: array:\S+ is no longer finite in epoch \d, step 4 of 4 \(lr 1e\+06\)\. Build the Learner"
    )
    with pytest.raises(ml.UserError, match=line) as e:
        ml.fit(learner, ml.data.from_arrays(x, y, x[:8], y[:8]), epochs=2, batch_size=8, lr=1e6, schedule="constant")
    assert "\n" not in str(e.value)


WRONG = [
    ({"learner": ml.Learner}, "was given a type for the Learner: call it, Learner()"),
    ({"learner": None}, "was given a NoneType for the Learner: give minilocal.Learner"),
    ({"dataset": "digits"}, "was given a str for the data set: give minilocal.data.load"),
    ({"dataset": (np.ones((4, 16, 16, 1)), np.zeros(4))}, "was given a tuple for the data set"),
    ({"epochs": 0}, "epochs = 0: give a whole number"),
    ({"epochs": 1.5}, "epochs = 1.5: give a whole number"),
    ({"batch_size": 0}, "batch_size = 0: give a whole number"),
    ({"batch_size": True}, "batch_size = True: give a whole number"),
    ({"lr": "0.1"}, "lr = '0.1': give a learning rate"),
    ({"lr": 0}, "learning rate 0.0 is outside (0, inf): give a number above 0"),
    ({"schedule": "cosin"}, "schedule 'cosin' is not known; did you mean 'cosine'"),
    ({"schedule": 0.1}, "schedule = 0.1: give its name"),
    ({"seed": -1}, "seed = -1: give a whole number, 0 or more"),
    ({"on_epoch": "print"}, "on_epoch = 'print': give a function"),
    ({"augment": "yes"}, "augment = 'yes': give true or false"),
    ({"augment": 1}, "augment = 1: give true or false"),
]


@pytest.mark.parametrize(("wrong", "says"), WRONG, ids=range(len(WRONG)))
def test_each_wrong_input_is_one_line_and_nothing_has_changed(digits, wrong, says):
    one = make_learner()
    with pytest.raises(ml.UserError) as caught:
        ml.fit(**{"learner": one, "dataset": digits, **wrong})
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert same(one, make_learner()) and one.epoch == 0


@pytest.mark.parametrize("other", [{"classes": 4}, {"size": 8}, {"channels": 3}], ids=str)
def test_a_network_for_other_images_is_refused(digits, other):
    net = ml.nets.get("mlp", **{"classes": 10, "channels": 1, "size": 16, **other}, rng=ml.rng(0))
    with pytest.raises(ml.UserError, match=r"and digits has 16×16×1 in 10: build .* classes=10, channels=1, size=16\."):
        ml.fit(ml.Learner(net, ml.rules.gll(), 2, rng=ml.rng(0)), digits)


def test_a_run_too_short_for_its_rule_is_refused(digits):
    with pytest.raises(ml.UserError, match="FDG on 2 modules needs 3 batches"):
        ml.fit(make_learner(ml.rules.fdg()), digits, epochs=1, batch_size=40)


def test_it_needs_numpy_and_nothing_else():
    """As on a bare GPU machine."""
    code = """
import sys
for name in ("msgspec", "matplotlib", "tqdm", "threadpoolctl"):
    sys.modules[name] = None
import minilocal as ml
assert "minilocal.train" not in sys.modules
rng, digits = ml.rng(0), ml.data.load("digits", limit_train=40, limit_test=20)
net = ml.nets.mlp([8], classes=10, channels=1, size=16, rng=rng)
print(ml.fit(ml.Learner(net, ml.rules.gll(), 2, rng=rng), digits, epochs=1))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(ml.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.startswith("[epoch   1  lr 0.1 "), done.stderr


def test_rows_read_as_those_of_a_run(tmp_path):
    """A row in a file has null where a module has no loss."""
    path = train(configuration(tmp_path / "run", rule__name="bp")).path
    row = record.rows(path)[0]
    assert ml.train.row_text(row).startswith("epoch   1  lr 0.05  losses - 2.")
