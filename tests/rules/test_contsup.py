"""ContSup: its limits bit for bit, what its encoders learn from, its sizes, its tested network, and what is refused."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.boundaries.supply import MODES
from minilocal.engine.hooks import Hook, hooked
from minilocal.layers import PassContext
from minilocal.layers.module_input import ModuleInput, ModuleInputs
from minilocal.layers.with_context import WithContext, standing_alone
from minilocal.objectives import Batch
from minilocal.rules import bp, compose, contsup, gll
from minilocal.summary import kept_bytes, network_size
from minilocal.verify.promise import factors, slopes
from tests.helpers.host import host

X = ml.rng(1).standard_normal((6, 8, 8, 3)).astype("float32")
Y = np.array([0, 1, 2, 3, 1, 0])
NET = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))  # 4 units
NET32 = ml.nets.resnet(32, rng=ml.rng(0))
SOURCES = ("image", "below", "both")


def learner(rule: ml.rules.Rule, modules: Any = 4, net: ml.nets.Net = NET, **options: Any) -> ml.Learner:
    return ml.Learner(net, rule, modules, rng=ml.rng(0), **options)


def silenced(rule: ml.rules.Rule, modules: Any = 4, **options: Any) -> ml.Learner:
    """A Learner whose encoders give 0: γ and β of the last batch norm of each are 0."""
    ours = learner(rule, modules, **options)
    for name, last in (("image", 4), ("below", 1)):
        for k in range(1, len(ours.modules)):
            for kind in ("weight", "bias"):
                array = ours.parameters().get(f"context.{k}.{name}.{last}.{kind}")
                if array is not None:
                    array[...] = 0
    return ours


def of_contexts(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: host(a) for name, a in arrays.items() if name.startswith("context.")}


def alike(a: dict[str, Any], b: dict[str, Any], names: Any) -> bool:
    return all(np.array_equal(host(a[name]), host(b[name])) for name in names)


# ---------------------------------------------------------------------- limits


@pytest.mark.parametrize("modules", [1, 2, 4, [1, 3]], ids=str)
def test_r0_is_gll(modules):
    states = []
    for rule in (contsup(context="R0", aux="0c1f"), gll()):
        ours = learner(rule, modules)
        losses = [host(ours.step(X, Y, lr=0.1)) for _ in range(3)]
        states.append({name: host(a) for name, a in ours.state().items()} | {"losses": np.array(losses)})
    assert states[0].keys() == states[1].keys() and alike(states[0], states[1], states[0])


@pytest.mark.parametrize("context", SOURCES)
@pytest.mark.parametrize("modules", [2, 3, 4, [1, 3]], ids=str)
def test_silent_encoders_leave_gll(context, modules):
    """Losses, logits and every gradient of the network and its auxiliary networks, bit for bit."""
    ours, other = silenced(contsup(context=context, aux="0c1f"), modules), learner(gll(), modules)
    (losses, grads), (expected, of_gll) = ours.gradients(X, Y), other.gradients(X, Y)
    assert np.array_equal(host(losses), host(expected)) and alike(grads, of_gll, of_gll)
    assert np.array_equal(host(ours.predict(X)), host(other.predict(X)))


@pytest.mark.parametrize("context", SOURCES)
def test_silent_encoders_leave_bp(context):
    ours, other = silenced(bp(context=context)), learner(bp())
    assert alike(ours.gradients(X, Y)[1], (expected := other.gradients(X, Y)[1]), expected)


@pytest.mark.parametrize("context", SOURCES)
def test_one_module_has_no_context(context):
    ours, other = learner(contsup(context=context), 1), learner(bp(), 1)
    assert ours.parameters().keys() == other.parameters().keys()
    assert alike(ours.gradients(X, Y)[1], (expected := other.gradients(X, Y)[1]), expected)


@pytest.mark.parametrize("context", SOURCES)
def test_kept_inputs_and_other_cuts_of_bp(context):
    """Inputs kept give the same bits; so do contexts at the same places, however their errors come."""
    kept, again = (learner(bp(context=context, keep=keep)).gradients(X, Y)[1] for keep in ("caches", "inputs"))
    assert alike(kept, again, kept)


# ---------------------------------------------------------------------- what encoders learn from


@pytest.mark.parametrize("context", SOURCES)
def test_encoders_learn_from_the_loss_of_the_module_above_and_of_no_other(context):
    """Central differences of every L_k along a random direction in each encoder's arrays, in float64."""
    ours = learner(contsup(context=context), dtype="float64")
    x, rng = X.astype("float64"), np.random.default_rng(3)
    for a in ours.parameters().values():
        a += 0.1 * rng.standard_normal(a.shape)
    grads = ours.gradients(x, Y)[1]
    for k in (1, 2, 3):
        names = [name for name in grads if name.startswith(f"context.{k}.")]
        directions = {name: rng.standard_normal(grads[name].shape) for name in names}

        def at(step: float, directions: dict[str, Any] = directions) -> Any:
            for name, v in directions.items():
                ours.parameters()[name][...] += step * v
            losses = host(ours.gradients(x, Y)[0])
            for name, v in directions.items():
                ours.parameters()[name][...] -= step * v
            return losses

        h = 1e-6
        measured = (at(h) - at(-h)) / (2 * h)
        expected = sum(float((host(grads[name]) * v).sum()) for name, v in directions.items())
        assert abs(measured[k] - expected) <= 1e-5 * abs(expected), "O(h²) and round-off / h, both below 1e-8"
        assert np.all(measured[:k] == 0), "no loss below depends on them"
        if k < 3:
            assert measured[k + 1] != 0, "losses above do, and E_k does not learn from them"


