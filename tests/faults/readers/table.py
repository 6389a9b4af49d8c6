"""Every reader of files in the package, by name; and the code that reads files and is none, each with the reason."""

from __future__ import annotations

from importlib.util import find_spec

from tests.faults.readers import of_data, of_ranks, of_runs, of_texts

ALL = {r.name: r for r in (*of_data.READERS, *of_runs.READERS, *of_texts.READERS, *of_ranks.READERS)}
READERS = {name: reader for name, reader in ALL.items() if not reader.needs or find_spec(reader.needs)}
