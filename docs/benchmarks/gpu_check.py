"""Checks on a machine with a GPU: the engine's results there against the host's, and their speed.

    python3 docs/benchmarks/gpu_check.py parity --data-dir DIR     everything on the device against NumPy; CIFAR-10
    python3 docs/benchmarks/gpu_check.py bench                     seconds and bytes of steps, kernel by kernel
    python3 docs/benchmarks/gpu_check.py all --data-dir DIR        both, one after the other

It uses the Python that runs it and installs nothing: CuPy 14 and NumPy, JAX for `parity` (to import the cases), PyTorch
for a comparison in `bench`; none of tqdm, msgspec, matplotlib and threadpoolctl. Each part ends after --minutes. A case
that fails, hangs or ends its process makes a failed row; what there is no time for is named, and has not failed.

    exit status   0 everything ran and passed    3 what ran passed, but time was short
                  1 something failed             2 no such device, no CIFAR-10 there, or a wrong flag

Printed at the end: one screen (gpu_screen.py). Written: gpu-YYYY-MM-DD.json and .md in --out, both parts of a day in
one file. Without --data-dir the digits of the package are trained on in the place of CIFAR-10.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP), str(Path(__file__).parent)]

import gpu_screen  # noqa: E402

from minilocal import data, nets, streams  # noqa: E402
from minilocal.bench import report  # noqa: E402
from minilocal.bench.harness import roofline, run_comparison  # noqa: E402
from minilocal.bench.plan import Plan, comparisons  # noqa: E402
from minilocal.bench.torch_learner import available  # noqa: E402
from minilocal.bench.worker import NO_ANSWER, Worker, WorkerError, WorkerPool, thread_settings  # noqa: E402
from minilocal.errors import UserError  # noqa: E402
from minilocal.record import atomic_write, current_environment  # noqa: E402

KINDS = ("kernels", "rules", "nets", "graphs", "layers", "heads", "state", "tf32", "data", "losses")  # longest first
STEPS = (("resnet32", 512), ("resnet32", 128), ("resnet110", 128))  # most informative first; then the layers, then
LAST = (("resnet110", 512),)
NO_TIME = "no time was left"
TOGETHER = 5  # kinds that are verified at the same time
TRAINED = ("backlink", "bp", "gll")
USER_ERROR = re.compile(r"^(?:UserError|DeviceNotFound): (.*) \(\w+\.py:\d+\)$")  # a worker's, of a line for users
Row = dict[str, Any]


class Deadline:
    """A point in time, so many minutes from now."""

    def __init__(self, minutes: float) -> None:
        self.end = time.monotonic() + 60 * minutes  # by the same clock

    @property
    def left(self) -> float:
        """Seconds, at least 1."""
        return max(1.0, self.end - time.monotonic())

    def passed(self, spare: float = 0.0) -> bool:
        """Whether less than `spare` seconds are left."""
        return self.end - time.monotonic() < spare


def parity(options: argparse.Namespace, deadline: Deadline) -> Row:
    """The rows of `minilocal verify --device`, some kinds at a time, and then the epochs of training, alone."""
    spare = 0 if options.quick else 90  # seconds, for the training

    def verify(kind: str) -> list[Row]:
        start = time.monotonic()
        rows = verified(kind, options, max(5.0, deadline.left - spare))
        print(f"parity: {kind}, {time.monotonic() - start:.0f} s", flush=True)
        return rows

    with ThreadPoolExecutor(TOGETHER) as together:
        rows = [row for kind in together.map(verify, KINDS) for row in kind]
    return {"rows": rows, "training": trained(options, deadline)}


def verified(kind: str, options: argparse.Namespace, timeout: float) -> list[Row]:
    """The rows of one kind of check, from a process of its own; the last one says why it ended early, if it did.

    One that was ended since no time was left has not failed: its last row is not run.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.jsonl"
        words = ["--device", options.device, "--only", kind, "--out", str(out), *["--quick"] * options.quick]
        environ = os.environ | thread_settings(max(1, (os.cpu_count() or 1) // TOGETHER)) | {"JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-m", "minilocal", "verify", *words]
        try:
            done = subprocess.run(command, cwd=TOP, env=environ, timeout=timeout, capture_output=True, text=True)
            problem = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            status = done.returncode
        except subprocess.TimeoutExpired:
            status, problem = -1, NO_TIME
        lines = out.read_text().split("\n")[:-1] if out.exists() else []  # the last line may be unfinished
    rows = [json.loads(line) for line in lines]
    last: Row = {"kind": f"device {kind}", "name": "what comes after", "cases": 0}
    if status < 0 and problem == NO_TIME:
        rows.append({**last, "not run": problem})
    elif status != int(not all(row["passed"] for row in rows)):
        rows.append({**last, "passed": False, "worst": problem})
    return rows


def trained(options: argparse.Namespace, deadline: Deadline) -> list[Row]:
    """A few epochs of each rule, or why there are none."""
    results = []
    for rule in TRAINED:
        arguments = {"device": options.device, "folder": options.data_dir, "rule": rule, "epochs": options.epochs}
        arguments |= {"net": "resnet8", "limit": 100} if options.quick else {}
        if deadline.passed(15):
            results.append({"rule": rule, "not run": NO_TIME, "rows": []})
            continue
        try:
            with Worker(os.cpu_count() or 1) as worker:
                budget = deadline.left / (2 * len(TRAINED))
                results.append(
                    worker.ask("minilocal.bench.training:train", timeout=deadline.left, budget=budget, **arguments)
                )
        except WorkerError as error:
            results.append({"rule": rule, **why(error, deadline), "rows": []})
        print(f"training: {rule}", flush=True)
    return results


def why(error: object, deadline: Deadline) -> Row:
    """A worker's error as the fields of a row: it failed, or was ended with the part itself."""
    return {"not run": NO_TIME} if NO_ANSWER in str(error) and deadline.passed(5) else {"failed": str(error)}


def bench(options: argparse.Namespace, deadline: Deadline) -> Row:
    """Limits, steps of every network and batch, kernel by kernel; what there is no time for is named."""
    rounds = 2 if options.quick else 7
    results: Row = {"limits": [], "steps": [], "layers": [], "macs": {}, "failed": [], "not run": []}
    plans = plans_of_bench(options)
    layers = next(plan for plan in plans if "layers" in plan.what)
    with WorkerPool() as pool:
        try:
            results["limits"] = roofline(layers, pool, "before", timeout=min(120.0, deadline.left))
        except WorkerError as error:
            what, reason = next(iter(why(error, deadline).items()))
            results[what].append(f"limits: {reason}")
        for plan in plans:
            results["macs"] |= {net: nets.get(net, rng=streams.rng(0)).macs for net in plan.nets}
            for comparison in comparisons(plan, available()):
                if deadline.passed(20):
                    results["not run"].append(f"{comparison.title}: {NO_TIME}")
                    continue
                steps, start = comparison.section == "steps", time.monotonic()
                many, budget = (rounds, deadline.left / 12) if steps else (3, 2.0)
                rows = run_comparison(comparison, pool, many, budget=budget, timeout=120.0, until=deadline.end)
                for row in rows:
                    if "not run" in why(row.get("failed"), deadline):
                        results["not run"].append(f"{comparison.title}, {row['what']}, {row['label']}: {NO_TIME}")
                    else:
                        results[comparison.section].append(row)
                if steps:
                    print(f"bench: {comparison.title}, {time.monotonic() - start:.0f} s", flush=True)
    return results


def plans_of_bench(options: argparse.Namespace) -> list[Plan]:
    """What is measured, in order."""
    quick, device = options.quick, options.device
    first, last = ((("resnet8", 8),), ()) if quick else (STEPS, LAST)
    steps = [
        Plan(["steps"], [net], batches=[n], modules=[2 if quick else 16], device=device) for net, n in first + last
    ]
    layers = Plan(["limits", "layers"], batches=[8 if quick else 512], device=device, quick=quick)
    return [*steps[: len(first)], layers, *steps[len(first) :]]


# ---------------------------------------------------------------------- the report


def failures(results: Row) -> list[str]:
    """Everything that failed, a line each."""
    lines = []
    if "parity" in results:
        rows, training = results["parity"]["rows"], results["parity"]["training"]
        lines += [f"{r['kind']}, {r['name']}: {r['worst']}" for r in rows if state(r) == "FAILED"]
        lines += [f"training, {run['rule']}: {run['failed']}" for run in training if "failed" in run]
    if "bench" in results:
        lines += report.failures(results["bench"])
        lines += results["bench"]["failed"]
    return lines


def not_run(results: Row) -> list[str]:
    """Everything for which there was no time, a line each."""
    lines = []
    if "parity" in results:
        lines += [f"{r['kind']}, {r['name']}: {r['not run']}" for r in results["parity"]["rows"] if "not run" in r]
        lines += [f"training, {r['rule']}: {r['not run']}" for r in results["parity"]["training"] if "not run" in r]
    return lines + results.get("bench", {}).get("not run", [])


def state(row: Row) -> str:
    """passed, FAILED or not run: a row of parity."""
    return "not run" if "not run" in row else "passed" if row["passed"] else "FAILED"


def verdict(results: Row) -> tuple[int, str]:
    """The exit status of these parts, and the same in words."""
    failed, missing = len(failures(results)), len(not_run(results))
    if failed:
        return 1, f"FAILED: {failed}" + (f"; not run for want of time: {missing}" if missing else "")
    return (3, f"passed as far as it ran; not run for want of time: {missing}") if missing else (0, "everything passed")


def parity_tables(results: Row) -> list[str]:
    """The parity rows and the epochs of training, as tables."""
    rows = results["rows"]
    cells = [
        [r["kind"], r["name"], str(r["cases"]), "-" if r.get("error") is None else f"{r['error']:.1e}",
         f"{r.get('limit', 0):.0e}", state(r)] for r in rows
    ]  # fmt: skip
    texts = ["## Parity", report.table(["kind", "what", "cases", "error", "limit", ""], cells)]
    graphs = [[r["name"], r["note"]] for r in rows if r.get("note") and r["kind"] == "device graphs"]
    texts += ["## CUDA graphs", report.table(["rule", "its steps"], graphs)]
    lines = [
        [run["data"], run["net"], run["rule"], str(row["epoch"]), f"{row['seconds']:.2f}", f"{row['test_error']:.2f} %"]
        for run in results["training"] for row in run["rows"]
    ]  # fmt: skip
    return [*texts, "## Training", report.table(["data", "net", "rule", "epoch", "seconds", "test error"], lines)]


def document(results: Row) -> str:
    """The Markdown page."""
    facts, failed, missing = results["device"], failures(results), not_run(results)
    head = ", ".join(f"{name} {value}" for name, value in facts.items())
    texts = [f"<!-- made by docs/benchmarks/gpu_check.py -->\n\n# GPU check, {results['date']}", head]
    words = verdict(results)[1]
    texts.append(words[0].upper() + words[1:] + ".")
    for title, lines in (("Not as it should be", failed), ("Not run", missing)):
        texts += [f"## {title}", "\n".join(f"- {line}" for line in lines)] if lines else []
    if "bench" in results:
        texts.append(report.markdown({"device": True, **results["bench"]}).strip())
    if "parity" in results:
        texts += parity_tables(results["parity"])
    return "\n\n".join(texts) + "\n"


class Parser(argparse.ArgumentParser):
    """A mistake in a flag is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"gpu-check: {message}; see python3 docs/benchmarks/gpu_check.py --help\n")


def main(words: list[str] | None = None) -> int:
    """Runs the parts that were asked for, and prints the day's results; the exit status is of these parts alone."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["parity", "bench", "all"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data-dir", help="where CIFAR-10 lies")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of the JSON and its table")
    parser.add_argument("--minutes", type=float, default=8.0, help="for each part (8)")
    parser.add_argument("--epochs", type=int, default=3, help="of training, by each rule (3)")
    parser.add_argument("--quick", action="store_true", help="a few small cases: to try this script itself")
    options = parser.parse_args(words)
    if not options.minutes > 0 or options.epochs < 1:
        parser.error("--minutes and --epochs: give more than 0")
    if options.data_dir is not None:
        data.load("cifar10", dir=options.data_dir, download=False)  # or refused, before minutes are spent
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    out = options.out / f"gpu-{date}.json"
    results: Row = json.loads(out.read_text()) if out.exists() else {}
    try:
        with Worker() as worker:
            facts = worker.ask("minilocal.record.environment:device_facts", device=options.device, timeout=120)
            facts |= worker.ask("minilocal.bench.torch_learner:versions", timeout=120) if available() else {}
    except WorkerError as error:
        print("gpu-check:", USER_ERROR.sub(r"\1", str(error)), file=sys.stderr)
        return 2
    results |= {"date": date, "command": sys.argv, "device": facts, "environment": current_environment()}
    parts = ["parity", "bench"] if options.part == "all" else [options.part]
    for part in parts:
        results[part] = {"parity": parity, "bench": bench}[part](options, Deadline(options.minutes))
        write(out, results)
    print(gpu_screen.text(results, verdict(results)[1], failures(results) + not_run(results), out.with_suffix(".md")))
    return verdict({part: results[part] for part in parts})[0]


def write(out: Path, results: Row) -> None:
    """The JSON, and the page beside it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as file:
        file.write(json.dumps(results, indent=1, ensure_ascii=False).encode())
    with atomic_write(out.with_suffix(".md")) as file:
        file.write(document(results).encode())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as problem:
        print(f"gpu-check: {problem}", file=sys.stderr)
        sys.exit(2)
