"""What can be chosen: a network, K, and a rule with its auxiliary network and a number: l, n or d."""

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
BATCHES = (128, 256, 512)
ALPHA = 0.25  # of the rules that are asked: no power of it is one of 1 - α
CLASSIFIERS = ("0c1f", "1c2f")


@dataclass(frozen=True)
class Slider:
    """A number of a rule that can be chosen: the option that it sets, its words on the page, and its values."""

    option: str
    title: str
    values: tuple[int | str, ...]


LENGTH = Slider("length", "Linked units, l", (0, 1, 2, 3, 4, "module"))
REACH = Slider("reach", "Modules below, n", (0, 1, 2, 3, 7, 15))  # up to K-1 of each number of modules, which is BP
DEPTH = Slider("depth", "Blocks, d", (1, 2, 3, 4, 5))


@dataclass(frozen=True)
class Choice:
    """A rule that can be chosen.

    rule       its registered name, with the `options` that are set
    aux        the auxiliary networks to choose from; () where it has none, or only those that belong to it
    slider     its number, None where it has none
    linked     whether it has α
    is_global  whether its global epochs are shown, not its local ones
    """

    title: str
    rule: str
    aux: tuple[str, ...] = ()
    slider: Slider | None = None
    linked: bool = False
    is_global: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


CHOICES = {
    "bp": Choice("BP", "bp"),
    "bp-inputs": Choice("BP, checkpointed", "bp", options={"keep": "inputs"}),
    "gll": Choice("GLL", "gll", CLASSIFIERS),
    "backlink": Choice("BackLink", "backlink", CLASSIFIERS, LENGTH, linked=True),
    "dgl": Choice("DGL", "dgl", ("mlp-sr", *CLASSIFIERS)),
    "predsim": Choice("PredSim", "predsim"),
    "infopro": Choice("InfoPro", "infopro", CLASSIFIERS),
    "pgl": Choice("PGL, local epochs", "pgl", ("aux-adapt", *CLASSIFIERS)),
    "pgl-global": Choice("PGL, global epochs", "pgl", ("aux-adapt", *CLASSIFIERS), is_global=True),
    "dni": Choice("DNI", "dni"),
    "ddg": Choice("DDG", "ddg"),
    "fdg": Choice("FDG", "fdg"),
    "interlocking": Choice("Interlocking", "interlocking", CLASSIFIERS, REACH),
    "auglocal": Choice("AugLocal", "auglocal", slider=DEPTH),
    "hpff": Choice("HPFF", "hpff"),
    "man": Choice("MAN", "man"),
    "contsup": Choice("ContSup, E", "contsup", CLASSIFIERS),
    "contsup-both": Choice("ContSup, R1E", "contsup", CLASSIFIERS, options={"context": "both"}),
    "bp-contexts": Choice("BP, contexts E", "bp", options={"context": "image"}),
}


@dataclass(frozen=True)
class Variant:
    """A choice with its auxiliary network, "" where none is chosen, and its number, None where it has none."""

    name: str  # a key of CHOICES
    aux: str = ""
    number: int | str | None = None

    @property
    def choice(self) -> Choice:
        return CHOICES[self.name]

    @property
    def key(self) -> str:
        """`backlink/1/1c2f`, `bp//`"""
        return f"{self.name}/{'' if self.number is None else self.number}/{self.aux}"

    @property
    def options(self) -> dict[str, Any]:
        """The options of its rule that are set."""
        aux = {"aux": self.aux} if self.aux else {}
        slider = self.choice.slider
        number = {} if slider is None else {slider.option: self.number}
        return {**self.choice.options, **aux, **number}

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
        """The variant that is the same rule on modules of these sizes: with a smaller number, or GLL for 0."""
        if self.choice.slider is None:
            return self
        if self.number == 0:
            return Variant("gll", self.aux)
        smaller = (Variant(self.name, self.aux, number) for number in self.choice.slider.values if number != 0)
        return next(variant for variant in smaller if variant._effect(sizes) == self._effect(sizes))

    def _effect(self, sizes: Sequence[int]) -> tuple[object, ...]:
        """What its number decides on modules of these sizes: losses, linked units, and whose loss a module hears."""
        rule, last = self.rule(), len(sizes) - 1
        linked = tuple(rule.boundary.linked_units(n) for n in sizes[:-1])
        return rule.objective, linked, tuple(rule.boundary.learns_from(k, last) for k in range(last + 1))


def variants() -> Iterator[Variant]:
    """Every choice with each of its auxiliary networks and numbers."""
    for name, choice in CHOICES.items():
        for aux in choice.aux or ("",):
            for number in (None,) if choice.slider is None else choice.slider.values:
                yield Variant(name, aux, number)


def counts(units: int) -> list[int]:
    """The numbers of modules for a network of so many units: the papers', up to one module for each unit."""
    return sorted({*(K for K in COUNTS if units >= K), min(units, COUNTS[-1])})
