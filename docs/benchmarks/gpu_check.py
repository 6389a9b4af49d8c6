"""Checks on a machine with a GPU: the engine's results there against the host's, and their speed.

    python3 docs/benchmarks/gpu_check.py parity --data-dir DIR     everything on the device against NumPy; CIFAR-10
    python3 docs/benchmarks/gpu_check.py bench                     seconds and bytes of steps, kernel by kernel
    python3 docs/benchmarks/gpu_check.py all --data-dir DIR        both, one after the other

It uses the Python that runs it and installs nothing: CuPy 14 and NumPy, JAX for `parity` (to import the cases), PyTorch
for a comparison in `bench`; neither tqdm nor msgspec. Each part ends after --minutes. A case that fails, hangs or ends
its process makes a failed row; the exit status is 1 then.

Written: gpu-YYYY-MM-DD.json and .md in --out, both parts of a day in one file. Without --data-dir the digits of the
package are trained on in the place of CIFAR-10.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP))

from minilocal import nets, streams  # noqa: E402
from minilocal.bench import report  # noqa: E402
from minilocal.bench.harness import roofline, run_comparison  # noqa: E402
from minilocal.bench.plan import Plan, comparisons  # noqa: E402
from minilocal.bench.torch_learner import available  # noqa: E402
from minilocal.bench.worker import Worker, WorkerError, WorkerPool, thread_settings  # noqa: E402
from minilocal.errors import UserError  # noqa: E402
from minilocal.record import atomic_write, current_environment  # noqa: E402

KINDS = ("kernels", "rules", "nets", "graphs", "layers", "heads", "state", "tf32", "data", "losses")  # longest first
STEPS = (("resnet32", 512), ("resnet32", 128), ("resnet110", 128), ("resnet110", 512))
TOGETHER = 5  # kinds that are verified at the same time
TRAINED = ("backlink", "bp", "gll")
Row = dict[str, Any]


class Deadline:
    """A point in time, so many minutes from now."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes

    @property
    def left(self) -> float:
        """Seconds, at least 1."""
        return max(1.0, self._end - time.monotonic())

    def passed(self, spare: float = 0.0) -> bool:
        """Whether less than `spare` seconds are left."""
        return self._end - time.monotonic() < spare


def parity(options: argparse.Namespace, deadline: Deadline) -> Row:
    """The rows of `minilocal verify --device`, some kinds at a time, and then the epochs of training, alone."""
    left = max(5.0, deadline.left - 90 * (not options.quick))

    def verify(kind: str) -> list[Row]:
        start = time.monotonic()
        rows = verified(kind, options, left)
        print(f"parity: {kind}, {time.monotonic() - start:.0f} s", flush=True)
        return rows

    with ThreadPoolExecutor(TOGETHER) as together:
        rows = [row for kind in together.map(verify, KINDS) for row in kind]
    return {"rows": rows, "training": trained(options, deadline)}


def verified(kind: str, options: argparse.Namespace, timeout: float) -> list[Row]:
    """The rows of one kind of check, from a process of its own; the last one says why it ended early, if it did."""
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
            status, problem = 2, "no time was left"
        lines = out.read_text().split("\n")[:-1] if out.exists() else []  # the last line may be unfinished
    rows = [json.loads(line) for line in lines]
    if status != int(not all(row["passed"] for row in rows)):
        last = {"kind": f"device {kind}", "name": "what comes after", "cases": 0, "passed": False, "worst": problem}
        rows.append(last)
    return rows


def trained(options: argparse.Namespace, deadline: Deadline) -> list[Row]:
    """A few epochs of each rule, or why there are none."""
    results = []
    for rule in TRAINED:
        arguments = {"device": options.device, "folder": options.data_dir, "rule": rule, "epochs": options.epochs}
        arguments |= {"net": "resnet8", "limit": 100} if options.quick else {}
        try:
            if deadline.passed(15):
                raise WorkerError("no time was left")
            with Worker(os.cpu_count() or 1) as worker:
                budget = deadline.left / (2 * len(TRAINED))
                results.append(
                    worker.ask("minilocal.bench.training:train", timeout=deadline.left, budget=budget, **arguments)
                )
        except WorkerError as error:
            results.append({"rule": rule, "failed": str(error), "rows": []})
        print(f"training: {rule}", flush=True)
    return results


def bench(options: argparse.Namespace, deadline: Deadline) -> Row:
    """Limits, steps of every network and batch, then kernel by kernel; what there is no time for is named."""
    quick, rounds = options.quick, 2 if options.quick else 7
    results: Row = {"limits": [], "steps": [], "layers": [], "macs": {}, "left out": []}
    pairs = (("resnet8", 8),) if quick else STEPS
    plans = [
        Plan(["steps"], [net], batches=[n], modules=[2 if quick else 16], device=options.device) for net, n in pairs
    ]
    batch = 8 if quick else 512
    plans.append(Plan(["limits", "layers"], batches=[batch], device=options.device, quick=quick))
    with WorkerPool() as pool:
        try:
            results["limits"] = roofline(plans[-1], pool, "before")
        except WorkerError as error:
            results["left out"].append(f"limits: {error}")
        for plan in plans:
            results["macs"] |= {net: nets.get(net, rng=streams.rng(0)).macs for net in plan.nets}
            for comparison in comparisons(plan, available()):
                if deadline.passed(20):
                    results["left out"].append(f"{comparison.title}: no time was left")
                    continue
                steps, start = comparison.section == "steps", time.monotonic()
                limits = {"budget": deadline.left / 12 if steps else 2.0, "timeout": min(120.0, deadline.left)}
                results[comparison.section] += run_comparison(comparison, pool, rounds if steps else 3, **limits)
                if steps:
                    print(f"bench: {comparison.title}, {time.monotonic() - start:.0f} s", flush=True)
    return results


