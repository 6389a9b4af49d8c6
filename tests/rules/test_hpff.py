"""HPFF: its limits bit for bit, what crosses and what stays, one commit of running statistics, and its doors."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import ops
from minilocal.engine.hooks import Hook, hooked
from minilocal.layers import PassContext
from minilocal.locality.influence import toy_net
from minilocal.objectives import Batch
from minilocal.rules import hpff
from minilocal.verify import certificate
from minilocal.verify.compare import DOUBLE, errors
from tests.helpers.host import host

X = ml.rng(1).standard_normal((6, 8, 8, 3)).astype("float32")
Y = np.array([0, 1, 2, 3, 1, 0])
NET = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))  # 4 units
TASK = (0.0, 1.0, 0.0, 1.0)  # λ of a cascade that only classifies
LAMBDAS = (5.0, 0.5, 0.25, 2.0)
Arrays = dict[str, Any]


def learner(rule: ml.rules.Rule, modules: Any, heads: str = "", net: ml.nets.Net = NET) -> ml.Learner:
    """A Learner whose auxiliary networks have the arrays of HPFF's head of that name."""
    ours = ml.Learner(net, rule, modules, rng=ml.rng(0))
    if heads:
        theirs = ml.Learner(net, hpff(), modules, rng=ml.rng(0))
        arrays = {**theirs.parameters(), **theirs.buffers()}
        ours.load({n: arrays[with_head(n, heads)] for n in (*ours.parameters(), *ours.buffers()) if n in own(ours)})
    return ours


def own(ours: ml.Learner) -> set[str]:
    """The names of auxiliary arrays that HPFF has too: none of module 1."""
    return {n for n in (*ours.parameters(), *ours.buffers()) if n.startswith("aux.") and not n.startswith("aux.0.")}


def with_head(name: str, head: str) -> str:
    return re.sub(r"^aux\.(\d+)\.", rf"aux.\1.{head}.", name)


def gradients(ours: ml.Learner) -> Arrays:
    losses, grads = ours.gradients(X, Y)
    return {"losses": host(losses)} | {name: host(g) for name, g in grads.items()}


def of_module(ours: ml.Learner, *modules: int) -> list[str]:
    return [name for k in modules for name in ours.modules[k].parameters()]


# ---------------------------------------------------------------------- limits


@pytest.mark.parametrize("modules", [2, 3, 4, [1, 3], [2, 1, 1]], ids=str)
def test_with_its_own_head_alone_it_is_gll_above_module_1(modules):
    with warnings.catch_warnings(action="ignore"):  # module 1 learns nothing, as it says
        ours = learner(hpff(own=1.0, cascade=0.0), modules)
    gll = learner(ml.rules.gll(aux="2c2f"), modules, "own")
    a, b = gradients(ours), gradients(gll)
    K = len(ours.modules)
    for name in of_module(ours, *range(1, K)) + [n for n in b if n in own(gll) or n.startswith("fc")]:
        assert np.array_equal(a[with_head(name, "own")], b[name]), name
    assert np.array_equal(a["losses"][1:], b["losses"][1:]) and np.isnan(a["losses"][0])
    assert not any(a[name].any() for name in of_module(ours, 0)), "module 1 hears the cascade of module 2 alone"


@pytest.mark.parametrize("modules", [2, 3, 4, [1, 3], [2, 1, 1]], ids=str)
def test_with_a_classifying_cascade_alone_it_is_gll_and_interlocking_added(modules):
    """Module 1 has no loss, so it is Interlocking's with n = 1; the last hears no other, so it is BP's."""
    ours = learner(hpff(own=0.0, cascade=1.0, lambdas=TASK), modules)
    gll, next_loss = (
        gradients(learner(rule, modules, "cascade"))
        for rule in (ml.rules.gll(aux="2c2f"), ml.rules.interlocking(reach=1, aux="2c2f"))
    )
    bp, a, last = gradients(learner(ml.rules.bp(), modules)), gradients(ours), len(ours.modules) - 1
    for name in of_module(ours, 0):
        assert np.array_equal(a[name], next_loss[name])
    for name in of_module(ours, last):
        assert np.array_equal(a[name], bp[name])
    for name in of_module(ours, *range(1, last)):
        assert np.array_equal(a[name], gll[name] + next_loss[name])


