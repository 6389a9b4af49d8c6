"""The places of a file where cosmic-ray's operators can change it, and the file with one of them changed."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

ARITHMETIC = ("Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow")
ORDER = ("Eq", "NotEq", "Lt", "LtE", "Gt", "GtE")
WITH_ARGUMENTS = ("VariableReplacer", "VariableInserter")


@dataclass(frozen=True)
class Mutant:
    """The `occurrence`-th place of one operator in a file."""

    module: str
    operator: str
    occurrence: int
    line: int
    column: int

    @property
    def name(self) -> str:
        return f"{self.module}:{self.line}:{self.column} {self.operator}"


def plausible(operator: str) -> bool:
    """Whether what the operator puts in can be of the type of what it takes out.

    A sum that becomes a shift, or `<` that becomes `is`, fails wherever it runs: such mutants would only flatter.
    """
    name, *kinds = operator.rpartition("/")[2].split("_")
    if name in WITH_ARGUMENTS:
        return False
    if name in ("ReplaceBinaryOperator", "ReplaceComparisonOperator"):
        before, after = (kind in ARITHMETIC or kind in ORDER for kind in kinds)
        return before == after
    return True


@cache
def operators() -> dict[str, Any]:
    """{name: operator} of cosmic-ray, those that are plausible."""
    from cosmic_ray.plugins import get_operator, operator_names

    return {name.rpartition("/")[2]: get_operator(name)() for name in sorted(operator_names()) if plausible(name)}


def mutated(source: str, mutant: Mutant) -> str:
    """The file's text with this change."""
    from cosmic_ray.mutating import mutate_code

    return str(mutate_code(source, operators()[mutant.operator], mutant.occurrence))


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """All changes that the operators can make to a file."""
    from cosmic_ray.ast import ast_nodes, get_ast

    nodes = list(ast_nodes(get_ast(source)))
    for name, operator in operators().items():
        positions = (start for node in nodes for start, _ in operator.mutation_positions(node))
        for occurrence, (line, column) in enumerate(positions):
            yield Mutant(module, name, occurrence, line, column)


def places(module: str, source: str) -> list[list[Mutant]]:
    """The changes by place: those at one position of the text."""
    by_position = defaultdict(list)
    for mutant in mutants(module, source):
        by_position[mutant.line, mutant.column].append(mutant)
    return [by_position[position] for position in sorted(by_position)]


def meaning(source: str) -> str | None:
    """What Python evaluates of a text; None where it is no Python.

    Annotations are left out: they are text that nothing evaluates (`from __future__ import annotations`).
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        match node:
            case ast.arg():
                node.annotation = None
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                node.returns = None
            case ast.AnnAssign():
                node.annotation = ast.Constant(None)
    return ast.dump(tree)


def changes(source: str, mutant: Mutant) -> bool:
    """Whether the mutant is Python that differs from the file beyond its annotations."""
    after = meaning(mutated(source, mutant))
    return after is not None and after != meaning(source)
