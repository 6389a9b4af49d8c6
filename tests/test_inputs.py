"""Every first mistake at the Python API: one line that says what to do, and nothing has changed."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.boundaries import Boundary
from minilocal.layers import Flatten, Layer, Linear, Sequential
from minilocal.nets import Net
from minilocal.objectives import ClassifierLoss, ObjectiveSpec
from tests.helpers.host import host

X, Y = ml.rng(5).standard_normal((8, 3, 3, 2)).astype("f4"), ml.rng(6).integers(0, 4, 8)
WIDTHS = (12, 11, 10)


def net(**more):
    return ml.nets.mlp(WIDTHS, classes=4, rng=ml.rng(0), channels=2, size=3, **more)


def make_learner(rule=None, modules=3, **more):
    return ml.Learner(net(), rule or ml.rules.gll(), modules, **{"rng": ml.rng(1), **more})


def refused(work, says):
    with pytest.raises(ml.UserError, match=says) as caught:
        work()
    assert "\n" not in str(caught.value) and "?." not in str(caught.value)


class Tensor:
    """Looks like a torch.Tensor to whoever asks for its type's module."""

    __module__ = "torch"
    shape, dtype = (8, 2, 3, 3), None


Tensor.__name__ = "Tensor"
unchecked: Any = ml  # for calls whose arguments are of a wrong type
BUILT = [
    (lambda: make_learner(rng=3), r"give minilocal\.rng\(3\)"),
    (lambda: make_learner(rng=None), r"give minilocal\.rng\(0\)"),
    (lambda: make_learner(rng=np.random.RandomState(0)), r"give minilocal\.rng\(0\)"),
    (lambda: unchecked.nets.resnet(8, rng=0), r"no numpy\.random\.Generator"),
    (lambda: unchecked.Learner("resnet8", ml.rules.bp(), rng=ml.rng(0)), r"minilocal\.nets\.get\('resnet8'"),
    (lambda: unchecked.Learner(ml.nets.mlp, ml.rules.bp(), rng=ml.rng(0)), r"call it, mlp\(\)"),
    (lambda: make_learner(ml.rules.backlink), r"call it, backlink\(\)"),
    (lambda: make_learner(modules="4"), "modules '4' is no way to cut"),
    (lambda: make_learner(modules=2.5), "modules = 2.5: give K"),
    (lambda: make_learner(modules=True), "modules = True: give K"),
    (lambda: make_learner(modules=[2, 2.0]), "give K"),
    (lambda: make_learner(optimizer="adam"), "optimizer 'adam' is no optimiser"),
    (lambda: make_learner(optimizer=ml.optim.Adam), r"call it, Adam\(\)"),
    (lambda: make_learner(dtype=np.float16), "Known: float32, float64"),
    (lambda: make_learner(dtype=None), "Known: float32, float64"),
    (lambda: make_learner(cuda_graph=3), "cuda_graph = 3: give true or false"),
    (lambda: make_learner(device=0), "Known: cpu, cuda"),
    (lambda: unchecked.nets.mlp(64, rng=ml.rng(0)), "give the width of every hidden layer"),
    (lambda: unchecked.nets.mlp((64.5,), rng=ml.rng(0)), "a hidden width = 64.5"),
    (lambda: ml.nets.mlp((0,), rng=ml.rng(0)), "a hidden width = 0"),
    (lambda: unchecked.nets.mlp(classes=2.5, rng=ml.rng(0)), "classes = 2.5"),
    (lambda: unchecked.nets.resnet("20", rng=ml.rng(0)), "depth n = '20'"),
    (lambda: unchecked.nets.resnet(8, size=(8, 8, 8), rng=ml.rng(0)), r"size = \(8, 8, 8\)"),
    (lambda: ml.nets.wrn(10, 0, rng=ml.rng(0)), "width = 0"),
    (lambda: unchecked.nets.vgg16(hidden="a", rng=ml.rng(0)), "hidden = 'a'"),
    (lambda: unchecked.nets.get(ml.nets.mlp, rng=ml.rng(0)), r"call it, mlp\(\)"),
    (lambda: unchecked.rules.compose(objective="classifier"), r"minilocal\.objectives\.classifier\(\)"),
    (lambda: unchecked.rules.compose(boundary=ml.boundaries.link), r"call it, link\(\)"),
    (lambda: unchecked.rules.compose(objective="infopro"), r"give minilocal\.objectives\.infopro\(\)"),
    (lambda: unchecked.rules.compose(when="sometimes"), r"give minilocal\.when\.always\(\)"),
    (lambda: unchecked.rules.compose(recommends=3), r"recommends = 3: give minilocal\.boundaries\.Recommended\('adam'"),
    (lambda: unchecked.rules.compose(recommends="adam"), "recommends = 'adam': give"),
    (lambda: unchecked.rules.compose(3), "name = 3: give a text"),
    (lambda: unchecked.rules.compose(ml.boundaries.link()), r"name = BackwardLink\(.*\): give a text"),
    (lambda: unchecked.locality.measure("bp"), r"minilocal\.rules\.get\('bp'\)"),
    (lambda: unchecked.locality.measure(ml.rules.bp), r"call it, bp\(\)"),
    (lambda: unchecked.rules.compose(when="always"), r"minilocal\.when\.always\(\)"),
    (
        lambda: unchecked.interop.from_torch({"state_dict": {"fc.weight": X}, "best": 92.6}),
        r'checkpoint\["state_dict"\]',
    ),
    (lambda: unchecked.interop.from_torch({"fc.weight": X, "best": 92.6}), "'best' is a float"),
    (lambda: unchecked.interop.from_torch({"fc.weight": BrainFloat()}), r"bfloat16.*model\.float\(\)\.state_dict"),
    (lambda: unchecked.interop.from_torch(Model()), r"give model\.state_dict\(\)"),
    (lambda: unchecked.rng("0"), r"rng\('0'\): give a whole number"),
    (lambda: ml.rng(-1), r"rng\(-1\): give a whole number"),
    (lambda: unchecked.rng(1.5), r"rng\(1\.5\): give a whole number"),
    (lambda: unchecked.data.load(3), "data set 3 is no name: give one of digits"),
    (lambda: ml.verify.check_layer(net(), (3, 3, 2)), "check_layer was given a Net"),
    (lambda: ml.interop.to_torch(make_learner()), r"give \{\*\*learner\.parameters\(\)"),
]


