"""What a refusal must be: one printable line with its remedy, soon, and nothing has changed."""

from __future__ import annotations

LONGEST = 400  # characters of a message, about five lines of a terminal
SECONDS = 2.0  # of computing, above what the same process would need without the call


def message(text: str, remedy: str) -> list[str]:
    """What is wrong with a message."""
    wrong = []
    if len(text.splitlines()) != 1:
        wrong.append(f"{len(text.splitlines())} lines")
    elif not text.isprintable():
        wrong.append(f"not printable: {text!a}")
    if len(text) > LONGEST:
        wrong.append(f"{len(text)} characters")
    if remedy not in text:
        wrong.append(f"{remedy!r} is not in {text[:LONGEST]!r}")
    return wrong


def soon(seconds: float) -> list[str]:
    """What is wrong with the time."""
    return [f"took {seconds:.1f} s"] if seconds > SECONDS else []


def unchanged(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What has changed."""
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [f"changed: {', '.join(changed[:3])}"] if changed else []
