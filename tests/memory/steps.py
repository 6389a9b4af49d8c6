"""A network, batches and Learners whose steps are measured."""

from __future__ import annotations

import numpy as np

import minilocal as ml

MB = 1 << 20
RESNET8 = ml.nets.resnet(8, rng=ml.rng(0))


def batch(n, net=RESNET8):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, *net.shape)).astype("f4"), np.arange(n) % net.classes


def make_learner(rule, net=RESNET8, modules=2, **options):
    return ml.Learner(net, rule, modules, rng=ml.rng(0), **options)
