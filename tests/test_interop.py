"""Weights travel to PyTorch's layout and back, and mean the same there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minilocal as ml
from tests.helpers.host import host


def test_there_and_back_is_the_same_network():
    net = ml.nets.resnet(8, rng=ml.rng(0), size=8)
    arrays = {**net.parameters(), **net.buffers()}
    back = ml.interop.from_torch(ml.interop.to_torch(arrays))
    assert back.keys() == arrays.keys()
    assert all(
        (back[n] == a).all() and back[n].flags.c_contiguous and back[n].dtype == a.dtype for n, a in arrays.items()
    )


def test_names_and_shapes_are_those_of_the_common_pytorch_cifar_code():
    exported = ml.interop.to_torch(ml.nets.resnet(20, rng=ml.rng(0)).parameters())
    assert exported["conv1.weight"].shape == (16, 3, 3, 3) and exported["bn1.weight"].shape == (16,)
    assert exported["layer2.0.conv1.weight"].shape == (32, 16, 3, 3)
    assert exported["layer2.0.downsample.0.weight"].shape == (32, 16, 1, 1) and "layer2.0.downsample.1.bias" in exported
    assert exported["fc.weight"].shape == (10, 64)
    vgg = ml.interop.to_torch(ml.nets.vgg16(rng=ml.rng(0)).parameters())
    assert vgg["features.0.weight"].shape == (64, 3, 3, 3) and vgg["features.40.weight"].shape == (512, 512, 3, 3)
    assert [n for n in vgg if n.startswith("classifier") and n.endswith("weight")] == [
        f"classifier.{i}.weight" for i in (1, 4, 6)
    ]
    assert list(ml.nets.mlp((5,), rng=ml.rng(0)).parameters()) == [
        f"layers.{i}.{k}" for i in (0, 1) for k in ("weight", "bias")
    ]


def test_pytorchs_counters_are_left_out():
    assert ml.interop.from_torch({"bn1.num_batches_tracked": np.array(3), "bn1.bias": np.zeros(2)}).keys() == {
        "bn1.bias"
    }


def test_pytorch_itself_computes_the_same_resnet_8():
    torch = pytest.importorskip("torch", reason="PyTorch is only in the bench extra")
    from torch.nn import functional as F

    net = ml.nets.resnet(8, rng=ml.rng(0), size=8)
    learner = ml.Learner(net, ml.rules.bp(), 1, rng=ml.rng(1), dtype="float64")
    x = ml.rng(2).standard_normal((3, 8, 8, 3))
    p = {n: torch.from_numpy(a) for n, a in ml.interop.to_torch({**learner.parameters(), **learner.buffers()}).items()}

    def norm(h, at):
        return F.batch_norm(h, p[f"{at}.running_mean"], p[f"{at}.running_var"], p[f"{at}.weight"], p[f"{at}.bias"])

    h = F.relu(norm(F.conv2d(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), p["conv1.weight"], padding=1), "bn1"))
    for stage in (1, 2, 3):
        at, stride = f"layer{stage}.0", 1 if stage == 1 else 2
        s = h if stage == 1 else norm(F.conv2d(h, p[f"{at}.downsample.0.weight"], stride=2), f"{at}.downsample.1")
        a = F.relu(norm(F.conv2d(h, p[f"{at}.conv1.weight"], stride=stride, padding=1), f"{at}.bn1"))
        h = F.relu(norm(F.conv2d(a, p[f"{at}.conv2.weight"], padding=1), f"{at}.bn2") + s)
    z = h.mean((2, 3)) @ p["fc.weight"].T + p["fc.bias"]
    np.testing.assert_allclose(host(learner.predict(x)), z.numpy(), rtol=1e-10, atol=1e-12)


class Tensor:
    """What of a torch.Tensor is asked for: to be detached, brought to the host and turned into an array."""

    dtype = "torch.float32"

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.array


def test_a_state_dict_may_hold_tensors():
    arrays = {"fc.weight": np.arange(6.0).reshape(2, 3), "bn1.num_batches_tracked": np.array(3)}
    tensors: dict[str, Any] = {name: Tensor(a) for name, a in arrays.items()}
    imported = ml.interop.from_torch(tensors)
    assert list(imported) == ["fc.weight"] and np.array_equal(imported["fc.weight"], arrays["fc.weight"].T)
