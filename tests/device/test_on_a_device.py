"""Every rule and every network on a device, by a stand-in for one (tests/fake): the same numbers as on the host, no
wait and no copy inside a step, no wider type, and memory in the order that local learning promises."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import minilocal as ml
from minilocal.verify.compare import DOUBLE, errors
from tests.fake import cuda_on_host
from tests.fake.device import counting, fake

STEPS, MODULES = 4, 3
X, Y = ml.rng(1).standard_normal((6, 8, 8, 3)), np.array([0, 1, 2, 3, 1, 0])
RESNET8 = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
LINK = ml.boundaries.link(1)
RULES = {name: ml.rules.get(name) for name in ml.rules.NAMES} | {
    "bp, inputs": ml.rules.bp(keep="inputs"),
    "bp, micro-batches": ml.rules.bp(accumulate=2),
    "backlink, inputs": ml.rules.backlink(length=2, keep="inputs"),
    "backlink, aux-adapt": ml.rules.backlink(aux="aux-adapt", weighting="unfolded"),
    "asynchronous dgl": ml.rules.dgl(buffer=2, slowed=1, noise=0.5),
    "infopro, contrast": ml.rules.infopro(version="contrast"),
    "pgl around backlink": ml.rules.pgl(period=2, duration=1, around="backlink"),
    "pgl": ml.rules.pgl(period=2, duration=1),
    "fdg, recompute": ml.rules.fdg(backward_weights="recompute"),
    "fdg, current": ml.rules.fdg(backward_weights="current"),
    "backlink and infopro": ml.rules.compose(objective=ml.objectives.infopro(), boundary=LINK),
    "backlink and predsim, micro-batches": ml.rules.compose(
        objective=ml.objectives.predsim(), boundary=LINK, accumulate=2
    ),
}
NETS = {
    "mlp": lambda rng: ml.nets.mlp((12, 11, 10), classes=4, size=8, rng=rng),
    "wrn10-1": lambda rng: ml.nets.wrn(10, 1, classes=4, size=8, rng=rng),
    "resnet8, shortcut A": lambda rng: ml.nets.resnet(8, classes=4, size=8, rng=rng, shortcut="A-both"),
    "resnet18": lambda rng: ml.nets.resnet18(classes=4, size=8, rng=rng),
    "alexnet": lambda rng: ml.nets.alexnet(classes=4, hidden=16, rng=rng),
    "vgg16": lambda rng: ml.nets.vgg16(classes=4, hidden=16, rng=rng),
}
LARGE = ("resnet18", "vgg16")
NO_OTHER_KERNELS = (
    "bp, inputs", "backlink, inputs", "pgl around backlink", "fdg, recompute", "fdg, current", "backlink and infopro",
)  # fmt: skip
SCHEDULED = ("pgl", "ddg", "fdg", "asynchronous dgl")  # their later steps are not as the first two


@pytest.fixture(params=["plain forms", "kernels"])
def forms(request, monkeypatch):
    """Plain forms alone, as on any array library; and the CUDA kernels, built for the host."""
    if request.param == "kernels" and (reason := cuda_on_host.available()):
        pytest.skip(reason)
    monkeypatch.setattr(fake, "kernels", request.param == "kernels")
    monkeypatch.setattr(cuda_on_host, "checked", False)  # tests/kernels looks at every load and store
    return request.param


def make_learner(net, rule, modules=MODULES, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ml.Learner(net, rule, modules, rng=ml.rng(0), **options)


class Both:
    """A Learner on the host and its like on the device, in float64, which are held to be equal."""

    def __init__(self, net, rule, optimizer=None):
        options = {
            "dtype": "float64",
            "optimizer": optimizer or ml.optim.SGD(momentum=0.9, weight_decay=1e-3, nesterov=True),
        }
        self.host, self.device = make_learner(net, rule, **options), make_learner(net, rule, device=fake, **options)

    def step(self, step, x, y, uploads=0):
        """One step at a rate of its own, two an epoch; the device's waits for nothing, and nothing goes up to it."""
        batch, rate = (fake.asarray(x), fake.asarray(y)), 0.02 / (1 + step)
        self.host.epoch = self.device.epoch = step // 2
        with counting(collect=False) as counts:
            losses = self.device.step(*batch, lr=rate)
        assert (counts.syncs, counts.uploads) == (0, uploads), f"step {step}: {counts}"
        ours, losses = self.host.step(x, y, lr=rate), losses.get()
        assert losses.dtype == "f8" and np.array_equal(np.isnan(ours), np.isnan(losses))
        assert worst({"loss": np.nan_to_num(losses)}, {"loss": np.nan_to_num(ours)}) <= DOUBLE

    def are_equal(self, x):
        """Weights, statistics and predictions, after what was in flight has landed."""
        self.host.finish()
        self.device.finish()
        ours, theirs = ({**learner.parameters(), **learner.buffers()} for learner in (self.host, self.device))
        assert worst({name: a.get() for name, a in theirs.items()}, ours) <= DOUBLE
        assert worst({"logits": self.device.predict(fake.asarray(x)).get()}, {"logits": self.host.predict(x)}) <= DOUBLE