class BrainFloat:
    """A tensor of a type that NumPy does not have, as far as it is asked for it."""

    dtype = "torch.bfloat16"


class Model:
    def state_dict(self):
        return {}


@pytest.mark.parametrize("build, says", BUILT)
def test_what_is_built_from_a_wrong_thing(build, says):
    refused(build, says)


def test_numpys_types_name_a_precision_too():
    assert make_learner(dtype=np.float64).dtype == make_learner(dtype=np.dtype("float64")).dtype == "float64"


def spoilt(value):
    x = X.copy()
    x[3, 1, 0, 1] = value
    return x


USED = [
    (lambda learner: learner.step(X, Y, lr=float("nan")), "lr = nan"),
    (lambda learner: learner.step(X, Y, lr=-0.1), "lr = -0.1"),
    (lambda learner: learner.step(X, Y, lr=np.inf), "lr = inf"),
    (lambda learner: learner.step(X, Y, lr="0.1"), "lr = '0.1'"),
    (lambda learner: learner.step(X, Y, lr=None), "lr = None"),
    (lambda learner: learner.finish(lr=-1), "lr = -1"),
    (lambda learner: learner.step(spoilt(np.nan), Y, lr=0.1), r"images hold nan at \(3, 1, 0, 1\)"),
    (lambda learner: learner.gradients(spoilt(-np.inf), Y), r"images hold -inf at \(3, 1, 0, 1\)"),
    (lambda learner: learner.predict(spoilt(np.inf)), "images hold inf"),
    (lambda learner: learner.local_logits(spoilt(np.inf)), "images hold inf"),
    (lambda learner: learner.step(Tensor(), Y, lr=0.1), r"torch\.Tensor.*x\.permute\(0, 2, 3, 1\)\.numpy\(\)"),
    (lambda learner: learner.step(X, Tensor(), lr=0.1), r"labels came as a torch\.Tensor.*y\.numpy\(\)"),
    (lambda learner: learner.predict(Tensor()), "channels last"),
    (lambda learner: setattr(learner, "epoch", -1), "epoch = -1"),
    (lambda learner: setattr(learner, "epoch", 1.5), "epoch = 1.5"),
    (lambda learner: setattr(learner, "epoch", True), "epoch = True"),
    (lambda learner: learner.load({"layers.0.bias": np.full(12, np.nan)}), "not finite"),
    (lambda learner: learner.load({"layers.0.bias": np.full(12, 1e300)}), "not finite as float32"),
    (
        lambda learner: learner.load({"layers.0.weight": np.zeros((12, 18))}),
        r"PyTorch's layout.*minilocal\.interop\.from_torch",
    ),
    (lambda learner: learner.load({"layers.0.bais": np.zeros(12)}), r"did you mean 'layers\.0\.bias'\? Nothing"),
    (lambda learner: learner.load({"qqq": np.zeros(12)}), r"'qqq'\. Nothing"),
    (lambda learner: learner.load({"layers.0.bias": [0.0] * 12}), "is a list"),
    (lambda learner: learner.load({"layers.0.bias": np.array(["a"] * 12)}), "give an array of floating-point numbers"),
    (lambda learner: learner.load({"layers.0.bias": Tensor()}), r"from_torch\(model\.state_dict\(\)\)"),
    (lambda learner: learner.load([1]), "not a list"),
]


