"""What a run does, as five checked tables: from flags and files to a `Config`, and back."""

from minilocal.config.layers import (
    FLAGS,
    SWITCHES,
    Layer,
    agree,
    flatten,
    from_tables,
    read_toml,
    resolve,
    setting,
    value_of,
)
from minilocal.config.tables import TABLES, Config, Data, Net, Optim, Rule, Run, check, tables_of

__all__ = [
    "FLAGS", "SWITCHES", "TABLES", "Config", "Data", "Layer", "Net", "Optim", "Rule", "Run", "agree", "check",
    "flatten", "from_tables", "read_toml", "resolve", "setting", "tables_of", "value_of",
]  # fmt: skip
