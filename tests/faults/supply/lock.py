"""`.ci/lock.txt`: the versions that continuous integration installs, each file by its SHA-256."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet

from tests.faults.supply.bounds import PYPROJECT, normal, requirement, requirements

FILE = PYPROJECT.parent / ".ci/lock.txt"
EXTRAS = ("test", "lint", "notebooks", "docs")  # what the Makefile installs for `make lint test`
SYSTEMS = [
    {"sys_platform": system, "platform_system": name, "os_name": "posix", "platform_machine": machine,
     "python_version": python, "python_full_version": f"{python}.9", "implementation_name": "cpython",
     "platform_python_implementation": "CPython", "extra": ""}
    for system, name, machine in (("linux", "Linux", "x86_64"), ("darwin", "Darwin", "arm64"))
    for python in ("3.11", "3.14")
]  # fmt: skip
LINE = re.compile(
    r"(?P<name>[\w.-]+)==(?P<version>[\w.+!]+)( ; (?P<marker>[^\\]+?))?(?P<hashes>( \\\n +--hash=sha256:[0-9a-f]{64})+)"
)


@dataclass(frozen=True)
class Pinned:
    name: str
    version: str
    marker: str

    def on(self, system: dict[str, str]) -> bool:
        """Whether it is installed there."""
        return not self.marker or Marker(self.marker).evaluate(system)


def pinned(text: str) -> list[Pinned]:
    """Of the lock file. Raises: ValueError for a line without a hash, or anything but packages and comments."""
    text = re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE)
    rest = LINE.sub("", text).strip()
    if rest:
        raise ValueError(f"not a package with its hashes: {rest.splitlines()[0]!r}")
    return [Pinned(normal(m["name"]), m["version"], m["marker"] or "") for m in LINE.finditer(text)]


def faults(text: str) -> Iterator[str]:
    """What pyproject.toml asks for and the lock file does not give, on each system that is tested."""
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))
    more = [*project["build-system"]["requires"], *project["dependency-groups"]["ci"]]
    needed = [*requirements(*EXTRAS), *map(requirement, more)]
    for system in SYSTEMS:
        where = f"on {system['sys_platform']}, Python {system['python_version']}"
        versions: dict[str, str] = {}
        for one in pinned(text):
            if one.on(system):
                if one.name in versions:
                    yield f"{one.name} is there twice {where}"
                versions[one.name] = one.version
        for each in needed:
            if each.name not in versions:
                yield f"{each.name} is missing {where}"
            elif not SpecifierSet(each.bounds).contains(versions[each.name], prereleases=True):
                yield f"{each.name} {versions[each.name]} is not {each.bounds} {where}"
