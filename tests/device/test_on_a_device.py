"""Every rule and every network on a device, by a stand-in for one (tests/fake): the same numbers as on the host, no
wait and no copy inside a step, no wider type, and memory in the order that local learning promises."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import minilocal as ml
from minilocal.verify.measure import DOUBLE, errors
from tests.fake import cuda_on_host
from tests.fake.device import counting, fake

STEPS, MODULES = 4, 3
X, Y = ml.rng(1).standard_normal((6, 8, 8, 3)), np.array([0, 1, 2, 3, 1, 0])
RESNET8 = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
LINK = ml.crosses.link(1)
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
    "backlink and infopro": ml.rules.compose(wants=ml.wants.infopro(), crosses=LINK),
    "backlink and predsim, micro-batches": ml.rules.compose(wants=ml.wants.predsim(), crosses=LINK, accumulate=2),
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


@pytest.fixture(params=["plain forms", "kernels"])
def forms(request, monkeypatch):
    """Plain forms alone, as on any array library; and the CUDA kernels, built for the host."""
    if request.param == "kernels" and (reason := cuda_on_host.available()):
        pytest.skip(reason)
    monkeypatch.setattr(fake, "kernels", request.param == "kernels")
    monkeypatch.setattr(cuda_on_host, "checked", False)  # tests/kernels looks at every load and store
    return request.param


def learner(net, rule, modules=MODULES, **how):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ml.Learner(net, rule, modules, rng=ml.rng(0), **how)


def both(net, rule, x, y, steps=STEPS, optimizer=None, uploads=0):
    """The same steps on the host and on the device, every one at another rate and two an epoch; holds that the device's
    neither wait nor copy, and that losses, parameters, statistics and predictions are equal."""
    optimizer = optimizer or ml.optim.SGD(momentum=0.9, weight_decay=1e-3, nesterov=True)
    host = learner(net, rule, dtype="float64", optimizer=optimizer)
    there = learner(net, rule, dtype="float64", optimizer=optimizer, device=fake)
    batch = fake.asarray(x), fake.asarray(y)
    for step in range(steps):
        host.epoch = there.epoch = step // 2
        rate = 0.1 / (1 + step)
        ours = host.step(x, y, lr=rate)
        with counting() as counts:
            losses = there.step(*batch, lr=rate)
        assert (counts.syncs, counts.uploads) == (0, uploads), f"step {step}: {counts}"
        assert losses.dtype == "f8" and np.array_equal(np.isnan(ours), np.isnan(losses.get()))
        assert worst({"loss": np.nan_to_num(losses.get())}, {"loss": np.nan_to_num(ours)}) <= DOUBLE
    host.finish()
    there.finish()
    held = [{**made.parameters(), **made.buffers()} for made in (there, host)]
    assert worst({name: a.get() for name, a in held[0].items()}, held[1]) <= DOUBLE
    assert worst({"logits": there.predict(batch[0]).get()}, {"logits": host.predict(x)}) <= DOUBLE


def worst(ours, reference):
    return max(errors(ours, reference).values())


@pytest.mark.parametrize("name", RULES)
def test_every_rule(name, forms):
    both(RESNET8, RULES[name], X, Y)


@pytest.mark.parametrize("name", NETS)
def test_every_network(name, forms):
    if forms == "kernels" and name in LARGE:
        pytest.skip("the same layers are in a smaller network")
    net = NETS[name](ml.rng(0))
    few = 2 if name in ("alexnet", *LARGE) else 4
    x = ml.rng(2).standard_normal((few, *net.shape))
    masks = 2 if forms == "plain forms" and name in ("alexnet", "vgg16") else 0  # the plain form draws on the host
    both(net, ml.rules.backlink(), x, Y[:few], steps=few, uploads=masks)


def test_adam(forms):
    both(RESNET8, ml.rules.gll(), X, Y, optimizer=ml.optim.Adam())


@pytest.mark.parametrize("name", ["backlink", "predsim", "infopro, contrast", "dni"])
def test_float32_stays_float32(name, forms):
    made = learner(RESNET8, RULES[name], device=fake)
    x, y = fake.asarray(X.astype("f4")), fake.asarray(Y)
    for _ in range(3):  # as ever, recorded, repeated
        made.step(x, y, lr=0.01)
    assert {str(a.dtype) for a in (*made.parameters().values(), *made.buffers().values())} == {"float32"}
    assert {str(a.dtype) for state in made._state.values() for a in state.values()} == {"float32"}
    assert made.predict(x).dtype == "f4"


def test_a_wait_inside_a_step_is_seen(monkeypatch):
    """What the tests above rest on: a layer that looks at a number is found."""
    forward = ml.layers.ReLU.forward if hasattr(ml.layers, "ReLU") else None
    assert forward is not None
    monkeypatch.setattr(ml.layers.ReLU, "forward", lambda self, x, *a: (float(x[0, 0]), forward(self, x, *a))[1])
    with pytest.raises(AssertionError, match="syncs=3"):
        both(NETS["mlp"](ml.rng(0)), ml.rules.bp(), X, Y)


def test_host_batches_are_turned_away():
    made = learner(RESNET8, ml.rules.gll(), device=fake)
    with pytest.raises(TypeError, match=r"fake and numpy arrays met in one call.*to_device"):
        made.step(X.astype("f4"), Y, lr=0.1)
    with pytest.raises(TypeError, match=r"fake and numpy arrays met in one call.*to_device"):
        learner(RESNET8, ml.rules.gll()).step(fake.asarray(X.astype("f4")), Y, lr=0.1)


def test_bytes_fall_from_bp_over_backlink_to_gll(forms):
    """ResNet-32, K = 16: the most that a step ever held above what was there before."""
    net = ml.nets.resnet(32, size=16, rng=ml.rng(0))
    x, y = fake.asarray(ml.rng(1).standard_normal((4, 16, 16, 3), "f4")), fake.asarray(np.arange(4))
    peaks = {}
    for name in ("bp", "backlink", "gll"):
        made = learner(net, ml.rules.get(name), 16, device=fake, cuda_graph=False)
        made.step(x, y, lr=0.1)  # velocities are made
        with counting() as counts:
            made.step(x, y, lr=0.1)
        peaks[name] = counts.peak
    assert peaks["bp"] > 1.4 * peaks["backlink"] and peaks["backlink"] > 1.05 * peaks["gll"], peaks


def test_a_step_leaves_nothing_behind(forms):
    made = learner(RESNET8, ml.rules.backlink(), device=fake, cuda_graph=False)
    x, y = fake.asarray(X.astype("f4")), fake.asarray(Y)
    made.step(x, y, lr=0.1)
    with counting() as counts:
        made.step(x, y, lr=0.1)
    assert counts.live == 0
