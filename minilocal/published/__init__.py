"""Tables as the papers print them, one CSV file a table: words and figures unchanged, every cell a text.

The first two columns of a row say where it stands: `source`, a key of `SOURCES`, and `table`, its number there. The
others are the table's own, and the first line of the file names them.
"""

from __future__ import annotations

import csv
from importlib.resources import files

from minilocal.errors import unknown

SOURCES = {
    "backlink-ieee": "Guo, Fouda, Eltawil and Salama, Supervised Local Training With Backward Links for Deep Neural "
    "Networks, IEEE Transactions on Artificial Intelligence, 2023",
    "fdg": "Zhuang, Wang, Liu and Lin, Fully Decoupled Neural Network Learning Using Delayed Gradients",
}
NAMES = tuple(sorted(f.name.removesuffix(".csv") for f in files(__name__).iterdir() if f.name.endswith(".csv")))

Row = dict[str, str]


def table(name: str) -> list[Row]:
    """The rows of one table, in the printed order: `table("fdg_table1")`; `NAMES` has them all.

    Raises: UserError for a table that is not here.
    """
    if name not in NAMES:
        raise unknown("published table", name, NAMES)
    return list(csv.DictReader((files(__name__) / f"{name}.csv").read_text("utf-8").splitlines()))
