"""Every rule on one network and one set of images: error, seconds, bytes, parameters.

    python docs/benchmarks/rules.py --data-dir DIR        writes docs/benchmarks/rules.json and rules.md

ResNet-32 cut into 4 and into 16 modules, 2 000 training images of CIFAR-10, 3 epochs, one seed, one learning rate for
all rules. That is far too short to rank the rules by error: it shows that each one runs, learns, and what it costs.

error     on 2 000 test images after the last epoch
seconds   of a step beside BP's, medians of rounds in which the two take turns in one process
bytes     peak of a step above parameters, running statistics and optimiser state, beside BP's; what delayed rules hold
          in flight is counted

PGL's local and global epochs differ: its seconds are the mean over a period, its bytes the peak, a global epoch's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import minilocal as ml
from minilocal.data import batches
from minilocal.record import current_environment, written_aside

HERE = Path(__file__).parent
NET, IMAGES, TEST, EPOCHS, BATCH, LR, ROUNDS = "resnet32", 2000, 2000, 3, 64, 0.05, 5
SGD, ADAM = ml.optim.SGD(momentum=0.9, weight_decay=1e-4), ml.optim.Adam()
R = ml.rules
INFOPRO = {4: [6, 0, 1, 2], 16: [5, 0.05, 0.2, 0.5]}  # the published λ of ResNet-32 on CIFAR-10


def recipes(K: int) -> dict[str, tuple[Any, Any, float]]:
    """{name: (rule, optimiser, learning rate)} for K modules."""
    infopro = ml.wants.infopro(INFOPRO[K])
    rows = {
        "BP": R.bp(),
        "BP, checkpointed": R.bp(keep="inputs"),
        "GLL": R.gll(),
        "BackLink": R.backlink(length=1),
        "DGL": R.dgl(),
        "PredSim": R.predsim(),
        "InfoPro": R.infopro(lambdas=INFOPRO[K]),
        "PGL": R.pgl(period=3, duration=1),
        "DDG": R.ddg(),
        "FDG": R.fdg(),
        "BackLink + InfoPro": R.compose("BackLink + InfoPro", wants=infopro, crosses=ml.crosses.link(1)),
        "PGL + BackLink": R.pgl(period=3, duration=1, around=R.backlink(length=1)),
    }
    chosen = {name: (rule, SGD, LR) for name, rule in rows.items()}
    if K == 4:
        chosen["DNI"] = (R.dni(labels=True), ADAM, 1e-3)
    return chosen


def measure(name: str, K: int, dataset: ml.data.DataSet, bar: Any) -> dict[str, Any]:
    """One row."""
    rule, optimizer, lr = recipes(K)[name]
    net = ml.nets.get(NET, rng=ml.rng(0))
    learner = ml.Learner(net, rule, K, rng=ml.rng(1), optimizer=optimizer)
    for epoch in range(EPOCHS):
        learner.epoch = epoch
        for _, x, y in batches(dataset.train_x, dataset.train_y, dataset, BATCH, key=1, epoch=epoch, augment=False):
            learner.step(x, y, lr=lr)
            bar.update()
    z = learner.predict(dataset.normalise(dataset.test_x, "float32"))
    finite = bool(np.isfinite(z).all())
    return {
        "rule": name,
        "K": K,
        "error": 100 * float((z.argmax(1) != dataset.test_y).mean()) if finite else None,
        "seconds": _seconds(net, rule, optimizer, K, dataset),
        "bytes": _bytes(net, rule, optimizer, K, dataset),
        "added": sum(a.size for a in learner.parameters().values()) - ml.nets.count(net.parameters()),
    }


def _seconds(net: Any, rule: Any, optimizer: Any, K: int, dataset: ml.data.DataSet) -> float:
    """A step of the rule over a step of BP, both warm, taking turns; the mean over the epochs of a period."""
    if rule.when.guided:
        return statistics.mean(_ratio(net, rule, optimizer, K, dataset, epoch) for epoch in range(rule.when.period))
    return _ratio(net, rule, optimizer, K, dataset, 0)


def _ratio(net: Any, rule: Any, optimizer: Any, K: int, dataset: ml.data.DataSet, epoch: int) -> float:
    x, y = dataset.normalise(dataset.train_x[:BATCH], "float32"), dataset.train_y[:BATCH]
    pair = [ml.Learner(net, r, K, rng=ml.rng(1), optimizer=optimizer) for r in (rule, R.bp())]
    pair[0].epoch = epoch
    for _ in range(rule.least_batches(K)):
        pair[0].step(x, y, lr=1e-4)
    pair[1].step(x, y, lr=1e-4)
    ratios = []
    for _ in range(ROUNDS):
        took = []
        for learner in pair:
            began = time.perf_counter()
            learner.step(x, y, lr=1e-4)
            took.append(time.perf_counter() - began)
        ratios.append(took[0] / took[1])
    return statistics.median(ratios)


def _bytes(net: Any, rule: Any, optimizer: Any, K: int, dataset: ml.data.DataSet) -> int:
    """Peak of a step in the steady state, above what the Learner holds in parameters, statistics and optimiser."""
    x, y = dataset.normalise(dataset.train_x[:BATCH], "float32"), dataset.train_y[:BATCH]
    tracemalloc.start()
    learner = ml.Learner(net, rule, K, rng=ml.rng(1), optimizer=optimizer)
    learner.epoch = rule.when.period - 1 if rule.when.guided else 0
    for _ in range(rule.least_batches(K)):
        learner.step(x, y, lr=1e-4)
    tracemalloc.reset_peak()
    learner.step(x, y, lr=1e-4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    held = sum(a.nbytes for name, a in learner.state().items() if not name.startswith("flight:"))
    return peak - held


def table(rows: list[dict[str, Any]]) -> str:
    """Both cuts side by side, in Markdown."""
    by = {(row["rule"], row["K"]): row for row in rows}
    lines = [
        "| rule | error, K = 4 | 16 | time, K = 4 | 16 | bytes, K = 4 | 16 | parameters added, K = 4 | 16 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["rule"] for row in rows):
        cells = [name]
        for key in ("error", "seconds", "bytes", "added"):
            for K in (4, 16):
                row, bp = by.get((name, K)), by[("BP", K)]
                if row is None:
                    cells.append("-")
                elif key == "error":
                    cells.append("diverged" if row["error"] is None else f"{row['error']:.1f} %")
                elif key == "bytes":
                    cells.append(f"{row['bytes'] / bp['bytes']:.2f}")
                else:
                    cells.append(f"{row['seconds']:.2f}" if key == "seconds" else f"{row['added']:,}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--only", nargs="*", help="rules to measure again, the other rows staying as they are")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    dataset = ml.data.load("cifar10", dir=options.data_dir, download=False, limit_train=IMAGES, limit_test=TEST)
    saved = HERE / "rules.json"
    rows = json.loads(saved.read_text())["rows"] if saved.exists() else []
    wanted = [(name, K) for K in (4, 16) for name in recipes(K) if options.only is None or name in options.only]
    steps = EPOCHS * -(-IMAGES // BATCH)
    for name, K in wanted:
        if options.only is None and any((r["rule"], r["K"]) == (name, K) for r in rows):
            continue  # measured already: an interrupted run goes on
        with tqdm(total=steps, desc=f"{name}, K={K}", disable=None) as bar:
            row = measure(name, K, dataset, bar)
        rows = [r for r in rows if (r["rule"], r["K"]) != (name, K)] + [row]
        print({key: row[key] for key in ("rule", "K", "error", "seconds", "bytes")}, flush=True)
        order = [(n, k) for k in (4, 16) for n in recipes(k)]
        rows.sort(key=lambda r: order.index((r["rule"], r["K"])))
        command = "python docs/benchmarks/rules.py --data-dir DIR"
        told = {"command": command, "environment": current_environment(), "rows": rows}
        with written_aside(saved) as file:
            file.write(json.dumps(told, indent=1).encode())
    with written_aside(HERE / "rules.md") as file:
        file.write((f"<!-- made by docs/benchmarks/rules.py -->\n\n{table(rows)}").encode())


if __name__ == "__main__":
    main()
