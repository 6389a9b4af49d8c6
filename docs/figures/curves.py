"""The error curves of several run folders in one figure.

Usage:

    python docs/figures/curves.py RUN [RUN ...] FIGURE.png
"""

import sys

from minilocal import draw, record
from minilocal.rules import get


def name(config):
    """How the legend calls a run: BackLink, l = 2."""
    rule = dict(config["rule"])
    title = get(rule.pop("name"), **rule).name
    return f"{title}, l = {rule['length']}" if "length" in rule else title


def main(*folders, figure):
    runs = {name(record.config(folder)): [row["test_error"] for row in record.rows(folder)] for folder in folders}
    net, data = (record.config(folders[0])[table] for table in ("net", "data"))
    title = f"{net['name']}, K = {net['modules']}, {data['limit_train'] or 'all'} images of {data['name']}"
    with record.written_aside(figure) as file:
        file.write(draw.to_png(draw.curves(runs, title=title)))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:-1], figure=sys.argv[-1])
