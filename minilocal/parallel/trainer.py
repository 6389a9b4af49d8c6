"""The trainer of one rank: its steps are a Learner's, its evaluation is of its own modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minilocal.array import Array, namespace, to_host
from minilocal.data import evaluation_batches
from minilocal.device import on_its_device, to_device
from minilocal.train.evaluate import BATCH, Predictions
from minilocal.train.trainer import Trainer


class RankTrainer(Trainer):
    """The trainer of one rank. Ranks evaluate batch after batch without waiting for each other's results."""

    learner: Any  # a Learner in several ranks

    @on_its_device
    def _predict(self, x: Array, local: bool, between: Callable[[], None]) -> Predictions:
        x = to_device(x, self.learner.device)
        unused = namespace(x).zeros(len(x), np.int64)
        own: list[list[Array | None]] = []
        logits: list[Array] = []
        for images, _ in evaluation_batches(x, unused, self.dataset, BATCH, dtype=self.learner.dtype):
            of_modules = self.learner.own_logits(images, local)
            own.append([None if z is None else z.argmax(axis=1) for z in of_modules])
            if of_modules[-1] is not None:
                logits.append(of_modules[-1])
            between()
        classes = [_joined(parts) for parts in zip(*own, strict=True)]
        whole = self.learner.whole([*classes, _joined(logits)])
        *of_each, of_network = (None if a is None else to_host(a) for a in whole)
        assert of_network is not None
        return Predictions(of_network, [None if a is None else a.astype(np.int64) for a in of_each] if local else [])


def _joined(parts: Sequence[Any]) -> Array | None:
    """The parts of all batches; None where there are none."""
    return namespace(*parts).concatenate(parts) if parts and parts[0] is not None else None
