"""What a run does, as five checked tables: from flags and files to a `Config`, and back."""

from minilocal.config.checks import check
from minilocal.config.parse import FLAGS, SWITCHES, read_file, setting, value_of
from minilocal.config.schema import TABLES, Config, Data, Net, Optim, Rule, Run, tables_of
from minilocal.config.sources import Layer, agree, flatten, from_tables, resolve
from minilocal.config.to_toml import as_toml

__all__ = [
    "FLAGS", "SWITCHES", "TABLES", "Config", "Data", "Layer", "Net", "Optim", "Rule", "Run", "agree", "as_toml",
    "check", "flatten", "from_tables", "read_file", "resolve", "setting", "tables_of", "value_of",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