def test_no_gradient_of_another_loss_depends_on_an_encoder():
    """Other weights of E_2: no gradient of modules 1 and 2 changes, bit for bit, and those of module 3 do."""
    one, other = (learner(contsup(context="image")) for _ in range(2))
    for name, array in other.parameters().items():
        if name.startswith("context.2."):
            array *= 1.5
    (_, before), (_, after) = (ours.gradients(X, Y) for ours in (one, other))
    below = [n for m in one.modules[:2] for n in m.parameters()] + [
        n for n in before if n.startswith(("aux.0", "aux.1"))
    ]
    assert below and alike(before, after, below)
    assert not any(np.array_equal(host(before[n]), host(after[n])) for n in before if n.startswith("aux.2"))


class Errors(Hook):
    """The error at the input of each unit 0."""

    def __init__(self, k: int, errors: dict[int, Any]) -> None:
        self.k, self.errors = k, errors

    def after_backward(self, part: Any, error: Any, grads: Any) -> Any:
        if part == 0:
            self.errors[self.k] = error
        return error


@pytest.mark.parametrize("context", SOURCES)
def test_no_error_leaves_a_module(context):
    ours, errors = learner(contsup(context=context)), dict[int, Any]()
    with hooked(ours.modules, [Errors(k, errors) for k in range(4)]):
        ours.gradients(X, Y)
    assert errors == dict.fromkeys(range(4))


@pytest.mark.parametrize("context", ["below", "both"])
def test_bp_on_the_enlarged_network_passes_errors_through_its_contexts(context, monkeypatch):
    """Without the errors of contexts the gradients below are others, and those of the last two modules' units the same.

    That they are BP's gradients is for JAX to say, in `minilocal.verify.rules`.
    """
    _, whole = learner(bp(context=context)).gradients(X, Y)
    monkeypatch.setattr(ModuleInput, "add_error", lambda self, error: None)
    ours = learner(bp(context=context))
    _, cut = ours.gradients(X, Y)
    top = [n for module in ours.modules[2:] for n in module.parameters() if not n.startswith("context.2")]
    assert alike(whole, cut, top)
    weights = [n for n in ours.modules[0].parameters() + ours.modules[1].parameters() if whole[n].ndim > 1]
    assert weights and not any(np.array_equal(host(whole[n]), host(cut[n])) for n in weights)


@pytest.mark.parametrize("rule", [contsup(context="both"), bp(context="both"), bp(context="below", keep="inputs")])
def test_gradients_leave_no_trace(rule):
    ours = learner(rule)
    before = {name: host(a).copy() for name, a in ours.state().items()}
    (_, first), (_, again) = ours.gradients(X, Y), ours.gradients(X, Y)
    assert alike(first, again, first) and alike(before, ours.state(), before)


@pytest.mark.parametrize("context", SOURCES)
def test_units_are_marked_whose_input_the_module_above_encodes(context):
    firsts = [module.units[0] for module in learner(contsup(context=context)).modules[1:]]
    kept = [unit.is_encoded for unit in firsts if isinstance(unit, WithContext)]
    assert kept == ([False, False, False] if context == "image" else [True, True, False])


