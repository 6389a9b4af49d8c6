"""What can be chosen: a network, K, and a rule with its auxiliary network and its length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minilocal import rules
from minilocal.published.keys import MODULES, NET, RULE
from minilocal.rules import Rule

NETWORKS = {"resnet20": "ResNet-20", "resnet32": "ResNet-32", "resnet110": "ResNet-110", "vgg16": "VGG16"}
USUAL = ("resnet20", "resnet32", "resnet110")  # VGG16 takes as long as these together
COUNTS = (2, 4, 8, 16)  # of modules, in the papers' tables
LENGTHS: tuple[int | str, ...] = (0, 1, 2, 3, 4, "module")
BATCHES = (128, 256, 512)
ALPHA = 0.25  # of the rules that are asked: no power of it is one of 1 - α
CLASSIFIERS = ("0c1f", "1c2f")


@dataclass(frozen=True)
class Choice:
    """A rule that can be chosen.

    rule       its registered name, with the `options` that are set
    aux        the auxiliary networks to choose from; () where it has none, or only those that belong to it
    linked     whether it has a length l, and α
    is_global  whether its global epochs are shown, not its local ones
    """

    title: str
    rule: str
    aux: tuple[str, ...] = ()
    linked: bool = False
    is_global: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


CHOICES = {
    "bp": Choice("BP", "bp"),
    "bp-inputs": Choice("BP, checkpointed", "bp", options={"keep": "inputs"}),
    "gll": Choice("GLL", "gll", CLASSIFIERS),
    "backlink": Choice("BackLink", "backlink", CLASSIFIERS, linked=True),
    "dgl": Choice("DGL", "dgl", ("mlp-sr", *CLASSIFIERS)),
    "predsim": Choice("PredSim", "predsim"),
    "infopro": Choice("InfoPro", "infopro", CLASSIFIERS),
    "pgl": Choice("PGL, local epochs", "pgl", ("aux-adapt", *CLASSIFIERS)),
    "pgl-global": Choice("PGL, global epochs", "pgl", ("aux-adapt", *CLASSIFIERS), is_global=True),
    "dni": Choice("DNI", "dni"),
    "ddg": Choice("DDG", "ddg"),
    "fdg": Choice("FDG", "fdg"),
}


@dataclass(frozen=True)
class Variant:
    """A choice with its auxiliary network, "" where none is chosen, and its length, None where it has none."""

    name: str  # a key of CHOICES
    aux: str = ""
    length: int | str | None = None

    @property
    def choice(self) -> Choice:
        return CHOICES[self.name]

    @property
    def key(self) -> str:
        """`backlink/1/1c2f`, `bp//`"""
        return f"{self.name}/{'' if self.length is None else self.length}/{self.aux}"

    @property
    def options(self) -> dict[str, Any]:
        """The options of its rule that are set."""
        aux = {"aux": self.aux} if self.aux else {}
        length = {} if self.length is None else {"length": self.length}
        return {**self.choice.options, **aux, **length}

    def rule(self) -> Rule:
        """Its rule; of one with α that at α = ALPHA."""
        return rules.get(self.choice.rule, **self.options, **({"alpha": ALPHA} if self.choice.linked else {}))

    def epoch(self) -> int:
        """The first epoch of the kind that is shown, counted from 0."""
        when, epoch = self.rule().when, 0
        while when.is_global(epoch) is not self.choice.is_global:
            epoch += 1
        return epoch

    def settings(self, net: str, modules: int) -> dict[str, Any]:
        """{"table.key": value} of a run with it, as published cells name them: every option, α at its default."""
        options = {**rules.options(self.choice.rule), **self.options}
        return {NET: net, MODULES: modules, RULE: self.choice.rule, **{f"rule.{k}": v for k, v in options.items()}}

    def same_as(self, sizes: Sequence[int]) -> Variant:
        """The variant that is the same rule on modules of these sizes: a shorter link, or GLL for a length of 0."""
        if self.length is None:
            return self
        if self.length == 0:
            return Variant("gll", self.aux)
        reach = [self.rule().boundary.linked_units(n) for n in sizes[:-1]]
        shorter = (Variant(self.name, self.aux, length) for length in LENGTHS[1:])
        return next(v for v in shorter if [v.rule().boundary.linked_units(n) for n in sizes[:-1]] == reach)


def variants() -> Iterator[Variant]:
    """Every choice with each of its auxiliary networks and lengths."""
    for name, choice in CHOICES.items():
        for aux in choice.aux or ("",):
            for length in LENGTHS if choice.linked else (None,):
                yield Variant(name, aux, length)


def counts(units: int) -> list[int]:
    """The numbers of modules for a network of so many units: the papers', up to one module for each unit."""
    return sorted({*(K for K in COUNTS if units >= K), min(units, COUNTS[-1])})
