"""Tables as the papers print them, one CSV file a table: words and numbers unchanged, every cell text.

The first two columns of a row are its `source`, a key of `SOURCES`, and the number of its `table` there; "text" for
numbers of the running text. The other columns are those of the table, named in the first line of the file.
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
    """The rows of one table, in the printed order: `table("fdg_table1")`; `NAMES` lists the tables.

    Raises: UserError for an unknown table.
    """
    if name not in NAMES:
        raise unknown("published table", name, NAMES)
    return list(csv.DictReader((files(__name__) / f"{name}.csv").read_text("utf-8").splitlines()))
