"""float32 on a device: the rows pass where kernels round as CuPy's builds do, and fail for every wrong factor.

The kernels are those of a GPU, run on the host with a·b + c rounded once and with flush to zero. Faults are put into
the device's forms alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from minilocal import device, rules, streams
from minilocal import ops as operations
from minilocal.kernels import cuda
from minilocal.kernels.cuda import im2col
from minilocal.ops import dispatch
from minilocal.verify import layers as layer_checks
from minilocal.verify import nets as net_checks
from minilocal.verify.compare import SINGLE
from minilocal.verify.device import learners, ops, rows, single
from minilocal.verify.device.learners import Subject
from minilocal.verify.device.masks import given_masks, recorded_masks
from minilocal.verify.small_nets import network
from tests.fake import cuda_on_host
from tests.fake.device import fake
from tests.helpers import tf32

pytestmark = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))


@pytest.fixture(autouse=True)
def contracted(monkeypatch):
    monkeypatch.setattr(cuda_on_host, "contracted", True)
    monkeypatch.setattr(cuda_on_host, "checked", False)


def subject(rule, net="convolutions"):
    return Subject(rule.name, network(net), rule, 2)


def net_row(name):
    net = net_checks.CASES[name](streams.rng(0))
    return lambda: single.in_units(partial(learners.differentiated, Subject("", net, rules.bp(), 1)), fake)


def rule_row(rule, net="convolutions"):
    return lambda: single.in_units(partial(learners.one_step, subject(rule, net)), fake)


def head_row(aux):
    run = partial(learners.differentiated, subject(rules.gll(aux=aux)))
    return lambda: single.in_units(run, fake)


def layer_row(kind):
    cases = [case for case in layer_checks.CASES if case.kind == kind][:3]
    return lambda: {str(c): max(rows._layer(c, fake, "float32").values()) / SINGLE for c in cases}


def op_row(op):
    cases = ops.cases()[op][2:20:3]
    return lambda: {c.name: max(ops.relative_errors(c, fake, "float32").values()) / SINGLE for c in cases}


ROWS = {  # row: (its check, its limit)
    "a network": (net_row("resnet8, shortcut B"), single.OWN),
    "BP": (rule_row(rules.bp()), single.OWN),
    "BackLink": (rule_row(rules.backlink()), single.OWN),
    "heads": (head_row("1c2f"), single.OWN),
}
PLAIN = {op: (op_row(op), 1.0) for op in ("conv2d", "conv2d_backward", "batch_norm_apply", "batch_norm_backward")} | {
    kind: (layer_row(kind), 1.0) for kind in ("Conv", "BatchNormReLU", "Residual")
}


def worst(row):
    check, limit = row
    return max(check().values()) / limit


@pytest.mark.parametrize("name", ROWS | PLAIN)
def test_a_healthy_device_passes(name):
    assert worst((ROWS | PLAIN)[name]) <= 1


# ---------------------------------------------------------------------- faults


def wrong_factor(right, *args):
    dx, dW = right(*args)
    return dx, None if dW is None else dW * np.float32(1.01)


def without_beta(right, z, mean, r, gamma, beta, *more):
    return right(z, mean, r, gamma, 0 * beta, *more)


def without_rows(right, dy, z, mean, r, gamma, a=None, both=True):
    """dz = γ r (dy - dβ - n dγ/M): a 1/M is missing."""
    dz, dgamma, dbeta, dadd = right(dy, z, mean, r, gamma, a, both)
    M = z.size // z.shape[-1]
    return dz - gamma * r * (dbeta - dbeta / M), dgamma, dbeta, dadd


def shifted(right, x, W, stride=1, pad=0, *eps):
    """One row of pixels too many is padded on one side."""
    lower = fake.zeros_like(x)
    lower[:, 1:] = x[:, :-1]
    return right(lower if pad else x, W, stride, pad, *eps)


# fault: (operation, its wrong form, the rows that it affects)
FAULTS: dict[str, tuple[str, Callable[..., Any], list[str]]] = {
    "dW is 1.01 dW": ("conv2d_backward", wrong_factor, [*ROWS, "conv2d_backward", "Conv", "Residual"]),
    "no 1/M": ("batch_norm_backward", without_rows, [*ROWS, "batch_norm_backward", "BatchNormReLU", "Residual"]),
    "no β": ("batch_norm_apply", without_beta, [*ROWS, "batch_norm_apply", "BatchNormReLU", "Residual"]),
    "pad off by one": ("conv2d", shifted, [*ROWS, "conv2d", "Conv", "Residual"]),
    "1.001 z": ("conv2d", lambda right, *args: right(*args) * np.float32(1.001), ["conv2d", "Conv"]),
    "no ReLU": (
        "batch_norm_apply",
        lambda right, *args: right(*args[:6]),
        [*ROWS, "batch_norm_apply", "BatchNormReLU", "Residual"],
    ),
    "biased running variance": (
        "batch_norm_update_running",
        lambda right, updates: right([u._replace(batch=u.batch._replace(rows=10**9)) for u in updates]),
        ["BP", "BackLink"],
    ),
    "1.01 η": ("sgd", lambda right, updates, lr, *more: right(updates, 1.01 * lr, *more), ["BP", "BackLink"]),
}


def put_in(fault, monkeypatch):
    """The operations that have it: a convolution with its statistics is one as well."""
    op, wrong, _ = FAULTS[fault]
    names = {op, "conv2d_stats"} if wrong is shifted else {op}
    for name in names:
        monkeypatch.setitem(cuda.FORMS, name, partial(wrong, cuda.FORMS[name]))
    return names


@pytest.mark.parametrize("fault, name", [(fault, name) for fault, (_, _, names) in FAULTS.items() for name in names])
def test_a_wrong_factor_fails_every_row_that_it_affects(fault, name, monkeypatch):
    put_in(fault, monkeypatch)
    assert worst((ROWS | PLAIN)[name]) > 1


def test_the_limits_of_all_rows_are_below_a_fault_of_one_percent():
    """Ten times the own error: the condition of a case must not hide a fault. On the host alone."""
    runs = {
        name: partial(learners.one_step, cases[0])
        for name, cases in learners.subjects(quick=True).items()
        if cases[0].single_step
    }
    for name in ("mlp", "resnet8, shortcut B", "resnet8, shortcut A-both", "wrn10-1"):
        net = net_checks.CASES[name](streams.rng(0))
        runs[name] = partial(learners.differentiated, Subject("", net, rules.bp(), 1))
    limits = {name: single.OWN * single.own_error(run) for name, run in runs.items()}
    assert len(limits) > 15 and max(limits.values()) < 1e-3, limits
    with single.tf32_factors():
        wide = single.own_error(partial(learners.one_step, subject(rules.bp(), "wide channels")))
    assert wide > 1e-4 and single.OWN_TF32 * wide < 1e-2


def test_one_flipped_relu_passes_given_its_mask_and_would_fail_without():
    """The input nearest to 0 of a layer's 4096 is taken as if it lay on the other side."""
    run, flipped = partial(learners.differentiated, subject(rules.bp(), "resnet8")), list[float]()

    def flip(plain, form, *args, **kwargs):
        a = form(*args, **kwargs)
        if plain.__name__ == "batch_norm_apply" and a.shape == (4, 8, 8, 16) and not flipped:
            y = form(*args[:6])
            nearest = np.unravel_index(np.abs(y).argmin(), y.shape)
            flipped.append(abs(y[nearest]))
            a[nearest] = 1e-30 if y[nearest] < 0 else 0
        return a

    with dispatch.intercept(flip), recorded_masks() as masks:
        ours = run("cpu", "float64")
    with given_masks(masks) as distances:
        by_mask = run("cpu", "float64")
    with_mask, without = (max(ops.device_errors(ours, other).values()) for other in (by_mask, run("cpu", "float64")))
    assert without > 1e-2 and with_mask < 1e-3 * without
    assert 0 < flipped[0] < 1e-3 and 0 < max(distances) < 1e-3


