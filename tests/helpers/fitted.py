"""Two epochs of `fit`, by a Learner of any kind."""

from __future__ import annotations

from typing import Any

import minilocal as ml


def fitted(kind: type[ml.Learner]) -> list[dict[str, Any]]:
    """The rows of GLL on some digits, without their times."""
    digits = ml.data.load("digits", limit_train=40, limit_test=20)
    net = ml.nets.resnet(8, channels=1, size=digits.size, rng=ml.rng(0))
    learner = kind(net, ml.rules.gll(), 3, rng=ml.rng(1))
    rows = ml.fit(learner, digits, epochs=2, batch_size=16, lr=0.05, augment=True)
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in rows]
