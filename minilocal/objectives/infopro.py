"""InfoPro's objective: keep the information about the image while learning the label.

    V   = h_k resized to the image's sides, bilinear, corners aligned
    a   = 3×3 convolution to 12, BN, ReLU, 3×3 convolution to the image's channels, of V             aux.k.decoder
    z   = an auxiliary network of h_k: logits, or 128 features for the contrast                   aux.k.classifier
    L_k = λ1 BCE(sigmoid(a), x·std + mean) + λ2 L_task(z, y)

Wang, Ni, Song, Yang and Huang, "Revisiting Locally Supervised Learning: an Alternative to End-to-end Training".
λ1 and λ2 run linearly from module 1 to module K-1, as in that paper's code, which also has the published values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

from minilocal.array import Array, namespace
from minilocal.errors import UserError, real, set_checked, unknown
from minilocal.layers import Conv, Layer, Patch, Resize, Sequential
from minilocal.layers.base import Shape
from minilocal.layers.norm import BatchNormReLU
from minilocal.losses import binary_cross_entropy, supervised_contrast
from minilocal.objectives.auxiliary_nets import auxiliary_network, check_name
from minilocal.objectives.base import Batch, ModuleContext, ObjectiveSpec
from minilocal.objectives.behind import BehindUnit
from minilocal.objectives.branches import Branch, Branches, Labels

VERSIONS = ("softmax", "contrast")
INTERPOLATIONS = ("module", "stage")
FEATURES = 128  # outputs of the auxiliary network in the contrast version
TINY, BOUND = 1e-9, 1e9  # the least deviation or temperature; the bound of every number
HIDDEN = 12  # channels of the decoder
MEAN, STD = (125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255)  # CIFAR-10's
# K: (ixx_1, ixy_1, ixx_2, ixy_2), published for the contrast version; star: on the memory-balanced splits
LAMBDAS: dict[str, dict[int, tuple[float, ...]]] = {
    "resnet32-cifar10": {2: (5, 1, 0, 0), 4: (6, 0, 1, 2), 8: (5, 0, 0, 2), 16: (5, 0.05, 0.2, 0.5)},
    "resnet110-cifar10": {2: (5, 0.5, 0, 0), 4: (1, 0, 0, 1), 8: (5, 0, 0, 1), 16: (5, 0, 0.5, 1)},
    "resnet110-stl10": {2: (10, 1, 0, 0), 4: (20, 0.2, 5, 2), 8: (20, 0.2, 5, 1), 16: (20, 0.5, 10, 0.1)},
    "resnet110-svhn": {2: (1, 0.1, 0, 0), 4: (5, 0, 0.5, 1), 8: (5, 0, 0.5, 2), 16: (5, 0.2, 0.5, 1)},
    "resnet110-cifar10-star": {2: (5, 0.1, 0, 0), 3: (5, 0, 5, 0.1), 4: (5, 0, 5, 0.1)},
    "resnet110-stl10-star": {2: (20, 1, 0, 0), 3: (20, 0.5, 5, 2), 4: (20, 0.5, 10, 1)},
}


@dataclass(frozen=True)
class Reconstruction:
    """The binary cross entropy with the image before normalisation, x·std + mean, clipped to [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, z: Array, batch: Batch) -> tuple[Array, Array]:
        x = batch.x
        target = namespace(x).empty_like(x)
        for c, (mean, std) in enumerate(zip(self.mean, self.std, strict=True)):
            target[..., c] = x[..., c] * std + mean  # an array of means would be copied to the device each step
        return binary_cross_entropy(z, target.clip(0, 1))


@dataclass(frozen=True)
class Contrast:
    """The supervised contrastive loss, at this temperature."""

    temperature: float

    def __call__(self, z: Array, batch: Batch) -> tuple[Array, Array]:
        return supervised_contrast(z, batch.y, self.temperature)


