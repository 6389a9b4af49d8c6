"""The error curves of several run folders in one figure.

Runs that differ in nothing but their seed are one curve, their mean within a band from the least to the largest. The
legend says in what the curves differ, and the title what they share.

Usage:

    python docs/figures/curves.py RUN [RUN ...] FIGURE.png
"""

import sys

from minilocal import UserError, draw, record
from minilocal.config import flatten
from minilocal.rules import get
from minilocal.train.same_run import MACHINE

SHORT = {"net.name": "", "net.modules": "K", "rule.length": "l", "rule.alpha": "α", "data.name": "", "optim.lr": "lr"}


def grouped(configs):
    """([(legend, its runs' indices)], title): one entry for the runs that differ in nothing but their seed.

    Raises: UserError where one seed stands twice in a curve.
    """
    settings = [flatten(config, "") for config in configs]
    seeds = [keys.pop("run.seed") for keys in settings]
    for keys in settings:
        for key in MACHINE:
            keys.pop(key, None)
    differ = {
        k for keys in settings for k in keys if not k.startswith("rule.") and len({str(a.get(k)) for a in settings}) > 1
    }
    curves = {}
    for i, (config, keys) in enumerate(zip(configs, settings, strict=True)):
        alike = [other for other in settings if other["rule.name"] == keys["rule.name"]]
        own = {k for k in keys if k.startswith("rule.") and len({str(a.get(k)) for a in alike}) > 1}
        shown = sorted({k for k in keys if k == "rule.length"} | own) + sorted(differ)
        curves.setdefault(", ".join([_rule(config), *(_described(k, keys.get(k)) for k in shown)]), []).append(i)
    for legend, runs in curves.items():
        if len({seeds[i] for i in runs}) < len(runs):
            raise UserError(f"{legend}: two of its runs have one seed, and would count twice. Leave one out.")
    return list(curves.items()), _title(settings[0], differ)


def _rule(config):
    options = dict(config["rule"])
    return get(options.pop("name"), **options).name


def _described(key, value):
    name = SHORT.get(key, key.partition(".")[2].replace("_", " "))
    return f"{name} = {value}" if name else str(value)


def _title(keys, differ):
    shared = [_described(key, keys[key]) for key in ("net.name", "net.modules") if key not in differ]
    if not {"data.name", "data.limit_train"} & differ:
        shared.append(f"{keys['data.limit_train'] or 'all'} images of {keys['data.name']}")
    return ", ".join(shared)


def main(*folders, figure):
    curves, title = grouped([record.config(folder) for folder in folders])
    errors = [[row["test_error"] for row in record.rows(folder)] for folder in folders]
    picture = draw.curves({legend: [errors[i] for i in runs] for legend, runs in curves}, title=title)
    with record.atomic_write(figure) as file:
        file.write(draw.to_png(picture))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:-1], figure=sys.argv[-1])
    except UserError as error:
        sys.exit(str(error))
