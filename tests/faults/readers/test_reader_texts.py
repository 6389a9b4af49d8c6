"""Small texts, drawn: one value of a valid document is replaced by an odd one; what was drawn is read as written."""

from __future__ import annotations

import json
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilocal.parallel.launcher import values
from minilocal.parallel.simulate import costs_file
from minilocal.parallel.simulate.costs import PartCosts
from minilocal.record import rows
from tests.faults.readers.audit import Watch
from tests.faults.readers.table import READERS
from tests.faults.readers.trial import Trial

LETTERS = st.text(max_size=20)
NUMBERS = st.one_of(st.integers(), st.integers(-3, 3), st.floats(), st.sampled_from([2**31, 2**63, 10**400, -0.0]))
ATOMS = st.one_of(st.none(), st.booleans(), NUMBERS, LETTERS, st.sampled_from(["\x1b[2J", "../x", "nan", "\u202e"]))
ODD = st.recursive(ATOMS, lambda part: st.lists(part, max_size=3) | st.dictionaries(LETTERS, part, max_size=3))
JSON = ("run-config", "run-environment", "config-json", "sweep", "sweep-of-experiment", "costs", "claim", "failed",
        "rank-error", "rank-facts", "rank-waits")  # fmt: skip
TOML = ("config-toml", "experiment")
sampled = settings(max_examples=8, deadline=None, database=None, derandomize=True)


@pytest.fixture(autouse=True, scope="module")
def traced() -> Iterator[None]:
    """Memory is traced for these tests only."""
    yield
    tracemalloc.stop()


@contextmanager
def desk(name: str) -> Iterator[tuple[Trial, bytes]]:
    """A judge of the reader, and a content that is valid."""
    with tempfile.TemporaryDirectory(prefix="minilocal-readers-") as top:
        folder = Path(top).resolve()
        content = READERS[name].make(folder)[0]
        (folder / READERS[name].file).write_bytes(content)
        yield Trial(READERS[name], folder, Watch()), content


def places(value: Any) -> list[tuple[Any, Any]]:
    """(owner, key) of every value in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, part in items for place in ((value, key), *places(part))]


@pytest.mark.parametrize("name", JSON)
def test_one_value_of_a_document_is_replaced(name: str) -> None:
    with desk(name) as (trial, content):

        @sampled
        @given(st.data())
        def replaced(data: st.DataObject) -> None:
            document = json.loads(content)
            owner, key = data.draw(st.sampled_from(places(document)))
            owner[key] = data.draw(ODD)
            assert trial(json.dumps(document).encode(), steps=False).wrong == []

        replaced()


@pytest.mark.parametrize("name", TOML)
def test_one_value_of_a_table_is_replaced(name: str) -> None:
    with desk(name) as (trial, content):
        lines = content.decode().split("\n")
        assignments = [n for n, line in enumerate(lines) if "=" in line]

        @sampled
        @given(st.sampled_from(assignments), ODD)
        def replaced(at: int, odd: Any) -> None:
            changed = [*lines]
            changed[at] = f"{lines[at].partition('=')[0]}= {json.dumps(odd)}"
            assert trial("\n".join(changed).encode(), steps=False).wrong == []

        replaced()


@sampled
@given(st.dictionaries(LETTERS, st.lists(st.floats(0, 1e300), min_size=20, max_size=20), max_size=4))
def test_costs_are_read_as_written(numbers: dict[str, list[float]]) -> None:
    count = len(PartCosts.__dataclass_fields__)
    built: Any = PartCosts
    table = {name: built(*part[:count]) for name, part in numbers.items()}
    with tempfile.TemporaryDirectory() as top:
        costs_file.save(table, Path(top) / "costs.json")
        assert costs_file.load(Path(top) / "costs.json") == table


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | LETTERS,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(LETTERS, part, max_size=3) | st.tuples(part, part),
)


@sampled
@given(PLAIN)
def test_a_result_of_a_rank_is_read_as_written(value: Any) -> None:
    with tempfile.TemporaryDirectory() as top:
        values.save(Path(top) / "result", value, "a result")
        assert values.load(Path(top) / "result") == value


@sampled
@given(st.lists(st.dictionaries(LETTERS, ATOMS.filter(lambda a: a == a), max_size=4), max_size=4))
def test_rows_are_read_as_written(sampled_rows: list[dict[str, Any]]) -> None:
    written = [{**row, "epoch": n} for n, row in enumerate(sampled_rows, 1)]
    with tempfile.TemporaryDirectory() as top:
        (Path(top) / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in written))
        assert rows(top) == written