@pytest.mark.parametrize("use, says", USED)
def test_what_is_used_wrongly_changes_nothing(use, says):
    learner = make_learner()
    learner.step(X, Y, lr=0.1)
    before = learner.state()
    refused(lambda: use(learner), says)
    after = learner.state()
    assert before.keys() == after.keys() and all(np.array_equal(before[n], a) for n, a in after.items())


def test_images_are_bounded_by_what_their_type_can_square():
    """Of 1e20 the variance is infinite: running statistics would be too, beside losses that are finite."""
    for x in (np.full_like(X, 1e15), X.astype("f2"), X * np.float32(1e-44)):
        with np.errstate(all="raise"):
            make_learner().predict(x)
    for x in (X * 0 + np.float32(1.1e15), -np.full(X.shape, 1e300), np.full(X.shape, 1e20)):
        with np.errstate(all="raise"):
            refused(lambda x=x: make_learner().step(x, Y, lr=0.1), "beyond ±1e\\+15: normalise them")
    with np.errstate(all="raise"):
        make_learner(dtype="float64").predict(np.full(X.shape, 1e20))
        make_learner(dtype="float64").predict(np.full_like(X, 1e20))


NUMERIC = {
    "at the top of float16": X * np.float32(2e4),
    "at its bottom": X * np.float32(6e-8),
    "denormal": X * np.float32(1e-44),
    "a constant channel": np.concatenate([X[..., :1], np.ones_like(X[..., 1:])], axis=-1),
    "all alike": np.ones_like(X),
    "zeros": np.zeros_like(X),
    "one image": X[:1],
    "one image of zeros": np.zeros_like(X[:1]),
    "huge": np.where(X > 2, np.float32(1e15), X),
}


@pytest.mark.parametrize("rule", [name for name in ml.rules.NAMES if name != "compose"])
def test_no_images_make_a_number_that_is_not_finite(rule):
    """Of a network with batch norm, whatever `numpy.seterr` says."""
    for name, x in NUMERIC.items():
        small = ml.nets.resnet(8, classes=4, channels=2, size=3, rng=ml.rng(0))
        learner = ml.Learner(small, ml.rules.get(rule), 2, rng=ml.rng(1))
        with np.errstate(all="raise"):
            for _ in range(3):
                learner.step(x, Y[: len(x)], lr=0.01)
            learner.finish()
            assert np.isfinite(host(learner.predict(x))).all(), name
        assert all(np.isfinite(a).all() for a in learner.state().values() if a.dtype.kind == "f"), name


