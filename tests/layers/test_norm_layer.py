"""Batch norm's running statistics: committed once, by rules that are written down, and never by a forward."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minilocal import layers as ml
from minilocal import streams
from minilocal.layers import PassContext
from tests.helpers.host import host


def test_update_running_stats_moves_a_tenth_of_the_way_and_the_variance_is_unbiased():
    bn, x = ml.BatchNorm(3, name="bn"), 2 + 3 * streams.rng(0).standard_normal((4, 5, 6, 3))
    p = {name: a.astype("float64") for name, a in bn.arrays.items()}
    p["bn.running_mean"][:], p["bn.running_var"][:] = [1, 2, 3], [4, 5, 6]
    _, cache = bn.forward(x, PassContext(), p)
    assert np.array_equal(host(p["bn.running_mean"]), [1, 2, 3]), "a forward commits nothing"
    bn.update_running_stats(cache, p)
    rows = x.reshape(-1, 3)
    mean, variance = host(p["bn.running_mean"]), host(p["bn.running_var"])
    assert np.allclose(mean, 0.9 * np.array([1, 2, 3]) + 0.1 * rows.mean(axis=0), rtol=1e-12)
    assert np.allclose(variance, 0.9 * np.array([4, 5, 6]) + 0.1 * rows.var(axis=0, ddof=1), rtol=1e-12)


def test_the_error_of_a_shortcut_is_computed_for_a_shortcut_alone(monkeypatch):
    from minilocal.layers import norm

    asked: list[bool] = []
    backward = vars(norm)["batch_norm_backward"]

    def counted(*args: Any) -> Any:
        asked.append(args[-1])
        return backward(*args)

    monkeypatch.setattr(norm, "batch_norm_backward", counted)
    bn, x = ml.BatchNormReLU(2, name="bn"), streams.rng(0).standard_normal((8, 2)).astype("float32")
    y, cache = bn.forward(x, PassContext())
    bn.backward(y, cache)
    bn.backward_both(y, cache)
    assert asked == [False, True]


def test_an_evaluation_has_nothing_to_commit():
    bn, x = ml.BatchNorm(2, name="bn"), streams.rng(0).standard_normal((8, 2)).astype("float32")
    _, cache = bn.forward(x, PassContext(training=False))
    bn.update_running_stats(cache)
    assert np.array_equal(host(bn.buffers["bn.running_mean"]), [0, 0])
    assert np.array_equal(host(bn.buffers["bn.running_var"]), [1, 1])


@pytest.mark.parametrize("momentum", [0.1, 0.9])
def test_momentum_is_the_weight_of_the_new_batch(momentum):
    bn = ml.BatchNormReLU(2, name="bn", momentum=momentum)
    x = streams.rng(0).standard_normal((9, 2)).astype("float32") + 5
    bn.update_running_stats(bn.forward(x, PassContext())[1])
    assert np.allclose(host(bn.buffers["bn.running_mean"]), momentum * x.mean(axis=0), rtol=1e-6)
    assert bn.buffers["bn.running_var"].dtype == np.float32


@pytest.mark.parametrize("block", ["residual", "projection", "pre"])
def test_a_block_commits_each_of_its_norms_once(block):
    makers: dict[str, Callable[[], Any]] = {
        "residual": lambda: ml.Residual(4, 4, 1, streams.rng(0), name="b"),
        "projection": lambda: ml.Residual(3, 4, 2, streams.rng(0), name="b"),
        "pre": lambda: ml.PreActivation(3, 4, 2, streams.rng(0), name="b"),
    }
    unit = makers[block]()
    x = streams.rng(1).standard_normal((6, 4, 4, unit.conv1.inputs)).astype("float32")
    before = {name: a.copy() for name, a in unit.buffers.items()}
    _, cache = unit.forward(x, PassContext())
    assert all(np.array_equal(host(before[name]), host(a)) for name, a in unit.buffers.items())
    unit.update_running_stats(cache)
    once = {name: a.copy() for name, a in unit.buffers.items()}
    assert all(not np.array_equal(host(before[name]), host(a)) for name, a in once.items())
    means = [name for name in once if name.endswith("running_mean")]
    unit.update_running_stats(cache)
    for name in means:  # from 0: a tenth of the mean, then 0.19 of it
        assert np.allclose(host(unit.buffers[name]), host(1.9 * once[name]), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shape", [(4096, 2), (16, 16, 16, 8)], ids=str)
def test_a_mean_of_ten_thousand_deviations_leaves_a_normal_batch(shape):
    """In float32, with the statistics exact, y is off by no more than the input's own last digit."""
    x = (streams.rng(0).standard_normal(shape) + 1e4).astype("float32")
    y, _ = ml.BatchNorm(shape[-1]).forward(x, PassContext())
    exact = x.astype("float64").reshape(-1, shape[-1])
    exact = (exact - exact.mean(axis=0)) / np.sqrt(exact.var(axis=0) + 1e-5)
    assert np.abs(y.reshape(exact.shape) - exact).max() < 1e-3
