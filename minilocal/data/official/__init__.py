"""Official data sets by name: their files, counts, constants and augmentation."""

from __future__ import annotations

from minilocal.data.layout import Cifar, Contents, Layout, Official
from minilocal.data.official.cifar import CIFAR10, CIFAR100
from minilocal.data.official.mnist import FASHION_MNIST, MNIST
from minilocal.data.official.stl10 import STL10
from minilocal.data.official.svhn import SVHN

FORMATS = {official.name: official for official in (CIFAR10, CIFAR100, SVHN, STL10, MNIST, FASHION_MNIST)}

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "FASHION_MNIST",
    "FORMATS",
    "MNIST",
    "STL10",
    "SVHN",
    "Cifar",
    "Contents",
    "Layout",
    "Official",
]


def __dir__() -> list[str]:
    return sorted(__all__)
