"""Tables as the papers print them, one CSV file a table: words and numbers unchanged, every cell text.

The first two columns of a row are its `source`, a key of `SOURCES`, and the number of its `table` there; "text" for
numbers of the running text. The other columns are those of the table, named in the first line of the file.

A table of errors has a number in each row: `method` on `network` and `dataset`, K modules, auxiliary networks `aux`,
and the `value` of a `metric`. `error_reduction_vs_gll` is GLL's error minus the method's, as the BackLink paper prints
it. A `note` says where a paper contradicts itself, or takes a number from another one. `recipes.csv` has the training
recipes of the papers' own runs; an empty word of it is one that the paper does not state.
"""

from __future__ import annotations

import csv
from importlib.resources import files

from minilocal.errors import unknown

SOURCES = {
    "backlink-ieee": "Guo, Fouda, Eltawil and Salama, Supervised Local Training With Backward Links for Deep Neural "
    "Networks, IEEE Transactions on Artificial Intelligence, 2023",
    "backlink-preprint": "the same authors, BackLink: Supervised Local Training with Backward Links, 2022",
    "fdg": "Zhuang, Wang, Liu and Lin, Fully Decoupled Neural Network Learning Using Delayed Gradients",
    "fdg-readme": "the front page of that paper's code, with later figures",
    "infopro": "Wang, Ni, Song, Yang and Huang, Revisiting Locally Supervised Learning: an Alternative to End-to-end "
    "Training",
    "pgl": "Bhatti and Moon, Locally Supervised Learning with Periodic Global Guidance",
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