def both(net, rule, x, y, steps=STEPS, uploads=0, optimizer=None):
    pair = Both(net, rule, optimizer)
    for step in range(steps):
        pair.step(step, x, y, uploads)
    pair.are_equal(x)


def worst(ours, reference):
    return max(errors(ours, reference).values())


@pytest.mark.parametrize("name", RULES)
def test_every_rule(name, forms):
    if forms == "kernels" and name in NO_OTHER_KERNELS:
        pytest.skip("the same kernels run under another rule")
    both(RESNET8, RULES[name], X, Y, STEPS if forms == "plain forms" or name in SCHEDULED else 2)


@pytest.mark.parametrize("name", NETS)
def test_every_network(name, forms):
    if forms == "kernels" and name in LARGE:
        pytest.skip("the same layers are in a smaller network")
    net = NETS[name](ml.rng(0))
    N, steps = (2 if net.shape[0] == 32 else 4), (1 if name in ("alexnet", *LARGE) else 3)
    x = ml.rng(2).standard_normal((N, *net.shape))
    masks = 2 if forms == "plain forms" and name in ("alexnet", "vgg16") else 0  # the plain form draws on the host
    both(net, ml.rules.backlink(), x, Y[:N], steps, uploads=masks)


def test_adam(monkeypatch):
    monkeypatch.setattr(fake, "kernels", False)  # it has none
    both(RESNET8, ml.rules.gll(), X, Y, optimizer=ml.optim.Adam())


@pytest.mark.parametrize("name", ["backlink", "predsim", "infopro, contrast", "dni"])
def test_float32_stays_float32(name, forms):
    learner = make_learner(RESNET8, RULES[name], device=fake)
    x, y = fake.asarray(X.astype("f4")), fake.asarray(Y)
    for _ in range(3):  # as ever, recorded, repeated
        learner.step(x, y, lr=0.01)
    assert {str(a.dtype) for a in (*learner.parameters().values(), *learner.buffers().values())} == {"float32"}
    states = learner._training.optimizer_states.values()
    states = [a for state in states for a in state.values() if not isinstance(a, int)]  # without counters
    assert {str(a.dtype) for a in states} == {"float32"}
    assert learner.predict(x).dtype == "f4"


@pytest.mark.parametrize("name", ["backlink", "dni", "ddg", "fdg, current", "asynchronous dgl"])
def test_a_checkpoint_travels_between_homes(name, monkeypatch):
    monkeypatch.setattr(fake, "kernels", False)
    pair = Both(RESNET8, RULES[name])
    for step in range(STEPS):
        if step == 2:
            saved = pair.device.state(), pair.host.state()
            pair.host.restore(saved[0])
            pair.device.restore(saved[1])
        pair.step(step, X, Y)
    pair.are_equal(X)


def test_a_wait_inside_a_step_is_seen(monkeypatch):
    """What the tests above rest on. A first step is gone through once more, ahead, for its kernels."""
    forward = ml.layers.ReLU.forward
    monkeypatch.setattr(ml.layers.ReLU, "forward", lambda self, x, *a: (float(x[0, 0]), forward(self, x, *a))[1])
    with pytest.raises(AssertionError, match="syncs=6"):
        both(NETS["mlp"](ml.rng(0)), ml.rules.bp(), X, Y)


def test_host_batches_are_turned_away():
    learner = make_learner(RESNET8, ml.rules.gll(), device=fake)
    with pytest.raises(TypeError, match=r"fake and numpy arrays met in one call.*to_device"):
        learner.step(X.astype("f4"), Y, lr=0.1)
    with pytest.raises(TypeError, match=r"fake and numpy arrays met in one call.*to_device"):
        make_learner(RESNET8, ml.rules.gll()).step(fake.asarray(X.astype("f4")), Y, lr=0.1)


def test_bytes_fall_from_bp_over_backlink_to_gll(forms):
    """ResNet-32, K = 16: the most that a step ever held above what was there before."""
    net = ml.nets.resnet(32, size=16, rng=ml.rng(0))
    x, y = fake.asarray(ml.rng(1).standard_normal((4, 16, 16, 3), "f4")), fake.asarray(np.arange(4))
    peaks = {}
    for name in ("bp", "backlink", "gll"):
        options = {"device": fake, "optimizer": ml.optim.SGD(momentum=0), "cuda_graph": False}
        learner = make_learner(net, ml.rules.get(name), 16, **options)
        with counting() as counts:
            learner.step(x, y, lr=0.1)
        peaks[name] = counts.peak
    margin = 1.2 if forms == "plain forms" else 1.0  # of four small images; the kernels' partial sums do not shrink
    assert peaks["bp"] > margin * peaks["backlink"], peaks
    assert peaks["backlink"] > peaks["gll"], peaks  # by little: docs/benchmarks/memory.md


def test_a_step_leaves_nothing_behind(forms):
    learner = make_learner(RESNET8, ml.rules.backlink(), device=fake, cuda_graph=False)
    x, y = fake.asarray(X.astype("f4")), fake.asarray(Y)
    learner.step(x, y, lr=0.1)
    with counting() as counts:
        learner.step(x, y, lr=0.1)
    assert counts.live == 0
