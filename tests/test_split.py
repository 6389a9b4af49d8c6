"""Splits: the paper's tables."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minilocal as ml
from minilocal.split import INFOPRO, INFOPRO_STAR, infopro, infopro_star, sizes

TABLE = [  # reference: BackLink's table of modules; units, K, {units: how many modules}, lowest first
    (16, 2, [8] * 2), (16, 4, [4] * 4), (16, 8, [2] * 8), (16, 16, [1] * 16),
    (55, 2, [28, 27]), (55, 4, [14] * 3 + [13]), (55, 8, [7] * 7 + [6]), (55, 16, [4] * 7 + [3] * 9),
    (8, 2, [4] * 2), (8, 4, [2] * 4), (8, 8, [1] * 8),
    (10, 2, [5] * 2), (10, 4, [3, 3, 2, 2]), (10, 8, [2] * 2 + [1] * 6),
    (28, 2, [14] * 2), (28, 4, [7] * 4), (28, 8, [4] * 4 + [3] * 4), (28, 16, [2] * 12 + [1] * 4),
]  # fmt: skip


@pytest.mark.parametrize("units, modules, expected", TABLE)
def test_the_papers_split(units, modules, expected):
    assert sizes(units, modules) == expected
    assert [len(m) for m in ml.split(range(units), modules)] == expected


def test_a_split_keeps_every_unit_in_order():
    assert ml.split("abcdefg", 3) == [list("abc"), list("de"), list("fg")]
    assert ml.split("abcde", [1, 3, 1]) == [["a"], list("bcd"), ["e"]]


@pytest.mark.parametrize("n, modules", sorted(INFOPRO))
def test_infopros_splits_fill_the_network(n, modules):
    got = infopro(n, modules)
    assert len(got) == modules and sum(got) == 1 + (n - 2) // 2


def test_infopros_larger_modules_are_at_the_top_of_resnet_110():
    assert infopro(110, 4) == [13, 14, 14, 14] and infopro(110, 8) == [6] + [7] * 7
    assert infopro(110, 16) == [3] * 9 + [4] * 7 and infopro(110, 2) == [28, 27]
    assert all(infopro(32, k) == sizes(16, k) for k in (2, 4, 8, 16))


@pytest.mark.parametrize("n, modules, dataset", INFOPRO_STAR)
def test_infopros_balanced_splits_fill_the_network(n, modules, dataset):
    got = infopro_star(n, modules, dataset)
    assert len(got) == modules and sum(got) == 55 and got[0] < 55 // modules < got[-1]


def test_infopros_balanced_splits_by_hand():
    """The stem and blocks 1.0 to 1.14 are 16 units; 1.0 to 1.9, 1.10 to 2.2; stages of 18 blocks."""
    assert infopro_star(110, 2) == [16, 39] and infopro_star(110, 3) == [11, 11, 33]
    assert infopro_star(110, 3, "stl10") == [10, 11, 34]
    assert infopro_star(110, 4) == infopro_star(110, 4, "stl10") == [8, 8, 12, 27]
    with pytest.raises(ml.UserError, match="no split of ResNet-32 into 2 for 'cifar10'"):
        infopro_star(32, 2)


def test_the_function_and_its_kin_are_reached_from_the_package():
    assert ml.split.infopro(16 * 2, 4) == infopro(32, 4) == [4] * 4
    assert ml.split.infopro_star(110, 4) == infopro_star(110, 4) and ml.split.sizes(5, 2) == [3, 2]
    import minilocal.split as again

    assert cast(object, again) is ml.split
    from minilocal.split import split

    assert split is ml.split


PUBLISHED = [
    ("infopro:16", "resnet110", [3] * 9 + [4] * 7), ("infopro:4", "resnet32", [4] * 4),
    ("infopro-star:4", "resnet110", [8, 8, 12, 27]), ("infopro-star:3", "resnet110", [11, 11, 33]),
    ("infopro-star:3:stl10", "resnet110", [10, 11, 34]),
]  # fmt: skip


@pytest.mark.parametrize("text, net, expected", PUBLISHED)
def test_a_published_split_by_its_name(text, net, expected):
    assert [len(m) for m in ml.split(range(sum(expected)), text, net)] == expected
    learner = ml.Learner(ml.nets.get(net, rng=ml.rng(0)), ml.rules.bp(), text, rng=ml.rng(0))
    assert [len(m.units) for m in learner.modules] == expected


@pytest.mark.parametrize(
    ("modules", "net", "line"),
    [
        ("infopro:16", "resnet20", "no split of ResNet-20 into 16. Known: ResNet-32 K=2"),
        ("infopro:5", "resnet110", "no split of ResNet-110 into 5"),
        ("infopro:4", "mlp", "met mlp: that split is of resnet110, resnet32."),
        ("infopro-star:4", "vgg16", "that split is of resnet110."),
        ("infopro-star:4", "resnet32", "no split of ResNet-32 into 4 for 'cifar10'. Known: ResNet-110 K=2 cifar10"),
        ("infopro-star:4:svhn", "resnet110", "for 'svhn'"),
        ("infopro", "resnet32", "say into how many, as in infopro:4"),
        ("infopro:x", "resnet32", "say into how many"),
        ("infopro:4:stl10", "resnet32", "say into how many"),
        ("infpro:4", "resnet32", "did you mean 'infopro'?"),
        ("a", "resnet32", "'a' is no way to cut. Give K"),
        ("4", "resnet32", "'4' is no way to cut. Give K"),
        (2.5, "resnet32", "modules = 2.5: give K"),
        ([8, 8.0], "resnet32", "modules = [8, 8.0]: give K"),
        (None, "resnet32", "modules = None: give K"),
    ],
)
def test_what_is_no_split_is_refused_in_a_line(modules, net, line):
    with pytest.raises(ml.UserError) as caught:
        ml.split(range(16), modules, net)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_a_published_split_is_of_a_network():
    with pytest.raises(ml.UserError, match="met a network without a name"):
        ml.split(range(16), "infopro:4")


@pytest.mark.parametrize(
    "call",
    [lambda: sizes(4, 5), lambda: ml.split("abc", [1, 1]), lambda: ml.split("ab", [2, 0]), lambda: infopro(20, 2)],
)
def test_splits_that_do_not_fit_are_refused(call):
    with pytest.raises(ml.UserError):
        call()


def every_cut(units, modules):
    """All unit counts of `modules` modules, larger first modules first."""
    if modules == 1:
        return [[units]]
    return [[n, *rest] for n in range(units - modules + 1, 0, -1) for rest in every_cut(units - n, modules - 1)]


def loads(costs, counts, extra=lambda k, first, last: 0):
    """The cost of each module, largest first."""
    edges = [0, *accumulate(counts)]
    return sorted((sum(costs[a:b]) + extra(k, a, b) for k, (a, b) in enumerate(pairwise(edges))), reverse=True)


EXTRA = st.lists(st.integers(0, 5), min_size=18, max_size=18)


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=9), EXTRA, st.data())
def test_a_balanced_split_is_the_best_of_all(costs, extras, data):
    def extra(k, first, last):
        return extras[k] + extras[9 + last - 1] * (last < len(costs))

    modules = data.draw(st.integers(1, len(costs)))
    cuts = every_cut(len(costs), modules)
    assert ml.split.balanced(costs, modules) == min(cuts, key=lambda counts: loads(costs, counts))
    best = min(cuts, key=lambda counts: loads(costs, counts, extra))
    assert ml.split.balanced(costs, modules, extra) == best


@pytest.mark.parametrize("units, modules, expected", TABLE)
def test_units_of_one_cost_are_cut_as_the_paper_cuts_them(units, modules, expected):
    assert ml.split.balanced([0.1] * units, modules) == expected


def test_a_balanced_split_by_hand():
    assert ml.split.balanced([4, 1, 1, 1, 1, 4], 3) == [1, 4, 1]
    assert ml.split.balanced([1, 1, 1, 1], 2, lambda k, first, last: 2 * (last < 4)) == [1, 3]
    assert ml.split.balanced([0, 0, 0], 2) == [2, 1]
    costs, modules = cast(Any, np.arange(4)), cast(Any, np.int64(2))
    assert ml.split.balanced(costs, modules) == [3, 1]


@pytest.mark.parametrize(
    ("costs", "modules", "line"),
    [
        ([1, 1], 3, "K = 3 modules for a network of 2 units: give 1 to 2."),
        ([1, 1], 0, "modules = 0: give a whole number, 1 or more."),
        ([1, 1], [1, 1], "modules = [1, 1]: give a whole number"),
        ([1, -2], 1, "the cost of unit 2: -2 is outside [0, inf)."),
        ([float("nan"), 1], 1, "the cost of unit 1: nan is outside"),
        ([1, float("inf")], 1, "the cost of unit 2: inf is outside"),
        (["1"], 1, "the cost of unit 1: '1' is outside"),
    ],
)
def test_what_cannot_be_balanced_is_refused_in_a_line(costs, modules, line):
    with pytest.raises(ml.UserError) as caught:
        ml.split.balanced(costs, modules)
    assert line in str(caught.value) and "\n" not in str(caught.value)
