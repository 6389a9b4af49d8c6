"""The mutants' section of the page: what was killed, by part of the package; survivors; branches that are taken."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from tests.faults.measured import Figure, Measured
from tests.faults.measured import rows as kept_rows
from tests.faults.mutants.bound import lower_bound, percent
from tests.faults.mutants.branches import report, rows
from tests.faults.mutants.equivalent import change, equivalent
from tests.faults.mutants.run import VERDICTS, first_and_last, key
from tests.faults.mutants.sample import EACH, SEEDS, sample
from tests.faults.mutants.table import OWN, ROOT, part_of

TITLE = "Mutants"
ABOUT = """
One place of the code is changed at a time, by cosmic-ray's operators: a sum becomes a difference, `<` becomes `<=`, a
number grows by one, a condition is negated, a loop does not run, a decorator is removed. The places are drawn by a
seed, the same number in each part of the package, large or small. Tests that run the changed line are run against each
mutant, the quickest first: those of its own part for up to a minute, then those of other parts (wider). A mutant is
killed where a test fails or does not end. Hypothesis draws the same examples each time.

The table is after the fact: each survivor has got a test, or stands in the list of those that compute the same, bit for
bit. The lines below it say what the tests killed before they were known.
"""
MINUTES = 240


def run(minutes: float) -> Measured:
    """Tries the mutants that have no verdict yet, for so many minutes; then all verdicts."""
    subprocess.run([sys.executable, "-m", "tests.faults.mutants", "--minutes", str(minutes)], cwd=ROOT, check=True)
    return measured()


def measured() -> Measured:
    """All verdicts of the samples that there are."""
    first, last = first_and_last()
    same = equivalent()
    samples = {seed: [m for m in sample(EACH, seed) if key(m) in last] for seed in SEEDS}
    mutants = list(dict.fromkeys(m for sampled in samples.values() for m in sampled))
    verdicts = {m: last[key(m)] for m in mutants if change(last[key(m)]) not in same}
    figures = [figure(part, [v for m, v in verdicts.items() if part_of(m.module) == part]) for part in OWN]
    survivors = [
        f"{m.module}:{m.line}: `{v['before']}` became `{v['after']}`" for m, v in verdicts.items() if survived(v)
    ]
    text = f"* {len(verdicts) - len(survivors)} of {len(verdicts)} are killed by now.\n"
    for seed, sampled in samples.items():
        at_first = [first[key(m)] for m in sampled if change(first[key(m)]) not in same]
        text += seed_line(seed, len(sampled), at_first)
    hours = sum(verdict["seconds"] for verdict in kept_rows(VERDICTS)) / 3600
    text += f"* All trials took {hours:.1f} hours of one core.\n\n"
    return Measured(figures, failures=survivors, text=text + same_line(mutants, last, same) + coverage())


def survived(verdict: dict[str, Any]) -> bool:
    return bool(verdict["end"] == "survived")


def figure(what: str, verdicts: list[dict[str, Any]]) -> Figure:
    """A row: how many mutants that can be killed, and how many are by now."""
    killed = sum(not survived(v) for v in verdicts)
    endless = sum(v["end"] == "timed out" for v in verdicts)
    wider = sum(v["end"] == "killed" and v["where"] == "wider" for v in verdicts)
    remarks = [f"{wider} by wider tests"] * bool(wider) + [f"{endless} did not end"] * bool(endless)
    return Figure(what, len(verdicts), killed, "; ".join(remarks))


def seed_line(seed: int, size: int, at_first: list[dict[str, Any]]) -> str:
    """What the tests killed of a sample when it was first tried."""
    if not at_first:
        return ""
    killed = sum(not survived(v) for v in at_first)
    share, bound = percent(killed / len(at_first)), percent(lower_bound(killed, len(at_first)))
    return (
        f"* Seed {seed}, {size} mutants: when it was first tried, the tests killed {killed} of {len(at_first)}, "
        f"{share}; at least {bound} of mutants drawn so, at 95 % confidence.\n"
    )


def same_line(mutants: list[Any], last: dict[str, Any], same: dict[Any, str]) -> str:
    """The mutants that compute the same, with the reasons."""
    listed = [(m, reason) for m in mutants if (reason := same.get(change(last[key(m)])))]
    lines = [f"* `{m.module}:{m.line}` to `{last[key(m)]['after']}`: {reason}\n" for m, reason in listed]
    return f"{len(listed)} more compute the same:\n\n{''.join(lines)}\n" if lines else ""


def coverage() -> str:
    """Branches that the tests take, by part."""
    from tests.faults.page import table

    shares = [(r.part, r.branches, r.taken, percent(r.share)) for r in rows(report())]
    about = "Branches of the same parts that tests take, by coverage.py (`make coverage`, which fails below 98 %):\n\n"
    return about + table(("part", "branches", "taken", ""), shares)
