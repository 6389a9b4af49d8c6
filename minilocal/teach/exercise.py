"""An exercise: question, solution, reference, cases, and the wrong answers that a check must tell apart.

The stub that students get is the solution without its lines, so that the two cannot differ in name, arguments or text.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Case = tuple[Any, ...]  # the arguments of one call, in order


@dataclass(frozen=True)
class Mistake:
    """A known wrong answer: what went wrong, in a sentence without a full stop, and a function that does just that."""

    name: str
    function: Callable[..., Any]


@dataclass(frozen=True)
class Exercise:
    """One exercise of a lesson.

    Attributes:
        id: lesson and letter, "4a".
        question: what the student writes, in a sentence.
        solution: plain NumPy; its docstring states the shapes, and is part of the stub.
        reference: the package's own functions, with the solution's arguments; every answer is compared with it.
        against: the name of that reference, for the message.
        returns: the names of what is returned, one each.
        cases: the arguments of every call, from a generator with the exercise's own seed.
        mistakes: known wrong answers.
        last_first: the last result is computed first, so that a mistake is reported where it begins.
    """

    id: str
    question: str
    solution: Callable[..., Any]
    reference: Callable[..., Any]
    against: str
    returns: tuple[str, ...]
    cases: Callable[[np.random.Generator], Iterator[Case]] = field(repr=False)
    mistakes: tuple[Mistake, ...] = field(repr=False)
    last_first: bool = False

    @property
    def name(self) -> str:
        """The name of the function that the student writes."""
        return self.solution.__name__

    @property
    def arguments(self) -> list[str]:
        """The names of its arguments, in order."""
        return list(inspect.signature(self.solution).parameters)

    def all_cases(self) -> list[Case]:
        """The cases, the same ones every time: their seed is a hash of the id."""
        return list(self.cases(np.random.default_rng(zlib.crc32(self.id.encode()))))

    @property
    def stub(self) -> str:
        """The source that students get: head and docstring of the solution, and `return None`."""
        text = ast.get_docstring(self._definition, clean=False)
        return f'{self._head}\n    """{text}"""\n    return None  # your lines\n'

    @property
    def answer(self) -> str:
        """The source of the solution, without type annotations."""
        first = self._definition.body[0].lineno
        return "\n".join([self._head, *self._source.splitlines()[first - 1 :], ""])

    @property
    def _source(self) -> str:
        return textwrap.dedent(inspect.getsource(self.solution))

    @property
    def _definition(self) -> ast.FunctionDef:
        (definition,) = ast.parse(self._source).body
        assert isinstance(definition, ast.FunctionDef)
        return definition

    @property
    def _head(self) -> str:
        arguments = self._definition.args
        for argument in arguments.args:
            argument.annotation = None
        return f"def {self.name}({ast.unparse(arguments)}):"
