"""Batches: every image once an epoch, and the same ones after a stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from minilocal import data
from minilocal.errors import UserError
from minilocal.streams import stream
from tests.fake import cuda_on_host
from tests.fake.device import counting, fake, fetch


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", limit_train=50, limit_test=30)


def epoch(digits, *, number=0, start=0, augment=True, key=7, size=16, dtype="float32"):
    return list(digits.batches(number, size, key, augment=augment, start=start, dtype=dtype))


def test_every_image_once_and_the_last_batch_kept(digits):
    batches = epoch(digits, augment=False)
    assert [len(y) for _, y in batches] == [16, 16, 16, 2]
    visits = data.order(50, 7, 0)
    assert np.array_equal(np.sort(visits), np.arange(50))
    assert np.array_equal(np.concatenate([x for x, _ in batches]), digits.normalise(digits.train_x[visits]))
    assert np.array_equal(np.concatenate([y for _, y in batches]), digits.train_y[visits])


def test_resuming_anywhere_gives_the_same_batches(digits):
    whole = epoch(digits)
    for start in range(5):
        rest = epoch(digits, start=start)
        assert len(rest) == 4 - start
        for (x, y), (again_x, again_y) in zip(whole[start:], rest, strict=True):
            assert np.array_equal(x, again_x) and np.array_equal(y, again_y)


def test_the_crops_of_a_step_have_their_own_stream(digits):
    x, _ = epoch(digits, number=3)[2]
    images = digits.train_x[data.order(50, 7, 3)[32:48]]
    assert np.array_equal(x, digits.normalise(data.augment(images, digits, stream(7, "augment", 3, 2))))


def test_epochs_and_keys_differ(digits):
    assert len({data.order(50, key, number).tobytes() for key in (7, 8) for number in (0, 1)}) == 4
    first = epoch(digits)[0][0]
    for other in (epoch(digits, number=1), epoch(digits, key=8), epoch(digits, augment=False)):
        assert not np.array_equal(first, other[0][0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_is_the_one_asked_for(digits, dtype):
    assert all(x.dtype == dtype and x.flags.c_contiguous for x, _ in epoch(digits, dtype=dtype))


def test_evaluation_keeps_the_order_and_does_not_augment(digits):
    batches = list(data.evaluation_batches(digits.test_x, digits.test_y, digits, 16))
    assert [len(y) for _, y in batches] == [16, 14]
    assert np.array_equal(np.concatenate([x for x, _ in batches]), digits.normalise(digits.test_x))
    assert np.array_equal(np.concatenate([y for _, y in batches]), digits.test_y)


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_a_batch_size_that_is_none(digits, size):
    with pytest.raises(UserError, match="batch size"):
        epoch(digits, size=size)


def test_images_without_labels(digits):
    with pytest.raises(UserError, match=r"train_y has shape .30,., but 50 images need .50,."):
        replace(digits, train_y=digits.test_y)
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
    batches = shifted.batches(0, 16, 7, augment=True, device=fake)
    on_device = [next(batches)]
    with counting() as counts:
        on_device += list(batches)
    assert (counts.syncs, counts.uploads) == (0, 0)
    for (host_x, host_y), (device_x, device_y) in zip(epoch(shifted), on_device, strict=True):
        assert np.array_equal(host_x, device_x.get()) and np.array_equal(host_y, device_y.get())
    rest = list(shifted.batches(0, 16, 7, augment=True, device=fake, start=2))
    for (host_x, _), (device_x, _) in zip(epoch(shifted)[2:], rest, strict=True):
        assert np.array_equal(host_x, device_x.get())
    x, y = fake.asarray(digits.test_x), fake.asarray(digits.test_y)
    evaluated = [fetch(x) for x, _ in data.evaluation_batches(x, y, digits, 16)]
    assert np.array_equal(np.concatenate(evaluated), digits.normalise(digits.test_x))


def test_a_data_set_that_is_none_is_one_line(digits):
    nothing: Any = None
    with pytest.raises(UserError, match="batches was given a NoneType for its data set"):
        next(data.evaluation_batches(digits.train_x, digits.train_y, nothing, 8))


@pytest.mark.parametrize("wrong", [{"epoch": -1}, {"key": 1.5}, {"start": -1}, {"batch_size": 0}], ids=str)
def test_numbers_that_are_none_are_refused_before_the_first_batch(digits, wrong):
    with pytest.raises(UserError, match=f"{next(iter(wrong)).replace('_', ' ')} = .*: give a whole number"):
        digits.batches(**{"epoch": 0, **wrong})
