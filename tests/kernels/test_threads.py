"""Threads decide who computes a part, never what comes out: the same bits for any number of them."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import minilocal as ml
from minilocal.kernels import threads
from minilocal.kernels.threads import one_blas_thread, use_threads
from minilocal.verify.layers import CASES, by_engine, inputs
from tests.helpers.host import host

NUMBERS = (2, 3, 5)


@pytest.fixture(autouse=True)
def _as_many_threads_as_before():
    before = threads.threads()
    yield
    use_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_layers(case, dtype):
    t = inputs(case, dtype)
    with one_blas_thread():
        use_threads(1)
        alone = by_engine(t)
        for number in NUMBERS:
            use_threads(number)
            assert all(np.array_equal(host(a), host(alone[name])) for name, a in by_engine(t).items()), number


RULES = [ml.rules.bp(), ml.rules.gll(aux="1c2f"), ml.rules.backlink(length=2)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name} {rule.keep} {rule.accumulate}")
def test_training_steps(rule):
    net = ml.nets.resnet(8, classes=4, size=16, rng=ml.rng(0))
    x = ml.rng(1).standard_normal((19, 16, 16, 3)).astype("float32")
    y = np.arange(19) % 4

    def train(number: int) -> dict[str, np.ndarray]:
        use_threads(number)
        learner = ml.Learner(net, rule, 2, rng=ml.rng(0))
        for _ in range(3):
            learner.step(x, y, lr=0.1)
        return {**learner.state(), "logits": host(learner.predict(x))}

    alone = train(1)
    for number in NUMBERS:
        threaded = train(number)
        assert all(np.array_equal(threaded[name], a) for name, a in alone.items()), number


def test_the_users_own_blas_setting_does_not_matter_and_comes_back():
    net = ml.nets.mlp((300, 200), classes=4, size=8, rng=ml.rng(0))
    x, y = ml.rng(1).standard_normal((64, 8, 8, 3)).astype("float32"), np.arange(64) % 4

    def blas() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    results = []
    for limit in (1, 2):
        with threadpool_limits(limits=limit, user_api="blas"):
            before = blas()
            learner = ml.Learner(net, ml.rules.gll(), 2, rng=ml.rng(0))
            learner.step(x, y, lr=0.1)
            results.append((learner.predict(x), learner.gradients(x, y)[1]))
            assert blas() == before
    assert np.array_equal(host(results[0][0]), host(results[1][0]))
    assert all(np.array_equal(host(results[0][1][name]), host(g)) for name, g in results[1][1].items())
