"""Contexts: what crosses a boundary upward besides h, encoded and added to the input of the module above.

Yu, Zhang, Ma, Wang and Li, "Go beyond End-to-End Training: Boosting Greedy Local Learning with Context Supply", 2023,
and its code.

    h'_k = h_k + E_k(x) + R_k(h'_{k-1})             the input of module k+1;   h'_0 = x, the image

    E_k   conv 3×3 to 12, BN, ReLU, conv 3×3 to C_k, BN, ReLU, average pool to the sides of h_k        mode E
    R_k   conv 1×1 to C_k, BN, ReLU, average pool to the sides of h_k                                  mode R1

Mode R1E has both, but no R_1, whose source is the image that E_1 encodes already; in mode R0 there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minilocal.errors import UserError, set_checked, unknown
from minilocal.layers import AdaptiveAveragePool, Conv, Layer, Sequential, WithContext
from minilocal.layers.base import Shape
from minilocal.layers.initial import Initializer
from minilocal.layers.norm import BatchNormReLU
from minilocal.layers.with_context import Context

MODES = {"none": "R0", "image": "E", "below": "R1", "both": "R1E"}  # {source: the mode of the paper's code}
HIDDEN = 12  # channels inside of E
WORDS = {
    "none": "none",
    "image": "the image",
    "below": "the input of the module below",
    "both": "the image, and the input of the module below",
}


@dataclass(frozen=True)
class Entrance:
    """The input of a module above the first: whose it is, and the shapes of one h, one image and one input below."""

    module: int  # counted from 0
    shape: Shape  # of h
    image: Shape
    below: Shape  # of the input of the module below
    initial: Initializer


@dataclass(frozen=True)
class ContextSupply:
    """What is encoded and added to the input of every module above the first: the image, the input of the module below.

    `source` is "image", "below", "both" or "none", or the mode of the paper's code: E, R1, R1E, R0. The encoders belong
    to the module above: they learn from its loss, and are part of the network that is tested. The sources are
    constants, but where errors pass through whole modules (backpropagation of the enlarged network).

    Raises: UserError for any other source.
    """

    source: str = "image"

    def __post_init__(self) -> None:
        by_mode = {mode: source for source, mode in MODES.items()}
        source = by_mode.get(self.source, self.source) if isinstance(self.source, str) else ""
        if source not in MODES:
            raise unknown("context", self.source, (*MODES, *by_mode))
        set_checked(self, source=source)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r})"

    @property
    def mode(self) -> str:
        """The paper's name of it: R0, E, R1 or R1E."""
        return MODES[self.source]

    @property
    def encodes_below(self) -> bool:
        """Whether the inputs of modules are encoded for the module above."""
        return self.source in ("below", "both")

    def supplied(self, units: Sequence[Layer], entrance: Entrance, *, is_last: bool = False) -> list[Layer]:
        """The units of the module behind this entrance, the first of them with its contexts.

        Raises: UserError where a context is to be added to vectors, as before fully connected units.
        """
        contexts = self.contexts(entrance)
        if not contexts:
            return list(units)
        is_encoded = self.encodes_below and not is_last
        return [WithContext(units[0], contexts, is_encoded=is_encoded), *units[1:]]

    def contexts(self, entrance: Entrance) -> list[Context]:
        """The encoders at this entrance, each with its source.

        Raises: UserError, as `supplied`.
        """
        if self.source == "none":
            return []
        if len(entrance.shape) != 3:
            raise UserError(
                f"context={self.source}: module {entrance.module + 1} begins with vectors of {entrance.shape[0]}, and "
                "a context is added to maps: use fewer modules, or a network of convolutions."
            )
        contexts = []
        if self.source in ("image", "both"):
            contexts.append(Context(_of_image(entrance), "image", entrance.image))
        if self.source == "below" or (self.source == "both" and entrance.module > 1):
            contexts.append(Context(_of_below(entrance), "below", entrance.below))
        return contexts

    def describe(self) -> str:
        """What is encoded, in a few words; nothing where there is no context."""
        return "" if self.source == "none" else f"context from below: {WORDS[self.source]} ({self.mode})"


NO_CONTEXT = ContextSupply("none")


def _of_image(entrance: Entrance) -> Sequential:
    """E_k; its arrays are context.{k}.image.0, .1, .3 and .4, as in the equivalent torch.nn.Sequential."""
    name, initial, channels = f"context.{entrance.module}.image", entrance.initial, entrance.shape[2]
    layers: list[Layer] = [
        Conv(entrance.image[2], HIDDEN, 3, initial, pad=1, bias=True, name=f"{name}.0"),
        BatchNormReLU(HIDDEN, initial, name=f"{name}.1"),
        Conv(HIDDEN, channels, 3, initial, pad=1, bias=True, name=f"{name}.3"),
        BatchNormReLU(channels, initial, name=f"{name}.4"),
        AdaptiveAveragePool(*entrance.shape[:2], name=f"{name}.6"),
    ]
    return Sequential(layers, name)


def _of_below(entrance: Entrance) -> Sequential:
    """R_k; its arrays are context.{k}.below.0 and .1."""
    name, initial, channels = f"context.{entrance.module}.below", entrance.initial, entrance.shape[2]
    layers: list[Layer] = [
        Conv(entrance.below[2], channels, 1, initial, bias=True, name=f"{name}.0"),
        BatchNormReLU(channels, initial, name=f"{name}.1"),
        AdaptiveAveragePool(*entrance.shape[:2], name=f"{name}.3"),
    ]
    return Sequential(layers, name)
