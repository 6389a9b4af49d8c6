"""Batches: every image once an epoch, and the same ones after a stop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from minilocal import data
from minilocal.errors import UserError
from minilocal.streams import stream
from tests.fake import cuda_on_host
from tests.fake.device import counting, fake


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", limit_train=50, limit_test=30)


def epoch(digits, *, number=0, start=0, augment=True, key=7, size=16, dtype="float32"):
    x, y = digits.train_x, digits.train_y
    return list(data.batches(x, y, digits, size, key=key, epoch=number, augment=augment, start=start, dtype=dtype))


def test_every_image_once_and_the_last_batch_kept(digits):
    batches = epoch(digits, augment=False)
    assert [step for step, _, _ in batches] == [0, 1, 2, 3]
    assert [len(y) for _, _, y in batches] == [16, 16, 16, 2]
    visits = data.order(50, 7, 0)
    assert np.array_equal(np.sort(visits), np.arange(50))
    assert np.array_equal(np.concatenate([x for _, x, _ in batches]), digits.normalise(digits.train_x[visits]))
    assert np.array_equal(np.concatenate([y for _, _, y in batches]), digits.train_y[visits])


def test_resuming_anywhere_gives_the_same_batches(digits):
    whole = epoch(digits)
    for start in range(5):
        rest = epoch(digits, start=start)
        assert [step for step, _, _ in rest] == list(range(start, 4))
        for (_, x, y), (_, again_x, again_y) in zip(whole[start:], rest, strict=True):
            assert np.array_equal(x, again_x) and np.array_equal(y, again_y)


def test_the_crops_of_a_step_have_their_own_stream(digits):
    _, x, _ = epoch(digits, number=3)[2]
    images = digits.train_x[data.order(50, 7, 3)[32:48]]
    assert np.array_equal(x, digits.normalise(data.augment(images, digits, stream(7, "augment", 3, 2))))


def test_epochs_and_keys_differ(digits):
    assert len({data.order(50, key, number).tobytes() for key in (7, 8) for number in (0, 1)}) == 4
    first = epoch(digits)[0][1]
    for other in (epoch(digits, number=1), epoch(digits, key=8), epoch(digits, augment=False)):
        assert not np.array_equal(first, other[0][1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_is_the_one_asked_for(digits, dtype):
    assert all(x.dtype == dtype and x.flags.c_contiguous for _, x, _ in epoch(digits, dtype=dtype))


def test_evaluation_keeps_the_order_and_does_not_augment(digits):
    batches = list(data.evaluation_batches(digits.test_x, digits.test_y, digits, 16))
    assert [step for step, _, _ in batches] == [0, 1]
    assert np.array_equal(np.concatenate([x for _, x, _ in batches]), digits.normalise(digits.test_x))
    assert np.array_equal(np.concatenate([y for _, _, y in batches]), digits.test_y)


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_a_batch_size_that_is_none(digits, size):
    with pytest.raises(UserError, match="batch size"):
        epoch(digits, size=size)


def test_images_without_labels(digits):
    with pytest.raises(UserError, match="50 images met 30 labels"):
        next(data.batches(digits.train_x, digits.test_y, digits, 8, key=0, epoch=0, augment=False))
    with pytest.raises(UserError, match="30 images met 50 labels"):
        next(data.evaluation_batches(digits.test_x, digits.train_y, digits, 8))


@pytest.mark.parametrize("mode", ["constant", "reflect"])
@pytest.mark.parametrize("kernels", [False, True], ids=["plain forms", "kernels"])
def test_batches_of_a_device_stay_there_and_are_the_same(digits, mode, kernels, monkeypatch):
    """To the bit: a grey level becomes what the host makes of it. Only an epoch's choices go up, before its steps."""
    if kernels and (reason := cuda_on_host.available()):
        pytest.skip(reason)
    monkeypatch.setattr(fake, "kernels", kernels)
    shifted = replace(digits, padding=3, pad_mode=mode, flip=True)
    x, y = fake.asarray(digits.train_x), fake.asarray(digits.train_y)
    batches = data.batches(x, y, shifted, 16, key=7, epoch=0, augment=True)
    there = [next(batches)]
    with counting() as counts:
        there += list(batches)
    assert (counts.syncs, counts.uploads) == (0, 0)
    for (_, here_x, here_y), (_, there_x, there_y) in zip(epoch(shifted), there, strict=True):
        assert np.array_equal(here_x, there_x.get()) and np.array_equal(here_y, there_y.get())
    assert [step for step, _, _ in data.batches(x, y, shifted, 16, key=7, epoch=0, augment=True, start=2)] == [2, 3]
    x, y = fake.asarray(digits.test_x), fake.asarray(digits.test_y)
    evaluated = [x.get() for _, x, _ in data.evaluation_batches(x, y, digits, 16)]
    assert np.array_equal(np.concatenate(evaluated), digits.normalise(digits.test_x))


def test_a_data_set_that_is_none_is_one_line(digits):
    x, y = digits.train_x, digits.train_y
    for made in (
        data.batches(x, y, None, 8, key=0, epoch=0, augment=False),
        data.evaluation_batches(x, y, None, 8),
    ):
        with pytest.raises(UserError, match="batches was given a NoneType for its data set"):
            next(made)
