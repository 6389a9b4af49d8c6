"""Training rules: one short file each, by composition."""

from __future__ import annotations

from minilocal.boundaries import Recommended
from minilocal.rules import from_file, when
from minilocal.rules.answers import ANSWERS
from minilocal.rules.auglocal import auglocal
from minilocal.rules.backlink import backlink
from minilocal.rules.bp import bp
from minilocal.rules.compose import Rule, compose
from minilocal.rules.contsup import contsup
from minilocal.rules.ddg import ddg
from minilocal.rules.dgl import dgl
from minilocal.rules.dni import dni
from minilocal.rules.fdg import fdg
from minilocal.rules.gll import gll
from minilocal.rules.hpff import hpff
from minilocal.rules.infopro import infopro
from minilocal.rules.interlocking import interlocking
from minilocal.rules.man import man
from minilocal.rules.pgl import pgl
from minilocal.rules.predsim import predsim
from minilocal.rules.registry import COMPOSED, constructor, get, label, options, register

NAMES = register(
    bp, gll, backlink, dgl, predsim, infopro, pgl, dni, ddg, fdg, interlocking, auglocal, hpff, man, contsup
)  # in the order of tables and help

__all__ = [
    "ANSWERS", "COMPOSED", "NAMES", "Recommended", "Rule", "auglocal", "backlink", "bp", "compose", "constructor",
    "contsup", "ddg", "dgl", "dni", "fdg", "from_file", "get", "gll", "hpff", "infopro", "interlocking", "label",
    "man", "options", "pgl", "predsim", "when",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