FOREIGN: list[Any] = [None, [1], {1: 2}, {"array:layers.0.bias": None}, {"count:lr": "0.1"}]
ENTRIES = [
    ("array:layers.0.bias", np.full(12, np.nan), "had diverged"),
    ("array:layers.0.bias", np.full(12, 1e300), "had diverged"),
    ("array:layers.0.bias", np.full(12, 1j), "give an array of floating-point numbers"),
    ("optim:layers.0.bias:v", np.full(12, np.inf), "had diverged"),
    ("optim:layers.0.bias:v", "v", "is a str, not an array"),
    ("count:lr", np.array(-1.0), "lr = "),
    ("count:lr", np.array("a"), "no learning rate"),
    ("count:lr", np.zeros(2), "no learning rate"),
    ("count:steps", np.array(1.5), "not a whole number"),
    ("flight:begun", np.array("x"), "'flight:begun' is <U1"),
    ("flight:batch.5.x", np.zeros((8, 3, 3, 2), "i1"), "'flight:batch.5.x' is int8"),
    ("flight:batch.5.x", np.full((8, 3, 3, 2), np.nan, "f4"), "had diverged"),
]


def test_a_state_that_is_none_is_refused_and_changes_nothing():
    learner = make_learner(ml.rules.fdg())
    for _ in range(6):
        learner.step(X, Y, lr=0.01)
    before = learner.state()
    for state in FOREIGN:
        refused(lambda state=state: learner.restore(state), "state|lacks|array")
    for entry, value, says in ENTRIES:
        assert entry in before, entry
        refused(lambda entry=entry, value=value: learner.restore({**before, entry: value}), says)
    after = learner.state()
    assert before.keys() == after.keys() and all(np.array_equal(before[n], a) for n, a in after.items())


def test_buffers_of_another_kind_are_refused():
    learner = make_learner(ml.rules.dgl(aux="0c1f", buffer=2))
    for _ in range(3):
        learner.step(X, Y, lr=0.01)
    before = learner.state()
    for entry in ("flight:updates", "flight:full", "flight:0:uses", "flight:0:0:y"):
        value = before[entry].astype("f4")
        refused(lambda entry=entry, value=value: learner.restore({**before, entry: value}), "is float32")


def test_a_learner_that_has_diverged_can_be_copied():
    learner = make_learner()
    learner.parameters()["layers.0.bias"][...] = np.nan
    for other in (copy.deepcopy(learner), pickle.loads(pickle.dumps(learner))):
        assert np.isnan(other.parameters()["layers.0.bias"]).all()


def test_names_of_other_codes_are_known():
    learner = ml.Learner(ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0)), ml.rules.gll(), 3, rng=ml.rng(1))
    refused(
        lambda: learner.load({"layer2.0.shortcut.0.weight": X}), r"did you mean 'layer2\.0\.downsample\.0\.weight'\?"
    )
    refused(lambda: learner.load({"module.conv1.weight": X}), r"did you mean 'conv1\.weight'\?")
    conv = learner.parameters()["conv1.weight"]
    refused(lambda: learner.load({"conv1.weight": conv.transpose(3, 2, 0, 1)}), "from_torch")


# ---------------------------------------------------------------------- two arrays of one name


def linear(inputs, outputs, name):
    return Linear(inputs, outputs, ml.layers.Initializer(0), name=name)


def own_net(units, head=None):
    return Net("own", units, head or Sequential([], "head"), 4, (3, 3, 2), ml.layers.Initializer(0))


def test_two_layers_of_one_name_are_refused():
    first = Sequential([Flatten(), linear(18, 18, "a")], "a")
    refused(lambda: own_net([first, linear(18, 18, "b"), linear(18, 4, "b")]), r"unit 2 \(b\) and unit 3 \(b\) have an")
    refused(lambda: own_net([first], Sequential([linear(18, 4, "a")])), r"unit 1 \(a\) and the head have an array 'a\.")
    refused(lambda: Sequential([linear(4, 4, "c"), linear(4, 4, "c")]), r"two layers c have an array 'c\.")


def test_two_modules_auxiliary_networks_of_one_name_are_refused():
    class Same(ObjectiveSpec):
        def build(self, place):
            return ClassifierLoss(Sequential([linear(place.shape[0], 4, "aux.mine")]))

    rule = ml.rules.compose(objective=Same(), boundary=ml.boundaries.closed())
    refused(
        lambda: make_learner(rule, modules=4), r"objective of module 1 and the objective of module 2 have an array 'aux"
    )