def test_masks_belong_to_one_network():
    net = partial(learners.differentiated, subject(rules.bp(), "resnet8"))
    with recorded_masks() as masks:
        net("cpu", "float32")
    shapes = r"a ReLU or max pooling of \(4, 8, 8, 4\), the first one \(4, 8, 8, 16\)"
    with pytest.raises(ValueError, match=shapes), given_masks(masks):
        learners.differentiated(subject(rules.bp()), "cpu", "float64")
    with pytest.raises(ValueError, match="has fewer ReLUs"), given_masks([*masks, masks[0]]):
        net("cpu", "float64")


def test_a_window_takes_the_argmax_that_it_is_given():
    x = np.array([[1.0, 2.0], [2.5, 2.0]]).reshape(1, 2, 2, 1)
    with given_masks([np.array(3, "uint8").reshape(1, 1, 1, 1)]) as distances:
        y, argmax = operations.max_pool(x, 2, 2)
    assert (y.tolist(), argmax.tolist(), distances) == ([[[[2.0]]]], [[[[3]]]], [0.2])


# ---------------------------------------------------------------------- TF32


def noted(calls, form, *args):
    calls.append(form.__name__)
    return form(*args)


@pytest.mark.parametrize("rounded", [tf32.nearest, single.ten_bits])
def test_the_rows_of_tf32_pass_and_each_has_tf32_products(rounded, monkeypatch):
    products, by_columns = tf32.install(monkeypatch, rounded), list[str]()
    for name in ("conv2d", "input_error", "weight_gradient"):
        monkeypatch.setattr(im2col, name, partial(noted, by_columns, getattr(im2col, name)))
    for row in rows.run(fake, quick=True, only="tf32"):
        assert row.passed, row
        assert products and by_columns, f"{row.name} has no TF32 product by im2col"
        products.clear()
        by_columns.clear()
    assert not device.tf32()


@pytest.mark.parametrize("fault", ["dW is 1.01 dW", "no 1/M", "no β", "pad off by one"])
def test_a_wrong_factor_fails_a_step_with_tf32(fault, monkeypatch):
    tf32.install(monkeypatch)
    wrong = put_in(fault, monkeypatch)
    failed = {row.name for row in rows.run(fake, quick=True, only="tf32") if not row.passed}
    assert "BP, 80 channels" in failed and failed - {"BP, 80 channels"} <= wrong