@pytest.mark.parametrize("modules", [1, 2, [1, 3], [3, 1]], ids=str)
@pytest.mark.parametrize("keep", ["caches", "inputs"])
def test_without_own_heads_it_is_bp_on_up_to_two_modules(modules, keep):
    ours, bp = learner(hpff(own=0.0, cascade=1.0, keep=keep), modules), learner(ml.rules.bp(), modules)
    for _ in range(3):
        a, b = ours.step(X, Y, lr=0.1), bp.step(X, Y, lr=0.1)
        assert np.array_equal(host(a), host(b), equal_nan=True)
    state, expected = ours.state(), bp.state()
    assert all(np.array_equal(host(state[name]), host(expected[name])) for name in expected)


def test_with_one_patch_the_cascade_is_infopro():
    a = gradients(learner(hpff(own=0.0, cascade=1.0, lambdas=LAMBDAS, patches=1, aux="0c1f"), 3))
    infopro = ml.Learner(NET, ml.rules.infopro(lambdas=LAMBDAS, aux="0c1f"), 3, rng=ml.rng(0))
    heads = {"classifier": "cascade", "decoder": "patch0"}
    theirs = ml.Learner(NET, hpff(patches=1, aux="0c1f"), 3, rng=ml.rng(0))
    arrays = {**theirs.parameters(), **theirs.buffers()}
    names = [n for n in (*infopro.parameters(), *infopro.buffers()) if n.startswith("aux.1.")]
    renamed = {n: re.sub("classifier|decoder", lambda m: heads[m[0]], n) for n in names}
    infopro.load({n: arrays[new] for n, new in renamed.items()})
    b = gradients(infopro)
    assert all(np.array_equal(a[renamed[n]], b[n]) for n in names if n in b)
    assert abs(a["losses"][1] / b["losses"][1] - 1) < 1e-15  # two float64 summands, in the other order


@pytest.mark.parametrize(("weights", "head"), [((0.4, 0.6), "cascade"), ((0.0, 0.6), "cascade"), ((0.4, 0.0), "own")])
def test_local_logits_are_the_cascades_where_it_has_a_weight(weights, head):
    own, cascade = weights
    with warnings.catch_warnings(action="ignore"):  # of a cascade of 0, which leaves module 1 without a loss
        ours = learner(hpff(own=own, cascade=cascade), 3)
    heads = ours.modules[1].objective
    assert isinstance(heads, ml.objectives.TwoHeads)
    h = ml.rng(2).standard_normal((6, 4, 4, 32)).astype("float32")
    ctx = PassContext(training=False)
    expected = host((heads.own if head == "own" else heads.cascade).logits(h, ctx))
    assert expected.shape == (6, 4) and np.array_equal(host(heads.logits(h, ctx)), expected)


def test_the_multiply_adds_are_those_of_both_heads():
    heads = learner(hpff(), 3).modules[1].objective
    assert isinstance(heads, ml.objectives.TwoHeads)
    shape = (4, 4, 32)
    behind = [branch.network.macs(shape) for part in (heads.own, heads.cascade) for branch in part.branches]
    assert len(behind) == 6 and heads.macs(shape) == sum(behind) > 0


def test_each_decoder_reconstructs_its_own_patch_of_the_image():
    """A number moved in one quarter of the image changes the loss of one decoder."""
    heads = learner(hpff(), 3).modules[1].objective
    assert isinstance(heads, ml.objectives.TwoHeads)
    decoders = heads.cascade.branches[1:]
    z = ml.rng(2).standard_normal((6, 4, 4, 3))

    def losses(x: Any) -> list[float]:
        return [float(branch.loss(z, Batch(x, Y))[0]) for branch in decoders]

    for number, (row, column) in enumerate([(1, 2), (3, 4), (4, 3), (7, 7)]):
        x = X.copy()
        x[0, row, column] += 0.5
        assert [a != b for a, b in zip(losses(x), losses(X), strict=True)] == [k == number for k in range(4)]