# ---------------------------------------------------------------------- the report


def failures(results: Row) -> list[str]:
    """Everything that failed, a line each."""
    lines = []
    if "parity" in results:
        lines += [f"{r['kind']}, {r['name']}: {r['worst']}" for r in results["parity"]["rows"] if not r["passed"]]
        lines += [
            f"training, {run['rule']}: {run['failed']}" for run in results["parity"]["training"] if "failed" in run
        ]
    if "bench" in results:
        lines += report.failures(results["bench"])
        lines += results["bench"]["left out"]
    return lines


def parity_tables(results: Row) -> list[str]:
    """The parity rows and the epochs of training, as tables."""
    rows = results["rows"]
    cells = [
        [r["kind"], r["name"], str(r["cases"]), "-" if r.get("error") is None else f"{r['error']:.1e}",
         f"{r.get('limit', 0):.0e}", "passed" if r["passed"] else "FAILED"] for r in rows
    ]  # fmt: skip
    texts = ["## Parity", report.table(["kind", "what", "cases", "error", "limit", ""], cells)]
    graphs = [[r["name"], r["note"]] for r in rows if r.get("note")]
    texts += ["## CUDA graphs", report.table(["rule", "its steps"], graphs)]
    lines = [
        [run["data"], run["net"], run["rule"], str(row["epoch"]), f"{row['seconds']:.2f}", f"{row['test_error']:.2f} %"]
        for run in results["training"] for row in run["rows"]
    ]  # fmt: skip
    return [*texts, "## Training", report.table(["data", "net", "rule", "epoch", "seconds", "test error"], lines)]


def document(results: Row) -> str:
    """The Markdown page."""
    facts, failed = results["device"], failures(results)
    head = ", ".join(f"{name} {value}" for name, value in facts.items())
    texts = [f"<!-- made by docs/benchmarks/gpu_check.py -->\n\n# GPU check, {results['date']}", head]
    texts += ["## Not as it should be", "\n".join(f"- {line}" for line in failed)] if failed else ["Everything passed."]
    if "bench" in results:
        texts.append(report.markdown({"device": True, **results["bench"]}).strip())
    if "parity" in results:
        texts += parity_tables(results["parity"])
    return "\n\n".join(texts) + "\n"


def summary(results: Row, parts: list[str]) -> str:
    """What to read first, the most important last."""
    texts = []
    if "bench" in parts:
        texts.append(report.markdown({what: results["bench"][what] for what in ("limits", "layers")}))
        texts.append(report.markdown({what: results["bench"][what] for what in ("steps", "macs")}))
    if "parity" in parts:
        rows = results["parity"]["rows"]
        texts.append("\n".join(parity_tables({**results["parity"], "rows": [r for r in rows if not r["passed"]]})))
        texts.append(f"parity: {sum(r['passed'] for r in rows)} of {len(rows)} rows passed")
    failed = failures({part: results[part] for part in parts})
    texts.append("\n".join(f"FAILED {line[:300]}" for line in failed[:25]) or "everything passed")
    return "\n".join(texts)


def main(words: list[str] | None = None) -> int:
    """Runs the parts that were asked for; 1 if something failed, 2 if there is no device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["parity", "bench", "all"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data-dir", help="where CIFAR-10 lies")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of the JSON and its table")
    parser.add_argument("--minutes", type=float, default=7.0, help="for each part")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a few small cases: to try this script itself")
    options = parser.parse_args(words)
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    out = options.out / f"gpu-{date}.json"
    results: Row = json.loads(out.read_text()) if out.exists() else {}
    try:
        with Worker() as worker:
            facts = worker.ask("minilocal.record.environment:device_facts", device=options.device, timeout=120)
            facts |= worker.ask("minilocal.bench.torch_learner:versions", timeout=120) if available() else {}
    except WorkerError as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return 2
    results |= {"date": date, "command": sys.argv, "device": facts, "environment": current_environment()}
    parts = ["parity", "bench"] if options.part == "all" else [options.part]
    for part in parts:
        results[part] = {"parity": parity, "bench": bench}[part](options, Deadline(options.minutes))
        write(out, results)
    print(summary(results, parts))
    print(f"written: {out} and {out.with_suffix('.md')}")
    return int(bool(failures({part: results[part] for part in parts})))


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
        sys.exit(f"gpu-check: {problem}")
