"""What the calls of the table are tried on: Learners of several rules, images, files; and what they hold."""

from __future__ import annotations

import hashlib
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np

import minilocal as ml
from minilocal.kernels import threads
from minilocal.ops import kinds
from tests.faults.doors.desk import content

N, CLASSES = 8, 4


def learners() -> dict[str, ml.Learner]:
    """A Learner of every kind of state: momentum, moments, running statistics, batches in flight, phases, dropout."""
    small = ml.nets.mlp((8, 8, 8), classes=CLASSES, size=4, channels=1, rng=ml.rng(0))
    deep = ml.nets.resnet(8, classes=CLASSES, size=8, channels=1, rng=ml.rng(0))
    by_name = {
        "learner": ml.Learner(small, ml.rules.gll(), 2, rng=ml.rng(1)),
        "adam": ml.Learner(small, ml.rules.backlink(), 2, rng=ml.rng(1), optimizer=ml.optim.Adam()),
        "late": ml.Learner(small, ml.rules.fdg(), 2, rng=ml.rng(1)),
        "phased": ml.Learner(small, ml.rules.pgl(aux="0c1f"), 2, rng=ml.rng(1)),
        "deep": ml.Learner(deep, ml.rules.backlink(), 2, rng=ml.rng(1)),
    }
    for each in by_name.values():
        for _ in range(2):
            each.step(*batch(each), lr=0.1)
    return by_name


def batch(learner: ml.Learner) -> tuple[np.ndarray, np.ndarray]:
    """A batch that fits."""
    shape = learner.net.shape
    x = np.random.Generator(np.random.Philox(7)).standard_normal((N, *shape)).astype("float32")
    return x, np.arange(N) % CLASSES


class Strange:
    """Looks like an array to NumPy alone."""

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        return np.zeros((N, 4, 4, 1), "float32")


class Place:
    """The names that the table's calls may use, and those Learners again, which no wrong call meets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "a_folder").mkdir()
        (folder / "text.txt").write_text("some words\n")
        digits = ml.data.load("digits")
        self.learners, self.twins = learners(), learners()
        self.learners["learner"].save(folder / "saved.npz")
        x, y = batch(self.learners["learner"])
        np.savez(folder / "other.npz", x=x)
        states = {f"{name}_state": each.state() for name, each in self.learners.items()}
        weights = {name: a.copy() for name, a in self.learners["learner"].parameters().items()}
        self.names: dict[str, Any] = {
            "ml": ml, "np": np, "nan": math.nan, "inf": math.inf, "x": x, "y": y, "rng": ml.rng,
            "net": self.learners["learner"].net, "gll": ml.rules.gll(), "strange": Strange(), "path": folder,
            "digits": digits, "images": digits.train_x[:8].copy(), "weights": weights, "first": next(iter(weights)),
            "logits": np.linspace(-1, 1, 32, dtype="float32").reshape(8, 4), "take": itertools.islice,
            **states, **self.learners,
        }  # fmt: skip

    def anew(self) -> None:
        """Make the Learners and the settings as they were."""
        ml.use_threads(None)
        ml.use_kernels("numpy")
        self.learners, self.twins = learners(), learners()
        self.names |= self.learners

    def sums(self) -> dict[str, str]:
        """{what: a sum of it}: every Learner's state, its network's arrays, the inputs, threads, kernels, files."""
        held = {name: sum_of(each.state()) for name, each in self.learners.items()}
        held |= {f"{name}'s network": sum_of(arrays_of(each.net)) for name, each in self.learners.items()}
        inputs = {name: self.names[name] for name in ("x", "y", "images", "logits")}
        held["inputs"] = sum_of(inputs | self.names["weights"] | self.names["late_state"])
        held["NumPy's own stream"] = repr(np.random.get_state())
        held["threads and kernels"] = f"{threads.threads()} {kinds.kernels()}"
        held["warnings"] = repr(np.geterr())
        return held | {"files": content(self.folder)}

    def go_on(self, name: str) -> bool:
        """Whether a valid step of this Learner has the bits of one that has met no wrong call."""
        one, other = self.learners[name], self.twins[name]
        losses = [each.step(*batch(each), lr=0.1) for each in (one, other)]
        return losses[0].tobytes() == losses[1].tobytes() and sum_of(one.state()) == sum_of(other.state())


def arrays_of(net: ml.nets.Net) -> dict[str, Any]:
    """{name: array} of a network's own parameters and running statistics."""
    layers = (*net.units, net.head)
    return {f"{i}:{k}": a for i, layer in enumerate(layers) for k, a in {**layer.parameters, **layer.buffers}.items()}


def sum_of(arrays: dict[str, Any]) -> str:
    """A sum of names, types, shapes and bits."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        a = np.asarray(arrays[name])
        total.update(f"{name} {a.dtype} {a.shape} ".encode() + a.tobytes())
    return total.hexdigest()
