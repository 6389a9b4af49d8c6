"""`learner.save(path)` and `ml.load(path)`: one file, and training goes on bit for bit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import Dropout, Flatten, Initializer, Layer, Linear, Sequential
from minilocal.objectives import ClassifierLoss, ObjectiveSpec
from minilocal.saved import KINDS, from_json, to_json
from tests.helpers.host import host

RULES = {name: ml.rules.get(name) for name in ml.rules.NAMES} | {
    "backlink, all options": ml.rules.backlink(length=2, alpha=0.25, aux="1c2f", weighting="unfolded", keep="inputs"),
    "pgl around backlink": ml.rules.pgl(period=3, duration=1, around="backlink"),
    "infopro, own lambdas": ml.rules.infopro(lambdas=(1, 2, 3, 4), version="contrast", mean=0.5, std=[0.1, 0.2, 0.3]),
    "asynchronous dgl": ml.rules.dgl(buffer=2, slowed=1, noise=0.5),
    "fdg, current": ml.rules.fdg(backward_weights="current", beta=0.5),
    "composed": ml.rules.compose(objective=ml.objectives.infopro(), boundary=ml.boundaries.link()),
}
X, Y = ml.rng(1).standard_normal((9, 4, 8, 8, 3)).astype("f4"), np.array([0, 1, 1, 3])
WIDTH: Any = np.int64(11)  # NumPy's whole numbers are taken too
NETS = {
    "mlp": lambda rng: ml.nets.mlp((12, WIDTH), classes=4, size=8, rng=rng),
    "resnet8": lambda rng: ml.nets.resnet(8, classes=4, size=8, shortcut="A-end", init="ddg", rng=rng),
    "resnet18": lambda rng: ml.nets.get("resnet18", classes=4, size=8, rng=rng),
    "wrn10-1": lambda rng: ml.nets.get("wrn10-1", classes=4, size=8, rng=rng),
    "alexnet": lambda rng: ml.nets.alexnet(classes=4, hidden=16, rng=rng),
    "vgg16": lambda rng: ml.nets.vgg16(classes=4, hidden=16, rng=rng),
}


def make_learner(rule=None, net=None, **more):
    more = {"optimizer": ml.optim.SGD(momentum=0.9, weight_decay=1e-4), **more}
    return ml.Learner(net or NETS["resnet8"](ml.rng(0)), rule or ml.rules.gll(), 3, rng=ml.rng(1), **more)


def alike(one, two):
    a, b = one.state(), two.state()
    return a.keys() == b.keys() and all(np.array_equal(a[n], b[n]) for n in a)


@pytest.mark.filterwarnings("ignore:BackLink length")
@pytest.mark.parametrize("name", RULES)
def test_a_loaded_learner_goes_on_bit_for_bit(name, tmp_path):
    one = make_learner(RULES[name])
    for x in X[:5]:
        one.step(x, Y, lr=1e-3)
    one.save(tmp_path / "l.npz")
    two = ml.load(tmp_path / "l.npz")
    assert (two.rule, two.optimizer, two.dtype) == (one.rule, one.optimizer, one.dtype) and alike(one, two)
    for learner in (one, two):
        learner.epoch = 1
        for x in X[5:]:
            learner.step(x, Y, lr=1e-3)
    assert alike(one, two) and np.array_equal(host(one.predict(X[0])), host(two.predict(X[0])))


@pytest.mark.parametrize("name", NETS)
def test_every_network_is_built_again_as_it_was(name, tmp_path):
    one = make_learner(net=NETS[name](ml.rng(7)), dtype="float64", optimizer=ml.optim.Adam(beta1=0.8))
    one.save(tmp_path / "l.npz")
    two = ml.load(tmp_path / "l.npz")
    assert alike(one, two) and two.net.shapes == one.net.shapes and two.optimizer == one.optimizer
    assert all(np.array_equal(host(a), host(two.net.parameters()[n])) for n, a in one.net.parameters().items())


class Own(ObjectiveSpec):
    def build(self, place):
        features = int(np.prod(place.shape))
        linear = Linear(features, place.classes, Initializer(2), name=f"aux.{place.module}.1")
        return ClassifierLoss(Sequential([Flatten(), linear]))


class Momentumless:
    def update(self, moves, lr):
        for w, g, _ in moves:
            w -= lr * g


def own_net():
    a, b, c = (Linear(I, O, Initializer(0), name=name) for name, I, O in (("a", 192, 9), ("b", 9, 9), ("c", 9, 4)))
    units: list[Layer] = [Sequential([Flatten(), a]), Sequential([b]), Sequential([c])]
    return ml.nets.Net("own", units, Sequential([]), 4, (8, 8, 3), Initializer(0))


def test_what_is_your_own_is_given_again(tmp_path):
    rule = ml.rules.compose("mine", objective=Own(), boundary=ml.boundaries.closed())
    one = make_learner(rule, own_net(), optimizer=Momentumless())
    one.step(X[0], Y, lr=0.1)
    path = tmp_path / "l.npz"
    one.save(path)
    own: dict[str, Any] = {}
    for what, thing, name in (
        ("net", own_net(), "own"), ("rule", rule, "mine"), ("optimizer", Momentumless(), "Momentumless"),
    ):  # fmt: skip
        with pytest.raises(ml.UserError, match=rf"its {what} '{name}' is not .*load\(path, {what}=\.\.\.\)"):
            ml.load(path, **own)
        own[what] = thing
    assert alike(one, ml.load(path, **own))
    with pytest.raises(ml.UserError, match="of another network"):
        ml.load(path, **{**own, "net": NETS["mlp"](ml.rng(0))})


class Negative(Layer):
    """y = -x."""

    def forward(self, x, run, p=None):
        return -x, None

    def backward(self, dy, cache, p=None, need="both"):
        return None if need == "weights" else -dy, {}


@pytest.mark.parametrize("change", ["layer", "option"])
def test_a_network_that_was_changed_is_your_own(change, tmp_path):
    """Its arrays fit the network that it once was, which computes something else."""

    def changed():
        net = NETS["vgg16"](ml.rng(0))
        if change == "layer":
            last = net.units[-1]
            assert isinstance(last, Sequential)
            last.layers.append(Negative())
        else:
            next(layer for layer in net.units[-2].children() if isinstance(layer, Dropout)).rate = 0.25
        return net

    one = make_learner(net=changed())
    one.save(tmp_path / "l.npz")
    with pytest.raises(ml.UserError, match=r"its net 'vgg16' is not .*load\(path, net=\.\.\.\)"):
        ml.load(tmp_path / "l.npz")
    assert alike(one, ml.load(tmp_path / "l.npz", net=changed()))


def spoil(path, damage):
    if damage == "text":
        path.write_text("weights")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "bit":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "foreign":
        np.savez(path, weights=np.ones(3))
    elif damage == "pickled":
        contents: dict[str, Any] = {"learner.json": np.array([{}], object)}
        np.savez(path, **contents)
    elif damage == "missing":
        path.unlink()
    elif damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        with np.load(path) as file:
            entries = {name: file[name] for name in file.files}
        metadata = json.loads(str(entries["learner.json"]))
        damage(metadata, entries)
        entries["learner.json"] = np.array(json.dumps(metadata)) if isinstance(metadata, dict) else metadata
        np.savez(path, **entries)


SPOILT = [
    ("text", "damaged, or no file"), ("empty", "damaged, or no file"), ("cut", "damaged, or no file"),
    ("bit", "damaged"), ("foreign", "no 'learner.json'"), ("pickled", "damaged"), ("missing", "does not exist"),
    ("folder", r"minilocal\.train\.load"), (lambda t, e: t.update(format=2), "format 2, and this minilocal reads 1"),
    (lambda t, e: t.pop("modules"), "damaged, or a newer"), (lambda t, e: t["rule"].update(news=1), "a newer"),
    (lambda t, e: t["net"].update(net="transformer"), "no network is built"),
    (lambda t, e: t["rule"]["boundary"].update({"is": "os.system"}), "damaged, or a newer"),
    (lambda t, e: e.pop("array:fc.weight"), "lacks 'fc.weight'"),
    (lambda t, e: e.update({"optim:fc.weight:v": np.ones(3, "f4")}), "its parameter"),
]  # fmt: skip


@pytest.mark.parametrize("damage, says", SPOILT, ids=range(len(SPOILT)))
def test_a_damaged_or_foreign_file_is_one_line(damage, says, tmp_path):
    path = tmp_path / "l.npz"
    one = make_learner()
    one.step(X[0], Y, lr=0.1)
    one.save(path)
    spoil(path, damage)
    with pytest.raises(ml.UserError, match=says) as caught:
        ml.load(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "l.npz"
    make_learner().save(path)
    before = path.read_bytes()
    monkeypatch.setattr(np, "savez", lambda file, **arrays: (file.write(b"half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        make_learner().save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    with pytest.raises(ml.UserError, match="No such file or directory"):
        make_learner().save(tmp_path / "nowhere" / "l.npz")


def test_every_kind_has_a_name_and_comes_back():
    for rule in RULES.values():
        assert from_json(json.loads(json.dumps(to_json(rule)))) == rule
    assert len(set(KINDS.values())) == len(KINDS)


OLD = {  # names now, and in files of earlier versions
    "objective": "wants", "objective.none": "wants.nothing", "objective.classifier": "wants.classifier",
    "objective.predsim": "wants.predsim", "objective.infopro": "wants.infopro", "boundary": "crosses",
    "boundary.open": "crosses.all", "boundary.closed": "crosses.nothing", "boundary.link": "crosses.link",
    "boundary.delayed": "crosses.late", "boundary.synthetic_gradient": "crosses.guess", "activations": "up",
    "errors": "down", "when.asynchronous": "when.drawn",
}  # fmt: skip


def in_old_words(content):
    """A description as an earlier version wrote it."""
    if isinstance(content, dict):
        old = {OLD.get(name, name): in_old_words(part) for name, part in content.items()}
        return {**old, "is": OLD.get(content["is"], content["is"])} if "is" in content else old
    return [in_old_words(part) for part in content] if isinstance(content, list) else content


NEWER = ("interlocking", "auglocal", "hpff", "man", "contsup")


@pytest.mark.filterwarnings("ignore:BackLink length")
@pytest.mark.parametrize("name", [name for name in RULES if name not in NEWER])
def test_a_file_in_the_words_of_an_earlier_version_loads(name, tmp_path):
    one, path = make_learner(RULES[name]), tmp_path / "l.npz"
    for x in X[:5]:
        one.step(x, Y, lr=1e-3)
    one.save(path)
    spoil(path, lambda metadata, entries: metadata.update(rule=in_old_words(metadata["rule"])))
    with np.load(path) as file:
        text = str(file["learner.json"])
    assert '"wants": {"is": "wants.' in text and '"crosses": {"is": "crosses.' in text and "boundary" not in text
    two = ml.load(path)
    assert two.rule == one.rule and alike(one, two)
    for learner in (one, two):
        for x in X[5:]:
            learner.step(x, Y, lr=1e-3)
    assert alike(one, two)