def test_it_keeps_what_it_promises():
    """Linked to their first unit, with the total error: what every loss owes to the encoders, by finite differences.

    The sources of contexts are constants: L_4 depends on the encoders of module 2 through them too, and they get
    nothing of that.
    """
    link = ml.boundaries.link("module", alpha=0.25, error="total")
    rule = compose(objective=ml.objectives.classifier(), boundary=link, context="R1E")
    ours = learner(rule, dtype="float64")
    grads, c = ours.gradients(X.astype("float64"), Y)[1], factors(rule, ours.modules)
    p = {name: host(a) for name, a in {**ours.parameters(), **ours.buffers()}.items()}
    ctx, batch = PassContext(key=ours.key), Batch(X.astype("float64"), Y)
    for name in ("context.1.image.3.weight", "context.2.below.1.weight", "context.3.image.4.bias"):
        assert np.count_nonzero(c[name]) == 4 - int(name[8]), "its own loss and all above"
        v, D, bound = min(slopes(ours.modules, p, name, batch, ctx), key=lambda slope: float(abs(c[name]) @ slope[2]))
        assert abs(float((host(grads[name]) * v).sum()) - float(c[name] @ D)) <= float(abs(c[name]) @ bound)


# ---------------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("K", "parameters", "multiply_adds", "below"),
    [
        (16, 62_232, 61_599_744, (21_712, 4_194_304)),
        (8, 29_160, 28_864_512, (8_864, 2_097_152)),
        (4, 13_512, 13_381_632, (2_848, 1_048_576)),
        (2, 3_912, 3_870_720, (0, 0)),
    ],
)
def test_the_sizes_of_its_contexts_on_resnet_32(K, parameters, multiply_adds, below):
    """E's, and what R adds to them in R1E; the network itself has 466 906 parameters, 69 124 736 multiply-adds."""
    plain, enlarged, both = (network_size(learner(contsup(context=c), K, NET32)) for c in ("R0", "E", "R1E"))
    assert plain == (466_906, 69_124_736) == network_size(learner(bp(), K, NET32))
    assert (enlarged[0] - plain[0], enlarged[1] - plain[1]) == (parameters, multiply_adds)
    assert (both[0] - enlarged[0], both[1] - enlarged[1]) == below
    assert network_size(learner(bp(context="R1E"), K, NET32)) == both, "the baseline tests the same network"
    first = NET32.shapes[len(learner(gll(), K, NET32).modules[0].units) - 1][-1]  # R1 has R_1 too, of the image
    alone = network_size(learner(contsup(context="R1"), K, NET32))
    assert alone[0] - plain[0] == below[0] + 3 * first + first + 2 * first


def test_the_summary_shows_the_tested_network():
    text = learner(contsup(), 16, NET32).summary()
    assert "529,138" in text and "130,724,480" in text and "context from below: the image (E)" in text


@pytest.mark.parametrize("context", SOURCES)
def test_the_bytes_of_a_module_are_those_that_it_keeps(context):
    """Costs are of a module alone: the input below that it encodes is its own copy there, in a step the one below's."""
    rule = contsup(context=context)
    counted = ml.costs.measure(NET32, rule, 4, "memory", images=16).of([4, 4, 4, 4])
    kept = kept_bytes(learner(rule, 4, NET32), 16)
    assert kept is not None
    copies = [0, 0] + ([16 * 32 * 32 * 16 * 4, 16 * 16 * 16 * 32 * 4] if context != "image" else [0, 0])
    if context == "image":
        assert counted == kept.peak
    else:
        assert [c - k for c, k in zip(counted, kept.peak, strict=True)][:2] == [0, 0]
        assert all(0 <= c - k <= copy for c, k, copy in zip(counted, kept.peak, copies, strict=True))


# ---------------------------------------------------------------------- the network that is tested


def test_evaluation_uses_the_encoders_and_their_running_statistics():
    ours = learner(contsup(context="both"))
    for _ in range(2):
        ours.step(X, Y, lr=0.1)
    before = host(ours.predict(X)).copy()
    assert np.array_equal(before, host(ours.local_logits(X)[-1]))
    ours.buffers()["context.2.image.1.running_mean"][...] += 0.5
    assert not np.array_equal(before, host(ours.predict(X)))


@pytest.mark.parametrize("context", SOURCES)
def test_images_of_a_test_set_pass_in_portions(context, monkeypatch):
    from minilocal.engine import evaluation

    ours = learner(contsup(context=context))
    whole = host(ours.predict(X))
    monkeypatch.setattr(evaluation, "IMAGES", 4)
    np.testing.assert_allclose(host(ours.predict(X)), whole, rtol=1e-5, atol=1e-6)