@dataclass(frozen=True)
class InfoPro(ObjectiveSpec):
    """InfoPro's objective: the image reconstructed and the label classified, in every module below the last.

    Wang, Ni, Song, Yang and Huang, "Revisiting Locally Supervised Learning: an Alternative to End-to-end Training".
    `lambdas` is (ixx_1, ixy_1, ixx_2, ixy_2), λ1 and λ2 of module 1 and of module K-1, or a name in `LAMBDAS`. A name
    means the values published for K modules, or else for the next larger K (the largest: 16, or 4 with star).

    `aux` is the auxiliary network, one of `minilocal.objectives.NAMES`. `version` is "softmax" (cross entropy) or
    "contrast", which has a `temperature`. `mean` and `std` are those that the images were normalised with; they default
    to CIFAR-10's, and to their averages over the channels for images that do not have three. `interpolate` says along
    what λ runs: "module", from module 1 to K-1, or "stage", the part s / (K-2) of the way in stage s of a ResNet, as in
    MAN's code.

    Raises: UserError for lambdas of another count, below 0 or of an unknown name, an unknown version, interpolation or
    auxiliary network, a temperature or deviation that is not above 0.
    """

    lambdas: str | Sequence[float] = "resnet32-cifar10"
    version: str = "softmax"
    aux: str = "1c2f"
    temperature: float = 0.07
    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    interpolate: str = "module"

    def __post_init__(self) -> None:
        if isinstance(self.lambdas, str):
            if self.lambdas not in LAMBDAS:
                raise unknown("InfoPro's lambdas", self.lambdas, LAMBDAS)
        else:
            set_checked(self, lambdas=_numbers("lambdas", self.lambdas, 0.0))
            if len(self.lambdas) != 4:
                raise UserError(
                    f"InfoPro was given {len(self.lambdas)} lambdas: give four, ixx_1, ixy_1, ixx_2, ixy_2 (λ1 and λ2 "
                    f"at module 1 and at module K-1), or a name: {', '.join(LAMBDAS)}."
                )
        if self.version not in VERSIONS:
            raise unknown("InfoPro's version", self.version, VERSIONS)
        if self.interpolate not in INTERPOLATIONS:
            raise unknown("InfoPro's interpolate", self.interpolate, INTERPOLATIONS)
        check_name(self.aux)
        if isinstance(self.temperature, (list, tuple)):
            raise UserError(f"InfoPro's temperature {self.temperature!r}: give one number above 0.")
        set_checked(self, temperature=_numbers("temperature", self.temperature, TINY)[0])
        if self.version == "softmax" and self.temperature != InfoPro.temperature:
            raise UserError(
                f"InfoPro's temperature {self.temperature:g} is of the contrast: give version='contrast' too, or "
                "leave it out."
            )
        for name, least in (("mean", -BOUND), ("std", TINY)):
            if (value := getattr(self, name)) is not None:
                numbers = _numbers(name, value, least)
                if not numbers:
                    raise UserError(f"InfoPro's {name} {value!r}: give a number, or one for each channel.")
                set_checked(self, **{name: numbers})

    def build(self, context: ModuleContext) -> Branches:
        if len(context.shape) != 3:
            raise UserError(
                f"InfoPro reconstructs the image from maps, but {_where(context)} a fully connected unit: use fewer "
                "modules, or another rule."
            )
        stage = 1 + round(log2(context.image[0] / context.shape[0]))  # of a ResNet: each halves the image's side
        weights = self.weights(context.module, context.modules, stage)
        if min(weights) < 0:
            raise UserError(
                f"InfoPro's λ by stage: in stage {stage} of {context.modules} modules λ1 and λ2 are "
                f"{weights[0]:g} and {weights[1]:g}, below 0: use {stage + 2} modules or more, or "
                'interpolate="module".'
            )
        image = Branch(decoder(context), self.reconstruction(context), weights[0])
        return Branches([image, self.task(context, "classifier", weights[1])])

    def reconstruction(self, context: ModuleContext) -> Reconstruction:
        """The loss of the decoder's output.

        Raises: UserError where `mean` or `std` has another number of channels than the images.
        """
        return Reconstruction(self._constants("mean", MEAN, context), self._constants("std", STD, context))

    def task(self, context: ModuleContext, branch: str, weight: float) -> Branch:
        """The auxiliary network of that name behind this module, with the loss of the labels."""
        softmax = self.version == "softmax"
        network = auxiliary_network(self.aux, context, branch, context.classes if softmax else FEATURES)
        return Branch(network, Labels() if softmax else Contrast(self.temperature), weight)

    def weights(self, k: int, K: int, stage: int = 1) -> tuple[float, float]:
        """(λ1, λ2) of module k of K, k from 0, in this stage of the network."""
        ixx_1, ixy_1, ixx_2, ixy_2 = self._lambdas(K)
        r = (k if self.interpolate == "module" else stage) / (K - 2) if K > 2 else 0.0
        return ixx_1 * (1 - r) + ixx_2 * r, ixy_1 * (1 - r) + ixy_2 * r

    def warnings(self, shapes: Sequence[Shape]) -> list[str]:
        K = len(shapes) + 1
        if self.interpolate != "module" or self.weights(K - 2, K) != (0.0, 0.0) or K == 1:
            return []
        return [f"InfoPro's λ1 and λ2 are both 0 at module {K - 1}, so nothing trains it: end with other lambdas."]

    def describe(self) -> str:
        return f"reconstruction of the image, and a classifier ({self.aux}, {self.version})"

    def _lambdas(self, K: int) -> Sequence[float]:
        if not isinstance(self.lambdas, str):
            return self.lambdas
        published = LAMBDAS[self.lambdas]
        return published[min((n for n in published if n >= K), default=max(published))]

    def _constants(self, name: str, cifar: tuple[float, ...], context: ModuleContext) -> tuple[float, ...]:
        """One number for each channel of the image."""
        numbers: tuple[float, ...] | None = getattr(self, name)
        channels = context.image[-1]
        if numbers is None:
            return cifar if channels == len(cifar) else (sum(cifar) / len(cifar),) * channels
        if len(numbers) not in (1, channels):
            raise UserError(f"InfoPro's {name} has {len(numbers)} numbers, the images have {channels} channels.")
        return numbers if len(numbers) == channels else numbers * channels


