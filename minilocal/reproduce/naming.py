"""Names of cells, as `cifar10-resnet32-backlink-l1-K16`, and the words of their rows and columns in tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from minilocal import rules
from minilocal.published.keys import ALPHA, AUX, DATA, LENGTH, MODULES, NET, RULE, VERSION, words_of

ALWAYS = (DATA, NET, RULE, LENGTH)
FIRST = (DATA, NET, RULE, VERSION, AUX, LENGTH)  # the order of a name's parts; MODULES and the columns' key are last
PLAIN = (DATA, NET, VERSION, AUX)  # keys whose values need no letter
LETTERS = {
    MODULES: "K", LENGTH: "l", ALPHA: "α", "rule.beta": "β", "rule.period": "P", "rule.duration": "Q", "optim.lr": "lr",
}  # fmt: skip
WORDS = {"α": "alpha", "β": "beta"}  # of letters in names


class Name:
    """The name of a cell in its parts: the row's, and the column's, "" where the cell has none."""

    def __init__(self, row: Sequence[tuple[str, str]], column: tuple[str, str] = ("", "")) -> None:
        self.row_name = "-".join(name for name, _ in row)
        self.row = ", ".join(words for _, words in row)
        self.column_name, self.column = column

    @property
    def name(self) -> str:
        """Row and column: `cifar10-resnet32-bp`, `cifar10-resnet32-gll-K4`."""
        return f"{self.row_name}-{self.column_name}" if self.column_name else self.row_name


class Title(NamedTuple):
    """A row's own words, and the keys that they stand for."""

    words: str = ""
    keys: frozenset[str] = frozenset()


def names(points: Sequence[Mapping[str, Any]], columns: str, titles: Sequence[Title]) -> list[Name]:
    """The names of cells with these keys. A title replaces the parts of its keys and of the rule.

    A key is a part where it is one of ALWAYS, or has several values among the cells of its rule. Names may be equal.
    """
    return [_named(point, points, columns, title) for point, title in zip(points, titles, strict=True)]


def _named(point: Mapping[str, Any], points: Sequence[Mapping[str, Any]], columns: str, title: Title) -> Name:
    alike = [other for other in points if other.get(RULE) == point.get(RULE)]
    order = sorted((key for key in point if key != columns), key=lambda key: (_place(key), key == MODULES))
    shown = [key for key in order if key in ALWAYS or len({str(other[key]) for other in alike if key in other}) > 1]
    where = [part(key, point[key]) for key in shown if key in (DATA, NET)]
    rest = [key for key in shown if key not in (DATA, NET)]
    if title.words:
        where.append((slug(title.words), title.words))
        rest = [key for key in rest if key not in title.keys and key != RULE]
    parts = [*where, *(part(key, point[key]) for key in rest)]
    if columns in point:
        return Name(parts, part(columns, point[columns]))
    is_bp = columns == MODULES and point.get(RULE) == "bp"
    return Name(parts, ("", "K = 1" if is_bp else ""))


def part(key: str, value: Any) -> tuple[str, str]:
    """A key with its value in a name, and in words: ("K16", "K = 16"), ("resnet32", "ResNet-32")."""
    if key == RULE:
        return slug(rules.label(value)), rules.get(value).name
    if key in PLAIN or isinstance(value, str):
        return slug(str(value)), words_of(key, value)
    letter = _letter(key)
    text = ",".join(map(str, value)) if isinstance(value, list) else f"{value:g}" if _is_number(value) else str(value)
    return f"{WORDS.get(letter, letter)}{slug(text)}", f"{letter} = {text}"


def slug(text: str) -> str:
    """Letters, digits, points and plus signs; everything else is a hyphen."""
    return re.sub(r"[^\w.+]+", "-", text).strip("-").lower()


def _letter(key: str) -> str:
    return LETTERS.get(key, key.rpartition(".")[2])


def _place(key: str) -> int:
    return FIRST.index(key) if key in FIRST else len(FIRST)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