def test_running_statistics_of_encoders_move_once_a_step():
    """0.9 · 0 + 0.1 · the batch mean of the first convolution's output."""
    ours = learner(contsup())
    unit: Any = ours.modules[1].units[0]
    conv = unit.contexts[0].encoder.layers[0]
    z, _ = conv.forward(X, PassContext(), {n: host(a) for n, a in ours.parameters().items()})
    mean = z.mean(axis=(0, 1, 2))
    ours.step(X, Y, lr=0.1)
    np.testing.assert_allclose(host(ours.buffers()["context.1.image.1.running_mean"]), 0.1 * mean, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rule", [contsup(context="R1E"), bp(context="R1")], ids=["contsup", "bp"])
def test_a_file_a_pickle_and_a_copy_continue_bit_for_bit(rule, tmp_path):
    ours = learner(rule)
    ours.step(X, Y, lr=0.1)
    ours.save(tmp_path / "learner.npz")
    others = [ml.load(tmp_path / "learner.npz"), pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)]
    ours.step(X, Y, lr=0.1)
    for other in others:
        assert other.rule == rule
        other.step(X, Y, lr=0.1)
        assert alike(ours.state(), other.state(), ours.state())


# ---------------------------------------------------------------------- at the door


def test_modes_and_sources_are_two_names_of_one_answer():
    for source, mode in MODES.items():
        assert contsup(context=mode) == contsup(context=source)
        assert contsup(context=mode).context.mode == mode and compose(context=mode) == compose(context=source)
    assert contsup().context.mode == "E" and "the image (E)" in contsup().describe()
    assert bp().context.source == "none" and "context" not in bp().describe()


@pytest.mark.parametrize("context", ["R2", "Image", "", None, 1, ["E"]])
def test_an_unknown_context_is_refused(context):
    for call in (contsup, bp, compose, lambda context: ml.boundaries.context(context)):
        with pytest.raises(ml.UserError, match="context") as refused:
            call(context=context)
        assert "\n" not in str(refused.value)


def test_vectors_are_refused_before_training():
    for net, where in (
        (ml.nets.mlp((8, 8, 8), rng=ml.rng(0)), (2, 8)),
        (ml.nets.get("vgg16", rng=ml.rng(0)), (15, 512)),
    ):
        line = "context=image: module {} begins with vectors of {}, and a context".format(*where)
        with pytest.raises(ml.UserError, match=line):
            learner(contsup(), len(net.units), net)
    vgg = ml.nets.get("vgg16", rng=ml.rng(0))
    assert learner(contsup(), 2, vgg).parameters(), "where modules begin with maps it is defined"


def test_batches_in_flight_and_replayed_ones_are_refused():
    for answers in (
        {"boundary": ml.boundaries.delayed()},
        {
            "objective": ml.objectives.classifier(),
            "boundary": ml.boundaries.closed(),
            "when": ml.when.asynchronous(buffer=2),
        },
    ):
        with pytest.raises(ml.UserError, match="a context is of the batch that a module works on"):
            compose(context="image", **answers)


def test_a_unit_with_contexts_says_what_it_lacks_alone():
    unit = learner(contsup()).modules[1].units[0]
    with pytest.raises(ml.UserError, match="has a context of the image, and none was given"):
        unit.forward(np.zeros((2, 8, 8, 16), "float32"), PassContext())


@pytest.mark.parametrize("context", SOURCES)
def test_a_pass_through_one_unit_alone_is_given_what_its_contexts_read(context):
    """The shapes are those of the image, and of the input of the module below."""
    ours, ctx = learner(contsup(context=context)), PassContext()
    assert standing_alone(NET.units[0], ctx, np.zeros) is ctx
    unit = ours.modules[2].units[0]
    sources = standing_alone(unit, ctx, lambda shape: np.ones((2, *shape), "float32")).inputs
    assert isinstance(sources, ModuleInputs) and sources.below is not None
    image, below = sources.image, sources.below.value
    assert (image is not None) == (context != "below") and (below is not None) == (context != "image")
    assert image is None or image.shape == (2, 8, 8, 3)
    assert below is None or below.shape[1:] == NET.shapes[ours.modules[0].top]
    h = np.zeros((2, *NET.shapes[ours.modules[1].top]), "float32")
    assert unit.forward(h, replace(ctx, inputs=sources))[0].shape[1:] == NET.shapes[ours.modules[2].first]