def decoder(context: ModuleContext, branch: str = "decoder", patch: Patch | None = None) -> Sequential:
    """The decoder, from h_k to an image of logits; its arrays are aux.{k}.decoder.0, .1 and .3, as in the code.

    With a `patch` it is from that patch of h_k to that of the image.
    """
    H, W, channels = context.image if patch is None else patch.out_shape(context.image)
    name, initial = f"aux.{context.module}.{branch}", context.initial
    layers: list[Layer] = [
        *([] if patch is None else [patch]),
        Resize(H, W, name=name),
        Conv(context.shape[2], HIDDEN, 3, initial, pad=1, bias=True, name=f"{name}.0"),
        BatchNormReLU(HIDDEN, initial, name=f"{name}.1"),
        Conv(HIDDEN, channels, 3, initial, pad=1, bias=True, name=f"{name}.3"),
    ]
    return Sequential(layers, name)


def _where(context: ModuleContext) -> str:
    """What the objective sees, for messages: as "module 1 of 4 ends with"."""
    module = f"module {context.module + 1} of {context.modules}"
    if isinstance(context, BehindUnit):
        return f"{module} is seen through unit {context.through!r},"
    return f"{module} ends with"


def _numbers(name: str, numbers: Any, least: float) -> tuple[float, ...]:
    """One number or several, as floats of at least `least`."""
    several = numbers if isinstance(numbers, (list, tuple)) else (numbers,)
    why = "give " + ("numbers" if least < 0 else "numbers of 0 or more" if least == 0 else "a number above 0")
    return tuple(float(real(f"InfoPro's {name}", number, least, BOUND, "[)", why=why)) for number in several)
