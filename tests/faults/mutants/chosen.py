"""pytest in this process, on chosen tests; a plugin that says what each took and what it ran."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:nbmake", "--no-header", "--tb=short")


def repeatable_examples() -> None:
    """Hypothesis draws the same examples each time, keeps none, and does not look for the smallest failing one."""
    from hypothesis import HealthCheck, Phase, settings

    phases = (Phase.explicit, Phase.generate)
    settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutants")


class Chosen:
    """Runs the tests of these names only, in this order within a file, and writes the name of the first that failed.

    A test that takes longer than its limit ends the process: `SIGPROF`, whose clock is the CPU time of all its threads.
    """

    def __init__(self, limits: dict[str, float], failed: Path) -> None:
        self.limits = limits
        self.place = {name: i for i, name in enumerate(limits)}
        self.failed = failed

    def pytest_runtest_protocol(self, item: Any) -> None:
        signal.setitimer(signal.ITIMER_PROF, self.limits[item.nodeid])

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        files = list(dict.fromkeys(name.partition("::")[0] for name in self.place))
        chosen = [item for item in items if item.nodeid in self.place]
        items[:] = sorted(chosen, key=lambda i: (files.index(i.nodeid.partition("::")[0]), self.place[i.nodeid]))

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed.write_text(report.nodeid)

    pytest_collectreport = pytest_runtest_logreport


class Recorded:
    """What each test of a file took, of CPU time with its children, and the lines that it ran."""

    def __init__(self, coverage: Any) -> None:
        self.coverage = coverage
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    def pytest_collection_finish(self) -> None:
        self.coverage.switch_context("collected")

    def pytest_runtest_protocol(self, item: Any) -> None:
        self.coverage.switch_context(item.nodeid)
        self.start = sum(os.times()[:4])

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.seconds[nodeid] = sum(os.times()[:4]) - self.start
        self.coverage.switch_context("between")

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def run_chosen(limits: dict[str, float], failed: Path) -> int:
    """The status of pytest on these tests, {name: seconds at most}; it stops at the first that fails."""
    import pytest

    repeatable_examples()
    files = list(dict.fromkeys(name.partition("::")[0] for name in limits))
    return int(pytest.main([*OPTIONS, "-x", *files], plugins=[Chosen(limits, failed)]))


def run_recorded(file: str, data: Path, out: Path) -> int:
    """Runs a file of tests unmutated, under coverage.py with branches; `out` gets what each test took and ran."""
    from coverage import Coverage

    coverage = Coverage(data_file=str(data), branch=True, source=["minilocal"], config_file=False)
    coverage.set_option("run:relative_files", True)
    coverage.start()
    import pytest

    repeatable_examples()
    recorded = Recorded(coverage)
    status = int(pytest.main([*OPTIONS, file], plugins=[recorded]))
    coverage.stop()
    coverage.save()
    of_tests = {"status": status, "seconds": recorded.seconds, "failed": recorded.failed}
    out.write_text(json.dumps(of_tests))
    return 0