def test_a_cascade_of_a_classifier_is_gll_and_interlocking_added():
    """Its module 1 has a loss, so the sum holds there too."""
    classifier = ml.objectives.classifier("0c1f")
    a, gll, next_loss = (
        gradients(learner(ml.rules.compose(objective=classifier, boundary=boundary), 4))
        for boundary in (ml.boundaries.cascade(), ml.boundaries.closed(), ml.boundaries.reach(1))
    )
    ours = learner(ml.rules.gll(), 4)
    assert all(np.array_equal(a[name], gll[name] + next_loss[name]) for name in of_module(ours, 0, 1, 2))
    assert all(np.array_equal(a[name], gll[name]) for name in of_module(ours, 3))


def test_where_no_error_crosses_the_gradients_of_both_heads_add_up():
    """The gradients are linear in the two weights."""

    def of(own: float, cascade: float) -> Arrays:
        rule = ml.rules.compose(objective=ml.objectives.hpff(own=own, cascade=cascade), boundary=ml.boundaries.closed())
        with warnings.catch_warnings(action="ignore"):  # of a cascade of 0, which leaves module 1 without a loss
            return gradients(ml.Learner(NET, rule, 3, rng=ml.rng(0), dtype="float64"))

    both, own, cascade = of(0.4, 0.6), of(0.4, 0.0), of(0.0, 0.6)
    expected = {name: own[name] + cascade[name] for name in both if name != "losses"}
    assert max(errors({name: both[name] for name in expected}, expected).values()) <= DOUBLE
    middle = of_module(learner(hpff(), 3), 1)
    assert all(np.any(own[name]) and np.any(cascade[name]) for name in middle)


def test_kept_inputs_give_the_same_bits():
    a, b = (gradients(learner(hpff(own=0.4, keep=keep), 4)) for keep in ("caches", "inputs"))
    assert all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)


# ---------------------------------------------------------------------- what crosses, and what is updated


def test_the_error_of_the_own_head_stays_in_its_module():
    """Its weight changes nothing below: module 1 at K = 2 to 4, and module 2 only by its own head."""
    for K in (2, 3, 4):
        little, much = (gradients(learner(hpff(own=w), K)) for w in (0.0, 0.5))
        ours = learner(hpff(), K)
        assert all(np.array_equal(little[name], much[name]) for name in of_module(ours, 0))
        assert not any(np.array_equal(little[name], much[name]) for name in of_module(ours, 1))


class Calls(Hook):
    """The backwards of a module's parts, with what each is for."""

    def __init__(self, module: int, calls: list[tuple[int, Any, str]]) -> None:
        self.module, self.calls = module, calls

    def after_backward(self, part: Any, error: Any, grads: Any) -> Any:
        self.calls.append((self.module, part, "weights" if error is None else "both"))
        return error


def test_two_backwards_of_a_module_and_one_of_the_module_below():
    ours, calls = learner(hpff(), 3), list[tuple[int, Any, str]]()
    with hooked(ours.modules, [Calls(k, calls) for k in range(3)]):
        ours.gradients(X, Y)
    assert calls == [
        (1, "objective", "both"), (1, 0, "weights"), (1, 0, "both"), (0, 1, "both"), (0, 0, "weights"),
        (2, "objective", "both"), (2, 0, "weights"), (2, 0, "both"), (1, 0, "weights"),
    ]  # fmt: skip


@pytest.mark.parametrize("net", [NET, ml.nets.get("wrn10-1", classes=4, size=8, rng=ml.rng(0))], ids=lambda n: n.name)
def test_running_statistics_are_committed_once(net):
    """Also those of a head that both losses of the last module have."""
    ours, bp = (learner(rule, 3, net=net) for rule in (hpff(), ml.rules.bp()))
    before = {n: host(b).copy() for n, b in ours.buffers().items()}
    for each in (ours, bp):
        each.step(X, Y, lr=0.0)
    of_heads = {n for n in before if n.startswith("aux.1.")}
    assert {n.split(".")[2] for n in of_heads} >= {"own", "cascade"}
    assert not any(np.array_equal(host(ours.buffers()[n]), before[n]) for n in of_heads), "each head's own"
    assert bp.buffers() and all(np.array_equal(host(ours.buffers()[n]), host(b)) for n, b in bp.buffers().items())