def test_a_unit_with_the_name_of_an_auxiliary_network_is_refused():
    units = [Sequential([Flatten(), linear(18, 18, "a")]), linear(18, 18, "aux.0.0"), linear(18, 4, "b")]
    both = r"^the objective of module 1 and unit 2 have an array 'aux\.0\.0\."
    refused(lambda: ml.Learner(own_net(units), ml.rules.gll(), [1, 2], rng=ml.rng(0)), both)


def test_a_unit_that_is_no_layer_is_refused():
    refused(lambda: own_net([Flatten]), r"call it, Flatten\(\)")


# ---------------------------------------------------------------------- what comes from outside the package


class Scale(Layer):
    """y = w x, one w for each feature, right in every respect."""

    def __init__(self, features, name="scale"):
        super().__init__(name)
        self.parameters = {f"{name}.w": np.ones(features, "f4")}

    def forward(self, x, run, p=None):
        return x * self._get(p, "w"), x

    def backward(self, dy, cache, p=None, need="both"):
        dx = None if need == "weights" else dy * self._get(p, "w")
        return dx, {} if need == "input" else {self._full("w"): (dy * cache).sum(0)}


class NoBackward(Scale):
    backward = Layer.backward


class NoCache(Scale):
    def forward(self, x, run, p=None):
        return x * self._get(p, "w")


class OldSignature(Scale):
    def backward(self, dy, cache):  # type: ignore[override]  # it lacks p and need
        return dy, {}


class Scalar(Scale):
    def backward(self, dy, cache, p=None, need="both"):
        dx, grads = super().backward(dy, cache, p, need)
        return dx, {name: g.sum() for name, g in grads.items()}


class Wide(Scale):
    def forward(self, x, run, p=None):
        y, cache = super().forward(x, run, p)
        return y.astype("f8"), cache


class Lying(Scale):
    def out_shape(self, shape):
        return (*shape[:-1], shape[-1] + 1)


class Nameless(Scale):
    def backward(self, dy, cache, p=None, need="both"):
        return super().backward(dy, cache, p, need)[0], {}


class Talkative(Scale):
    def backward(self, dy, cache, p=None, need="both"):
        return super().backward(dy, cache, p, "both")


class Crooked(Scale):
    def backward(self, dy, cache, p=None, need="both"):
        dx, grads = super().backward(dy, cache, p, need)
        return None if dx is None else dx[:, :-1], grads


WRONG_LAYERS = [
    (NoBackward, r"NoBackward has no backward\(dy, cache, p, need\)"),
    (NoCache, r"returned a ndarray: it returns \(y, cache\)"),
    (OldSignature, "backward.*failed: TypeError"),
    (Scalar, r"gradient of 'scale\.w' is \(\): it must be \(18,\), as the parameter"),
    (Wide, "is float64 where the network is float32"),
    (Lying, r"is \(2, 18\): it must be \(2, 19\), as out_shape says"),
    (Nameless, r"lacks a gradient of 'scale\.w'"),
    (Talkative, r"should not name a gradient of 'scale\.w'"),
    (Crooked, r"dx is \(2, 17\): it must be \(2, 18\), as x"),
]


def with_layer(layer, where="row"):
    last = 19 if isinstance(layer, Lying) else 18
    units = [Sequential([Flatten(), layer]), linear(last, 4, "fc")] if where == "row" else [Flatten(), layer]
    units += [] if where == "row" else [linear(last, 4, "fc")]
    return ml.Learner(own_net(units), ml.rules.gll(), 2, rng=ml.rng(0))


@pytest.mark.parametrize("where", ["row", "unit"])
@pytest.mark.parametrize("kind, says", WRONG_LAYERS)
def test_an_own_layer_that_breaks_the_contract_is_refused_when_a_learner_is_built(kind, says, where):
    refused(lambda: with_layer(kind(18), where), says)


def test_an_own_layer_that_keeps_it_is_not():
    learner = with_layer(Scale(18))
    assert np.isfinite(learner.step(X, Y, lr=0.1)).all()


def test_the_packages_own_layers_are_not_tried_again(monkeypatch):
    monkeypatch.setattr("minilocal.contract.check_layer", lambda *a: pytest.fail("tried"))
    ml.Learner(ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0)), ml.rules.backlink(), 3, rng=ml.rng(1))


