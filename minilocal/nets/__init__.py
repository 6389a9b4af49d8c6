"""Networks, as lists of units."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from minilocal.errors import UserError, call_it, unknown
from minilocal.layers.initial import Initializer
from minilocal.nets.mlp import mlp
from minilocal.nets.net import Net, Size, count
from minilocal.nets.resnet import blocks as resnet_blocks
from minilocal.nets.resnet import resnet, resnet18
from minilocal.nets.vgg_alexnet import alexnet, vgg16
from minilocal.nets.wrn import blocks as wrn_blocks
from minilocal.nets.wrn import wrn

NAMES = (
    "mlp", "alexnet", "vgg16", "resnet8", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet18",
    "wrn28-10",
)  # fmt: skip
RESNET, WRN = re.compile(r"resnet(\d+)"), re.compile(r"wrn(\d+)-(\d+)")
MORE = "any resnetN with N = 6m + 2, any wrnD-W with D = 6m + 4"


def get(
    name: str,
    *,
    classes: int = 10,
    rng: np.random.Generator | Initializer,
    channels: int = 3,
    size: Size = 32,
    shortcut: str | None = None,
    init: str | None = None,
    fc_norm: bool | None = None,
    also: Sequence[str] = (),
) -> Net:
    """A network by the name that flags use: one of `NAMES`, any resnetN with N = 6m + 2, any wrnD-W.

    `also`: further names of the caller, for the message of an unknown name.
    `fc_norm`: batch norm in the hidden fully connected layers of VGG16 and AlexNet.

    Raises: UserError for an unknown name, for a shortcut or `fc_norm` where the network has none to choose, and as the
    network's own function.
    """
    if not isinstance(name, str):
        raise UserError(f"network {name!r} is no name{call_it(name)}. Known: {', '.join(NAMES)}.")
    options: dict[str, Any] = {"classes": classes, "rng": rng, "channels": channels, "size": size}
    if init is not None:
        options["init"] = init
    if name.startswith("resnet") and shortcut is not None:
        options["shortcut"] = shortcut
    elif shortcut is not None:
        raise UserError(f"shortcut {shortcut!r} was asked for, but {name} has none to choose: only the resnets have.")
    if fc_norm is not None and name not in ("vgg16", "alexnet"):
        raise UserError(
            f"fc_norm {fc_norm!r} was asked for, but {name} has none to choose: only vgg16 and alexnet have."
        )
    if fc_norm is not None:
        options["fc_norm"] = fc_norm
    simple: dict[str, Any] = {"mlp": mlp, "alexnet": alexnet, "vgg16": vgg16, "resnet18": resnet18}
    if name in simple:
        return simple[name](**options)
    if match := RESNET.fullmatch(name):
        return resnet(int(match[1]), **options)
    if match := WRN.fullmatch(name):
        return wrn(int(match[1]), int(match[2]), **options)
    raise unknown("network", name, (*also, *NAMES), more=MORE)


def check_name(name: str) -> None:
    """Check the depth and the width in the name of a resnetN or a wrnD-W. Raises: UserError, as `resnet` and `wrn`."""
    if match := RESNET.fullmatch(name):
        if name not in NAMES:  # resnet18 has a function of its own
            resnet_blocks(int(match[1]))
    elif match := WRN.fullmatch(name):
        wrn_blocks(int(match[1]), int(match[2]))


__all__ = ["MORE", "NAMES", "Net", "alexnet", "check_name", "count", "get", "mlp", "resnet", "resnet18", "vgg16", "wrn"]


def __dir__() -> list[str]:
    return sorted(__all__)
