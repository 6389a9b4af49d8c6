"""What a network, and each module's own classifier, predict for images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilocal import inputs
from minilocal.array import Array, namespace, to_host
from minilocal.data import DataSet, evaluation_batches
from minilocal.device import to_device
from minilocal.errors import UserError
from minilocal.learner import Learner

BATCH = 250  # images; logits depend on it in their last bits, so a class does only where two logits are as close


@dataclass(frozen=True)
class Predictions:
    """What is predicted for N images, on the host.

    logits   (N, classes), the network's
    local    of each module, the classes that its own classifier predicts, int64 (N,); None where it has no classifier.
             Empty where only the network was asked
    """

    logits: np.ndarray
    local: list[np.ndarray | None]

    @property
    def classes(self) -> np.ndarray:
        """The network's classes, int64 (N,)."""
        return self.logits.argmax(axis=1).astype(np.int64)

    def errors(self, labels: np.ndarray) -> list[float | None]:
        """Each module's error in percent, None where it has no classifier. The last one is the network's.

        Raises: UserError where there is not one label for each image.
        """
        return [None if classes is None else error(classes, labels) for classes in self.local]


def predict(
    learner: Learner, x: Array, dataset: DataSet, *, local: bool = False, between: Callable[[], None] = lambda: None
) -> Predictions:
    """The predictions for raw images x, uint8 (N, H, H, C), normalised as those of `dataset`.

    `local` asks each module's own classifier too, in the same forward pass. From a device the results come to the host
    together, after the last batch. `between` is called after each batch, so that a long evaluation can be interrupted.

    Raises: UserError for images that do not fit the data set and the network, and where the device has no memory.
    """
    logits, by_batch = [], []
    inputs.check_learner("predict", learner)
    with learner.on_device:
        x = to_device(x, learner.device)
        unused = namespace(x).zeros(len(x), np.int64)  # labels, which a prediction does not read
        for images, _ in evaluation_batches(x, unused, dataset, BATCH, dtype=learner.dtype):
            if local:
                of_modules = learner.local_logits(images)
                logits.append(of_modules[-1])
                by_batch.append([None if z is None else z.argmax(axis=1) for z in of_modules])
            else:
                logits.append(learner.predict(images))
            between()
        return Predictions(_on_host(logits), _by_module(by_batch))


def error(predicted: np.ndarray, labels: np.ndarray) -> float:
    """The share of images whose predicted class is wrong, in percent.

    Raises: UserError where there is no image, or not one label for each.
    """
    if np.shape(predicted) != np.shape(labels) or not np.size(labels):
        raise UserError(
            f"{np.shape(predicted)} predicted classes met {np.shape(labels)} labels: give one of each an image."
        )
    return 100 * float(np.mean(predicted != labels))


def _by_module(by_batch: Sequence[list[Array | None]]) -> list[np.ndarray | None]:
    """The classes of each module in all batches, copied to the host together; None stays None."""
    if not by_batch:
        return []
    asked = [k for k, classes in enumerate(by_batch[0]) if classes is not None]
    batches: list[list[Any]] = [[of_modules[k] for k in asked] for of_modules in by_batch]
    xp = namespace(*batches[0])
    rows = to_host(xp.concatenate([xp.stack(classes) for classes in batches], axis=1)).astype(np.int64)
    return [rows[asked.index(k)] if k in asked else None for k in range(len(by_batch[0]))]


def _on_host(parts: Sequence[Any]) -> np.ndarray:
    """The parts of all batches as one NumPy array."""
    return to_host(namespace(*parts).concatenate(parts))
