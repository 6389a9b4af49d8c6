"""What is raised where a part of a rule or a network has no reference."""

from __future__ import annotations


class NoReference(NotImplementedError):
    """`part`, the name of a class or of a version, has no reference implementation in `file`."""

    def __init__(self, part: str, file: str) -> None:
        super().__init__(f"{part} has no reference implementation: write one in {file}.")
        self.part = part
