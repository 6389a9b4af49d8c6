"""What a layer refuses, line by line and to the letter, and what it says of itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minilocal import layers
from minilocal.errors import UserError
from minilocal.layers import (
    AdaptiveAveragePool,
    AveragePool,
    BatchNorm,
    BatchNormReLU,
    Conv,
    Dropout,
    GlobalAveragePool,
    Initializer,
    Layer,
    Linear,
    MaxPool,
    PassContext,
    Residual,
    Sequential,
)  # fmt: skip
from minilocal.layers.base import check_distinct_names
from minilocal.layers.residual import PadShortcut
from minilocal.layers.resize import BySides

NEW = Initializer(0)


@pytest.mark.parametrize(
    ("layer", "shape", "line"),
    [
        (Linear(3, 2, NEW, name="fc"), (4,), "Linear(3 → 2) 'fc' was given (4,) per sample: build it as Linear(4, "
         "2, rng), after a Flatten where that is an image."),
        (Linear(3, 2, NEW, name="fc"), (2, 2, 3), "Linear(3 → 2) 'fc' was given (2, 2, 3) per sample: build it as "
         "Linear(12, 2, rng), after a Flatten where that is an image."),
        (BatchNorm(3, NEW, name="bn"), (2, 2, 4), "BatchNorm(3) 'bn' was given (2, 2, 4) per sample: build it with "
         "4 channels."),
        (BatchNormReLU(3, NEW, name="bn"), (5,), "BatchNormReLU(3) 'bn' was given (5,) per sample: build it with 5 "
         "channels."),
        (Conv(3, 8, 3, NEW, name="c"), (5, 5, 4), "Conv(3 → 8) 'c' was given (5, 5, 4) per sample: it takes images "
         "(H, W, 3)."),
        (Conv(3, 8, 3, NEW, name="c"), (5, 5, 2), "Conv(3 → 8) 'c' was given (5, 5, 2) per sample: it takes images "
         "(H, W, 3)."),
        (Conv(3, 8, 3, NEW, name="c"), (3,), "Conv(3 → 8) 'c' was given (3,) per sample: it takes images (H, W, 3)."),
        (Conv(3, 8, 5, NEW, pad=1, name="c"), (2, 3, 3), "Conv 'c': a 5×5 window with padding 1 does not fit an "
         "image of 2×3: use larger images or fewer poolings."),
        (PadShortcut(3, 8, 2, "A-both", name="s"), (5, 5, 4), "PadShortcut(3 → 8) 's' was given (5, 5, 4) per sample: "
         "it takes images (H, W, 3)."),
        (Residual(3, 8, 2, NEW, option="A-both", name="b"), (3,), "Conv(3 → 8) 'b.conv1' was given (3,) per sample: it "
         "takes images (H, W, 3)."),
        (MaxPool(3, name="p"), (2, 3, 1), "MaxPool(3) 'p' was given (2, 3, 1) per sample: it needs images of at "
         "least 3×3. Use larger images."),
        (AveragePool(3), (4, 2, 1), "AveragePool(3) was given (4, 2, 1) per sample: it needs images of at least "
         "3×3. Use larger images."),
        (AveragePool(2), (6,), "AveragePool(2) was given (6,) per sample: it needs images of at least 2×2. Use "
         "larger images."),
        (GlobalAveragePool(), (6,), "GlobalAveragePool was given (6,) per sample: it takes images (H, W, C)."),
        (AdaptiveAveragePool(2, name="p"), (6,), "AdaptiveAveragePool 'p' was given (6,) per sample: it takes "
         "images (H, W, C)."),
    ],
)  # fmt: skip
def test_a_shape_that_a_layer_cannot_take(layer, shape, line):
    with pytest.raises(UserError) as caught:
        layer.out_shape(shape)
    assert str(caught.value) == line


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, float("nan")])
def test_a_rate_of_dropout(rate):
    with pytest.raises(UserError) as caught:
        Dropout(rate, name="d")
    assert str(caught.value) == f"Dropout 'd': rate {rate} is outside [0, 1)."
    assert Dropout(0).rate == 0


@pytest.mark.parametrize("wrong", [MaxPool, [MaxPool], "pool", None, 3])
def test_a_sequence_is_of_layers(wrong):
    with pytest.raises(
        UserError, match=r"^Sequential .*was given .*: give a list of layers, \[Flatten\(\), \.\.\.\]\.$"
    ):
        Sequential(wrong)
    several: list[Any] = [MaxPool(1), "one", "two"]
    with pytest.raises(UserError, match=r"was given 'one': give"):
        Sequential(several)


def test_a_shortcut_of_another_side():
    with pytest.raises(UserError, match=r"^shortcut 'B' is not known"):
        PadShortcut(3, 8, 2, "B")


def test_two_arrays_of_one_name():
    weights = {"a.weight": np.zeros(1)}
    check_distinct_names([("one", weights), ("two", {"b.weight": np.zeros(1)})])
    for owners, both in (("one", "two"), "one and two"), (("one", "one"), "two layers one"):
        with pytest.raises(UserError) as caught:
            check_distinct_names([(owner, weights) for owner in owners])
        assert str(caught.value) == f"{both} have an array 'a.weight': give each a name of its own."


def test_a_layer_of_the_users_without_a_pass_says_so():
    class Own(Layer[None]):
        """A layer of the user's."""

    with pytest.raises(NotImplementedError, match=r"Own has no forward\(x, ctx, p\) that returns \(y, cache\)"):
        Own().forward(np.zeros(1), PassContext())
    with pytest.raises(NotImplementedError, match=r"Own has no backward\(dy, cache, p, need\) that returns"):
        Own().backward(np.zeros(1), None)
    for half in (BySides(2, 2)._side, lambda side, size: BySides(2, 2)._matrix(np, side, size, "f4")):
        with pytest.raises(NotImplementedError):
            half(2, 2)
    assert Own().out_shape((2, 3)) == (2, 3) and Own().children() == [] and Own().macs((2, 3)) == 0
    assert Own("o")._full("weight") == "o.weight" and Own()._full("weight") == "weight"


def test_a_layer_prints_its_name_and_size():
    assert repr(Linear(30, 40, NEW, name="fc")) == "Linear('fc', 1,240 parameters)"
    assert repr(MaxPool(2, name="p")) == "MaxPool('p')" and repr(MaxPool(2)) == "MaxPool()"
    assert repr(Linear(2, 1, NEW)) == "Linear(3 parameters)"


def test_the_weights_of_a_sequence_need_no_error_below_its_lowest_layer_with_parameters():
    layers = Sequential([MaxPool(1), MaxPool(1), Linear(3, 2, NEW, name="fc")])
    assert layers._lowest() == 2 and Sequential([MaxPool(1)])._lowest() == 1


@pytest.mark.parametrize(("name", "prefix"), [("", ""), ("layer1.0", "layer1.0.")])
def test_the_arrays_of_a_block_have_its_name(name, prefix):
    names = Residual(4, 8, 2, NEW, name=name).parameters
    assert {n.rpartition(".")[0] for n in names} == {
        prefix + part for part in ("conv1", "bn1", "conv2", "bn2", "downsample.0", "downsample.1")
    }


def test_layers_need_no_library_that_only_mypy_needs():
    code = "import sys; sys.modules['typing_extensions'] = None; import minilocal.layers"
    top = Path(layers.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=top)
    assert done.returncode == 0, done.stderr