def objective(build):
    kind = type("Own", (ObjectiveSpec,), {"build": lambda self, place: build(place), "__module__": __name__})
    return ml.rules.compose(objective=kind(), boundary=ml.boundaries.closed())


def head(place, inputs=0, outputs=4):
    return Sequential([linear(inputs or place.shape[0], outputs, f"aux.{place.module}")])


WRONG_OBJECTIVES = [
    (head, r"it is a layer and no loss; .* minilocal\.objectives\.ClassifierLoss"),
    (lambda place: ClassifierLoss(head(place, inputs=7)), "forward.*failed: ValueError"),
    (lambda place: ClassifierLoss(head(place, outputs=9)), r"logits.*is \(2, 9\): it must be \(2, 4\)"),
    (lambda place: "classifier", "has no 'parameters'"),
]


@pytest.mark.parametrize("build, says", WRONG_OBJECTIVES)
def test_an_own_objective_that_breaks_the_contract_is_refused(build, says):
    refused(lambda: make_learner(objective(build)), says)


def test_an_own_objective_that_keeps_it_is_not():
    assert np.isfinite(make_learner(objective(lambda place: ClassifierLoss(head(place)))).step(X, Y, lr=0.1)).all()


def test_a_boundary_that_reaches_too_far_is_refused():
    class Far(Boundary):
        can_checkpoint = True

        def linked_units(self, units):
            return 99

    rule = ml.rules.compose(objective=ml.objectives.classifier(), boundary=Far())
    refused(lambda: make_learner(rule), r"Far\.linked_units\(2\) = 99: give 0 to 2, the units of module 1")


def test_a_boundary_that_links_units_and_computes_no_error_for_them_is_refused():
    class Half(Boundary):
        def linked_units(self, units):
            return units // 2  # of 1 unit none: the default of uses_input_error is False

    rule = ml.rules.compose(objective=ml.objectives.classifier(), boundary=Half())
    refused(lambda: make_learner(rule), r"Half\.linked_units\(2\) = 1, but uses_input_error is False")


def test_a_boundary_that_sends_on_what_does_not_arrive_is_refused():
    class Through(Boundary):
        passes_on = True  # so that sends() is (1, 1)

        def linked_units(self, units):
            return 1

    rule = ml.rules.compose(objective=ml.objectives.classifier(), boundary=Through())
    refused(
        lambda: make_learner(rule), r"Through\.sends\(2\) sends .* only 1 of the 2 units of module 1 .* return b = 0"
    )


# ---------------------------------------------------------------------- copies, pickles, and states

RULES = {name: ml.rules.get(name) for name in ml.rules.NAMES} | {
    "bp, inputs": ml.rules.bp(keep="inputs"),
    "ddg, current": ml.rules.ddg(backward_weights="current"),
    "fdg, recompute": ml.rules.fdg(backward_weights="recompute"),
    "asynchronous dgl": ml.rules.dgl(buffer=2, slowed=1, noise=0.5),
}
MAPS, LABELS = ml.rng(1).standard_normal((9, 4, 8, 8, 3)).astype("f4"), np.array([0, 1, 2, 3])


def on_maps(rule, **more):
    network = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
    return ml.Learner(network, rule, 3, rng=ml.rng(1), optimizer=ml.optim.SGD(momentum=0.9, weight_decay=1e-4), **more)


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda learner: pickle.loads(pickle.dumps(learner, 2))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("name", RULES)
def test_a_copy_goes_on_bit_for_bit_batches_in_flight_too(name, again):
    one = on_maps(RULES[name])
    for x in MAPS[:5]:
        one.step(x, LABELS, lr=1e-4)
    two = again(one)
    assert two.in_flight == one.in_flight
    for learner in (one, two):
        learner.epoch = 1
        for x in MAPS[5:]:
            learner.step(x, LABELS, lr=1e-4)
        learner.finish()
    assert all(np.array_equal(a, two.state()[n]) for n, a in one.state().items())
    assert one.parameters()["fc.weight"] is not two.parameters()["fc.weight"]


