"""What a worker on a GPU is asked besides timings: what it stands on, and a few epochs of real training.

`minilocal train` needs msgspec, which a machine with a GPU may lack; this drives a Learner itself.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from minilocal import data, nets, rules, streams
from minilocal.array import to_host
from minilocal.bench.torch_learner import available
from minilocal.device import device_namespace, to_device
from minilocal.learner import Learner
from minilocal.optim import SGD

KEY = 1  # names the order of the images and their crops


def facts(device: Any = "cuda") -> dict[str, Any]:
    """The device, its driver, and the libraries on it, as JSON can write it.

    Raises: UserError where the device cannot be had.
    """
    xp = device_namespace(device)
    found: dict[str, Any] = {"device": str(device), "library": f"{xp.__name__} {xp.__version__}"}
    runtime = getattr(getattr(xp, "cuda", None), "runtime", None)
    if runtime is not None:
        properties = runtime.getDeviceProperties(xp.cuda.Device().id)
        found |= {"name": properties["name"].decode(), "memory": int(runtime.memGetInfo()[1])}
        counts = {"multiprocessors": "multiProcessorCount", "cache": "l2CacheSize"}
        found |= {name: int(properties[key]) for name, key in counts.items() if key in properties}
        versions = {"driver": "driverGetVersion", "cuda": "runtimeGetVersion"}
        found |= {name: int(getattr(runtime, ask)()) for name, ask in versions.items() if hasattr(runtime, ask)}
    if available():
        import torch

        found["torch"] = torch.__version__
        found["cudnn"] = torch.backends.cudnn.version() if torch.cuda.is_available() else None
    return found


def train(
    device: Any = "cuda",
    folder: str | None = None,
    net: str = "resnet32",
    rule: str = "backlink",
    modules: int = 4,
    epochs: int = 3,
    budget: float = 60.0,
    batch: int = 128,
    lr: float = 0.1,
    limit: int | None = None,
) -> dict[str, Any]:
    """`rows`, one an epoch: seconds, the mean loss of each module, the test error in percent. And how it was run.

    CIFAR-10 from `folder`, or the digits of the package where no folder is given. Stops after the epoch in which
    `budget` seconds are over.
    """
    name = "digits" if folder is None else "cifar10"
    found = data.load(name, dir=folder, download=False, limit_train=limit, limit_test=limit)
    rng = streams.rng(0)
    made = nets.get(net, classes=len(found.classes), channels=found.channels, size=found.size, rng=rng)
    learner = Learner(
        made, rules.get(rule), modules, rng=rng, device=device, optimizer=SGD(momentum=0.9, weight_decay=1e-4)
    )
    test = to_device(found.test_x, device), to_device(found.test_y, device)
    rows, start = [], time.perf_counter()
    for epoch in range(epochs):
        began, learner.epoch, losses = time.perf_counter(), epoch, []
        for images, labels in found.batches(epoch, batch, KEY, augment=True, device=device):
            losses.append(learner.step(images, labels, lr=lr))
        mean = np.mean([to_host(loss) for loss in losses], axis=0)
        seconds = time.perf_counter() - began  # the losses have come home: every step is done
        rows.append(
            {"epoch": epoch, "seconds": seconds, "losses": _numbers(mean), "error": _error(learner, found, test)}
        )
        if time.perf_counter() - start > budget:
            break
    steps = learner.cuda_graph_status
    return {
        "data": name,
        "net": net,
        "rule": rule,
        "K": modules,
        "batch": batch,
        "lr": lr,
        "steps": steps,
        "rows": rows,
    }


def _error(learner: Learner, found: data.DataSet, test: tuple[Any, Any]) -> float:
    """Percent of the test images that the network gets wrong."""
    wrong = 0
    for x, y in data.evaluation_batches(*test, found, 1000):
        wrong += int(to_host((learner.predict(x).argmax(axis=1) != y).sum()))
    return 100 * wrong / len(found.test_y)


def _numbers(values: np.ndarray) -> list[float | None]:
    """Floats that JSON knows."""
    return [float(v) if np.isfinite(v) else None for v in values]
