"""The random streams that a forward pass names: each purpose, micro-batch, epoch, step and unit has its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minilocal.layers import PassContext
from minilocal.streams import stream


def test_a_stream_is_named_by_key_purpose_epoch_step_and_unit():
    ctx = PassContext(key=3, epoch=2, step=5, unit=7)
    assert np.array_equal(ctx.rng("dropout").random(4), stream(3, "dropout", 2, 5, 7).random(4))
    assert ctx.at(9) == replace(ctx, unit=9)


def test_the_first_micro_batch_has_the_stream_of_a_whole_batch_and_each_other_its_own():
    ctx = PassContext(key=3, epoch=2, step=5, unit=7)
    numbers_of_parts = [replace(ctx, part=part).rng("dropout").random(4).tolist() for part in range(3)]
    assert numbers_of_parts[0] == ctx.rng("dropout").random(4).tolist()
    assert numbers_of_parts[1] == stream(3, "dropout 1", 2, 5, 7).random(4).tolist()
    assert len({tuple(numbers) for numbers in numbers_of_parts}) == 3
