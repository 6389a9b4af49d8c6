"""What `numpy.seterr` says changes no result: underflow is 0, and an overflow is reported as the caller asked."""

import numpy as np
import pytest

import minilocal as ml
from minilocal import losses
from minilocal.array import Array
from minilocal.kernels.threads import threads, use_threads
from minilocal.rules import NAMES
from minilocal.verify.layers import CASES, by_engine, inputs
from tests.helpers.host import host

LABELS = np.array([0, 1, 2, 0])
IMAGES = ml.rng(1).standard_normal((4, 8, 8, 3)).astype("float32")
IMAGES[0] *= np.float32(1e-36)  # their products underflow


def extreme(dtype: str) -> np.ndarray:
    """Logits of which most exponentials underflow, beside zeros, and the smallest numbers, whose squares underflow."""
    tiny = np.finfo(dtype).tiny
    return np.array([[0, -200, 50], [3e3, -3e3, 0], [0, 0, 0], [tiny, 2 * tiny, 8 * tiny]], dtype)


LOSSES = {
    "cross_entropy": lambda z: losses.cross_entropy(z, LABELS),
    "squared_error": lambda z: losses.squared_error(z, np.zeros_like(z)),
    "binary_cross_entropy": lambda z: losses.binary_cross_entropy(z, np.full_like(z, 0.5)),
    "similarity": lambda z: losses.similarity(z, LABELS, 3),
    "similarity of maps": lambda z: losses.similarity(np.repeat(z[:, None, None], 2, 1).repeat(2, 3), LABELS, 3),
    "supervised_contrast": lambda z: losses.supervised_contrast(z, LABELS),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, dtype):
    z = extreme(dtype)
    with np.errstate(all="ignore"):
        silent = LOSSES[name](z)
    with np.errstate(all="raise"):
        value, error = LOSSES[name](z)
    assert value == silent[0] and np.array_equal(host(error), host(silent[1])) and np.isfinite(host(error)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_layers(case, dtype):
    t = inputs(case, dtype)
    silent = by_engine(t)
    with np.errstate(all="raise"):
        assert all(np.array_equal(host(a), host(silent[name])) for name, a in by_engine(t).items())


def trained(rule: str, number: int) -> list[Array]:
    """All that comes of three steps by Adam, with logits that saturate."""
    net = ml.nets.resnet(8, classes=3, size=8, rng=ml.rng(0))
    learner = ml.Learner(net, ml.rules.get(rule), 2, rng=ml.rng(0), optimizer=ml.optim.Adam())
    learner.parameters()["fc.weight"][...] *= np.float32(1e3)
    before = threads()
    use_threads(number)
    try:
        steps = [learner.step(IMAGES, LABELS, lr=1e-6) for _ in range(3)]
        learner.finish()
        predictions = [learner.predict(IMAGES), *(z for z in learner.local_logits(IMAGES) if z is not None)]
        return [*steps, *predictions, *learner.state().values()]
    finally:
        use_threads(before)


@pytest.mark.parametrize("rule", NAMES)
def test_a_step_of_every_rule(rule):
    silent = trained(rule, 1)
    for number in (1, 3):
        with np.errstate(all="raise"):
            raising = trained(rule, number)
        assert all(
            np.array_equal(host(a), host(b), equal_nan=a.dtype.kind == "f")
            for a, b in zip(raising, silent, strict=True)
        )


@pytest.mark.parametrize("number", [1, 3])
def test_an_overflow_is_the_callers_to_hear_of(number):
    before = threads()
    use_threads(number)
    learner = ml.Learner(ml.nets.resnet(8, size=8, rng=ml.rng(0)), ml.rules.bp(), 1, rng=ml.rng(0))
    learner.parameters()["conv1.weight"][...] *= np.float32(1e30)  # what it computes is too large to be squared
    try:
        with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
            learner.step(IMAGES, LABELS, lr=0.1)
    finally:
        use_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_perfect_loss_is_0_and_not_minus_0(dtype):
    z = np.array([[3e3, -3e3, 0], [-3e3, 3e3, 0]], dtype)
    for value, _ in (losses.cross_entropy(z, LABELS[:2]), losses.supervised_contrast(z[:1], LABELS[:1])):
        assert value == 0 and not np.signbit(host(value))