@pytest.mark.parametrize("own", [0.0, 0.3])
def test_finite_differences_along_random_directions(own, monkeypatch):
    monkeypatch.setattr(certificate, "_by_jax", lambda *a: (None, "by differences"))
    result = certificate.certify(hpff(own=own, aux="0c1f", lambdas=LAMBDAS), toy_net(5), (2, 2, 1))
    assert result and "by differences" in repr(result), result
    assert "unit 2   ∂L_2\n    unit 3   ∂L_2 + ∂L_3 + ∂L_2,own\n" in repr(result)


def test_differences_see_an_own_error_that_is_lost(monkeypatch):
    monkeypatch.setattr(certificate, "_by_jax", lambda *a: (None, "by differences"))
    right = ops.mix
    monkeypatch.setattr(ops, "mix", lambda pairs, a, b: right(pairs, a * (1 - 1e-5), b))
    result = certificate.certify(hpff(own=0.3, aux="0c1f", lambdas=LAMBDAS), toy_net(5), (2, 2, 1))
    assert [claim.what for claim in result.claims if not claim.holds] == ["gradients of units"]


# ---------------------------------------------------------------------- at the door


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"own": -0.1}, "HPFF's weight own -0.1 is outside"),
        ({"cascade": "much"}, "HPFF's weight cascade 'much'"),
        ({"own": float("nan")}, "HPFF's weight own nan"),
        ({"own": 0.0, "cascade": 0.0}, "own and cascade are both 0"),
        ({"patches": 0}, "HPFF's patches = 0"),
        ({"patches": 1.5}, "HPFF's patches = 1.5"),
        ({"lambdas": (1, 2)}, "give four"),
        ({"aux": "3c3f"}, "auxiliary network '3c3f'"),
    ],
    ids=str,
)
def test_bad_options(options, why):
    with pytest.raises(ml.UserError, match=why):
        hpff(**options)


def test_maps_smaller_than_the_patches_and_vectors_are_refused():
    with pytest.raises(ml.UserError, match=r"take 5×5 patches of a map, but module 3 of 4 ends with \(4, 4, 32\)"):
        learner(hpff(patches=5), 4)
    with pytest.raises(ml.UserError, match=r"but module 2 of 3 ends with \(4,\): use fewer modules"):
        learner(hpff(), 3, net=ml.nets.mlp((4, 4), classes=4, size=8, rng=ml.rng(0)))


def test_a_module_that_learns_from_one_loss_cannot_have_an_error_that_stays():
    with pytest.raises(ml.UserError, match="use boundary=cascade, link or closed"):
        ml.rules.compose(objective=ml.objectives.hpff(), boundary=ml.boundaries.reach(1))


class Divides(ml.objectives.ObjectiveSpec):
    """Says that its errors divide, and builds a plain classifier."""

    divides = True


def test_an_own_objective_that_says_that_it_divides_and_does_not():
    with pytest.raises(ml.UserError, match="has no 'backward_divided'"):
        learner(ml.rules.compose(objective=Divides(), boundary=ml.boundaries.cascade()), 1)


@pytest.mark.parametrize(
    ("options", "why"),
    [({"lambdas": (5, 0.5, 0, 0)}, "λ1 and λ2 of module 2 are 0"), ({"own": 1.0, "cascade": 0.0}, "cascade is 0")],
)
def test_a_module_1_that_learns_nothing_is_warned_of(options, why):
    with pytest.warns(UserWarning, match=f"^HPFF: {why}, and module 1 has no loss of its own: it learns nothing"):
        learner(hpff(**options), 3)


def test_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for K in (1, 2, 3, 4):
            learner(hpff(), K)
