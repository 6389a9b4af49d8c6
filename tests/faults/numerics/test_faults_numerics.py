"""The part `numerics` of `make trust` in a few seconds: some rules, networks and shapes, and each check broken."""

from __future__ import annotations

import pytest

from minilocal.ops.kinds import using
from tests.faults.numerics import part, tables
from tests.faults.numerics.convolutions import Shape

SHAPES = [
    Shape("short", 8, 16, 16, 2),
    Shape("short", 6, 8, 24, 2),
    Shape("short", 4, 128, 112, 2),
    Shape("short", 8, 3, 16, 2),
]


@pytest.fixture(params=["numpy", "numba"])
def kind(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="Numba is not installed (extra: fast)")
    with using(request.param):
        yield request.param


def wrong(collected):
    cases = list(collected)
    assert cases
    return [case for case in cases if case[1]]


def test_layers_are_finite_on_extreme_inputs(kind):
    assert not wrong(part.layers())


def test_extreme_images_leave_everything_finite_or_a_loss_says_so(kind):
    assert not wrong(part.extreme_images(("resnet8", "mlp"), ("backlink", "dni")))


def test_seterr_changes_nothing(kind):
    assert not wrong(part.seterr(("resnet8",), ("backlink",))) and not wrong(part.seterr(("mlp",), ("gll",)))


def test_high_rates_are_finite_or_stopped_by_a_line(kind):
    assert not wrong(part.high_rates(("resnet8",), ("infopro", "ddg")))


def test_errors_of_convolutions_are_below_their_bounds(kind):
    assert not wrong(part.below_bound(tables.measure(SHAPES, ("normal", "mean 1000", "heavy tails"), ("im2col", kind))))


def test_nan_goes_where_the_plain_code_puts_it_or_the_table_says(kind):
    assert not wrong(part.one_number((kind,))) and not wrong(part.of_cross_entropy())


def test_each_check_notices_when_what_it_relies_on_is_missing():
    assert all(broken.red for broken in part.broken()), part.broken()
