"""`minilocal bench`: seconds of training steps and operations, beside PyTorch and the machine's peak rates.

Engines take turns in rounds, each in a process of its own; minilocal with kernels of Numba is an engine too
(--kernels numpy,numba). Tables give medians, quartiles, and ratios round by
round. Several values, as `--net resnet20,vgg16`, are all measured, in every combination.

  limits     the peak rates of this machine (its roofline), measured before and after the rest
  steps      a training step of each rule, and evaluation
  layers     convolutions, norms, products, ... one by one, beside the peak rates
  growth     how a step grows with the batch, the depth, K and l
  launches   what a step starts and moves on a GPU, counted without one
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from minilocal.cli.lists import number, numbers, words
from minilocal.cli.parser import Parser
from minilocal.errors import UserError

DEFAULT = "runs/bench.json"
USUAL = {"net": "resnet32", "batch_size": "128", "rounds": "7"}
QUICK = {"net": "resnet8", "batch_size": "16", "rounds": "3"}


def parser() -> Parser:
    """The options of `minilocal bench`."""
    p = Parser("bench", __doc__)
    p.add_argument("--what", metavar="W,W", default="limits,steps", help="any of the five (limits,steps)")
    p.add_argument("--net", metavar="N,N", help="resnet20, vgg16, alexnet, mlp, ... (resnet32, with --quick resnet8)")
    p.add_argument("--rule", metavar="R,R", default="bp,gll,backlink", help="of bp, gll and backlink (all three)")
    p.add_argument("--batch-size", metavar="N,N", help="images a step (128, with --quick 16)")
    p.add_argument("--threads", metavar="N,N", help="threads of every engine (one number: all cores)")
    p.add_argument("--kernels", metavar="W,W", default="numpy", help="of minilocal: numpy, numba, or both (numpy)")
    p.add_argument("--modules", metavar="K,K", default="4", help="numbers of modules (4)")
    p.add_argument("--balance", metavar="BY", help="cut by GLL's time, memory or flops instead of evenly")
    p.add_argument("--length", metavar="l,l", default="1", help="propagation lengths of BackLink (1)")
    p.add_argument("--keep", metavar="W,W", default="caches", help="what BackLink's linked units keep: caches, inputs")
    p.add_argument("--rounds", metavar="N", help="rounds (7, with --quick 3)")
    p.add_argument("--device", metavar="DEV", default="cpu", help="cpu, cuda, cuda:1 (cpu)")
    p.add_output(
        "--out",
        makes_folder=True,
        metavar="FILE",
        default=DEFAULT,
        help=f"the JSON; its table beside it as .md ({DEFAULT})",
    )
    p.add_argument("--quick", action="store_true", help="small sizes, few operations, seconds: to see what it does")
    return p


def run(options: argparse.Namespace) -> int:
    """Measure, print the tables and write them; 1 where a workload failed."""
    from minilocal.bench import harness
    from minilocal.bench.plan import comparisons
    from minilocal.bench.report import failures, markdown
    from minilocal.bench.torch_learner import available
    from minilocal.device import device_namespace

    plan = plan_of(options)
    plan.check()
    device_namespace(plan.device)
    out = _checked(Path(options.out))
    if not available():
        print("PyTorch is not installed, so only the engine is measured: in the clone, pip install -e '.[bench]'.")
    timings = sum(plan.rounds * len(comparison.workloads) for comparison in comparisons(plan, available()))
    with _bar(timings) as bar:

        def on_progress(title: str) -> None:
            bar.set_postfix_str(title, refresh=False)
            bar.update()

        results = harness.run(plan, on_progress=on_progress, save=lambda results: _write(out, results))
    _write(out, results)
    print(markdown(results))
    print(f"written: {out} and {out.with_suffix('.md')}")
    return int(bool(failures(results)))


def plan_of(options: argparse.Namespace) -> Any:
    """The plan that the flags describe.

    Raises: UserError for a flag that needs numbers and has something else.
    """
    from minilocal.bench.plan import Plan
    from minilocal.kernels.threads import PARTS, available

    quick = options.quick
    defaults = QUICK if quick else USUAL
    asked = {key: getattr(options, key) for key in defaults}
    net, images, rounds = (defaults[key] if value is None else value for key, value in asked.items())
    return Plan(
        what=words("--what", options.what),
        nets=words("--net", net),
        rules=words("--rule", options.rule),
        batches=numbers("--batch-size", images),
        threads=numbers("--threads", options.threads) if options.threads is not None else (min(available(), PARTS),),
        kernels=words("--kernels", options.kernels),
        modules=numbers("--modules", options.modules),
        balance=options.balance,
        lengths=numbers("--length", options.length),
        keeps=words("--keep", options.keep),
        rounds=number("--rounds", rounds),
        device=options.device,
        quick=quick,
    )


def _bar(total: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, desc="bench", unit="timing", disable=None)


def _checked(out: Path) -> Path:
    """`out`, beside which its table can be written: an hour of measuring must not fail at its end.

    Raises: UserError where it cannot, or the name does not end in .json.
    """
    from minilocal.record.files import os_errors_explained
    from minilocal.record.output import check_output

    if out.suffix != ".json":
        raise UserError(f"bench: --out {out}: give a name that ends in .json; the table goes beside it as .md.")
    check_output(out.with_suffix(".md"), flag="bench: the table of --out", makes_folder=True)
    with os_errors_explained(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
    return out


def _write(out: Path, results: dict[str, Any]) -> None:
    import json

    from minilocal.bench.report import markdown
    from minilocal.record import atomic_write, current_environment

    document = {"environment": {**current_environment(), "torch": _torch()}, **results}
    with atomic_write(out) as file:
        file.write(json.dumps(document, indent=1, ensure_ascii=False).encode())
    with atomic_write(out.with_suffix(".md")) as file:
        file.write(markdown(results).encode())


def _torch() -> str | None:
    from minilocal.record.environment import version

    return version("torch")