class Named(ml.Learner):
    """A Learner that keeps something of its own."""

    notes: list[str]


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda learner: pickle.loads(pickle.dumps(learner, 2))], ids=["copy", "pickle"]
)
def test_a_copy_has_what_a_learner_was_given_besides(again):
    one = Named(net(), ml.rules.gll(), 3, rng=ml.rng(1))
    one.notes = ["first"]
    two = again(one)
    assert type(two) is Named and two.notes == ["first"] and two.notes is not one.notes


def test_a_copy_of_an_adams_learner_and_of_a_diverged_one():
    one = make_learner(optimizer=ml.optim.Adam())
    one.step(X, Y, lr=0.1)
    one.parameters()["layers.0.bias"][...] = np.nan
    two = copy.deepcopy(one)
    assert all(np.array_equal(a, two.state()[n], equal_nan=True) for n, a in one.state().items())


def test_nets_rules_and_data_sets_can_be_copied_and_pickled():
    for thing in (net(), ml.rules.pgl(around="backlink"), ml.data.load("digits"), ml.optim.Adam()):
        for again in (copy.deepcopy(thing), pickle.loads(pickle.dumps(thing, 2))):
            assert type(again) is type(thing) and again is not thing
    assert pickle.loads(pickle.dumps(ml.rules.fdg())) == ml.rules.fdg()
    assert all(np.array_equal(a, copy.deepcopy(net()).parameters()[n]) for n, a in net().parameters().items())


def changed(name, a):
    return lambda state: {**state, name: a}


def lacking(name):
    return lambda state: {n: a for n, a in state.items() if n != name}


STATES = [
    ("gll", changed("optim:fc.weight:v", np.zeros((3, 3), "f4")), "its parameter float32"),
    ("gll", changed("optim:fc.weight:v", np.zeros((64, 4), "U1")), "its parameter float32"),
    ("gll", changed("optim:fc.wait:v", np.zeros((3, 3), "f4")), "no such parameter"),
    ("gll", changed("optim:fc.weight:t", np.array(1.5)), "not a whole number"),
    ("gll", changed("array:fc.weight", np.zeros((3, 3), "f4")), "another network"),
    ("gll", lacking("count:key"), "lacks 'count:key'"),
    ("gll", changed("count:epoch", np.array(-1)), "not a whole number"),
    ("ddg", changed("flight:batch.3.x", np.zeros((4, 8, 8, 2), "f4")), r"'flight:batch\.3\.x' is \(4, 8, 8, 2\)"),
    ("ddg", changed("flight:ticket.1.4.entry", np.zeros((4, 8, 8, 2), "f4")), r"ticket\.1\.4\.entry' is"),
    ("ddg", lacking("flight:ticket.0.3.weight.conv1.weight"), "lacks 'flight:ticket"),
    ("ddg", changed("flight:down.1.4", np.zeros((4, 1), "f4")), r"'flight:down\.1\.4' is \(4, 1\)"),
    ("ddg", lacking("flight:batches"), "lacks 'flight:batches'"),
    ("ddg", changed("flight:tickets", np.zeros((1, 5), int)), "damaged"),
    ("ddg", changed("flight:tickets", np.array([[0, 77]])), "lacks the batch 77"),
    ("ddg, current", changed("flight:ticket.1.4.cache.0", np.zeros(3, "f4")), r"cache\.0' is \(3,\)"),
    ("asynchronous dgl", changed("flight:0:0:h", np.zeros((4, 2), "f4")), r"'flight:0:0:h' is \(4, 2\)"),
    ("asynchronous dgl", changed("flight:updates", np.zeros(2, int)), "'flight:updates'"),
]


@pytest.mark.parametrize("name, spoil, says", STATES)
def test_a_state_is_checked_whole_before_anything_changes(name, spoil, says):
    one, two = on_maps(RULES[name]), on_maps(RULES[name])
    for x in MAPS[:5]:
        one.step(x, LABELS, lr=0.05)
    two.step(MAPS[6], LABELS, lr=0.05)
    before = two.state()
    refused(lambda: two.restore(spoil(one.state())), says)
    after = two.state()
    assert before.keys() == after.keys() and all(np.array_equal(before[n], a) for n, a in after.items())
