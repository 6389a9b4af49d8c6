"""The configuration of a run, five checked tables: from flags and files to a `Config`, and back."""

from minilocal.config.checks import check
from minilocal.config.parse import FLAGS, SWITCHES, parse_setting, read_file, value_of
from minilocal.config.schema import TABLES, Config, DataTable, NetTable, OptimTable, RuleTable, RunTable, tables_of
from minilocal.config.sources import Source, check_agrees, flatten, from_tables, resolve
from minilocal.config.to_toml import as_toml

__all__ = [
    "FLAGS",
    "SWITCHES",
    "TABLES",
    "Config",
    "DataTable",
    "NetTable",
    "OptimTable",
    "RuleTable",
    "RunTable",
    "Source",
    "as_toml",
    "check",
    "check_agrees",
    "flatten",
    "from_tables",
    "parse_setting",
    "read_file",
    "resolve",
    "tables_of",
    "value_of",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
