"""Changes of texts: JSON, TOML, CSV, and lines of anything."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 10**6, 2**31, 2**63, 2**64, -(2**63), 10**30, 0.5, -0.0, 1e308, 1e-320,
    float("nan"), float("inf"), float("-inf"), "", " ", "a", "\x1b[2J", "a\nb", "\u202e", "\ud800", "é", "0", "nan",
    "1e999", "../..", "/", "a" * 3000, [], [[]], {}, [1, 2], [None], {"": ""}, {"is": "rule"}, {"name": "gll"},
)  # fmt: skip
RAW = (
    "1e999", "-0", "9" * 5000, "[" * 500, "[" * 100_000, '{"a":' * 2000, "NaN", "-Infinity", '"\\ud800"',
    '"\\u001b[2J"', "01", "1_000", "'a'", "0x10", "1979-05-27T07:32:00Z", "07:32:00", "[1, 'a']", "{a = 1}",
    '"""a\nb"""',
    "true", "null", "", "inf", "nan", '"\\u0000"', "[[]]", "{}",
)  # fmt: skip
ATOM = re.compile(rb"\"[^\"\n]*\"|'[^'\n]*'|[-+]?\d[\d.e+-]*|\w+")


def change_json(rng: Random, data: bytes) -> bytes:
    """Another value, key or place in one of the parts of a JSON."""
    whole = json.loads(data)
    parts = list(_parts(whole))
    if not parts or rng.random() < 0.02:
        return _text(rng.choice(ODD))
    owner, key = rng.choice(parts)
    kind = rng.randrange(8)
    if kind == 0:
        del owner[key]
    elif kind == 1 and isinstance(owner, dict):
        value = owner.pop(key)
        owner[rng.choice([name for name in ODD if isinstance(name, str)])] = value
    elif kind == 2:
        other, name = rng.choice(parts)
        owner[key] = json.loads(json.dumps(other[name]))
    elif kind == 3:
        owner[key] = rng.choice(([owner[key]], {"a": owner[key]}, str(owner[key]), [owner[key]] * 3))
    elif kind == 4 and isinstance(owner[key], (int, float)):
        owner[key] = rng.choice((-owner[key], owner[key] + 1, owner[key] * 1000, float(owner[key]), owner[key] / 3))
    elif kind == 5:
        owner[key] = "RAW"
        return _text(whole).replace(b'"RAW"', rng.choice(RAW).encode("utf-8", "surrogatepass"))
    else:
        owner[key] = rng.choice(ODD)
    return _text(whole)


def change_json_line(rng: Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    if rng.random() < 0.2:
        lines.insert(rng.randrange(len(lines)), lines[at])
    else:
        lines[at] = change_json(rng, lines[at])
    return b"\n".join(lines)


def change_toml(rng: Random, data: bytes) -> bytes:
    """Another value or key in a line of TOML."""
    lines = data.split(b"\n")
    at = rng.choice([n for n, line in enumerate(lines) if b"=" in line or b"[" in line])
    key, equals, value = lines[at].partition(b"=")
    if equals and rng.random() < 0.7:
        odd = rng.choice((*RAW, *(json.dumps(value) for value in ODD)))
        lines[at] = key + b"= " + odd.encode("utf-8", "surrogatepass")
    elif equals:
        lines[at] = rng.choice((b"name", b"a.b", b'""', b"[x]", b"x", b'"\\u001b"', b"rule.name")) + equals + value
    else:
        lines[at] = rng.choice((b"[rule]", b"[[rows]]", b"[scale]", b"[net.x]", b"[x]", b"[[where]]", b"[grid.rule]"))
    return b"\n".join(lines)


def change_cell(rng: Random, data: bytes) -> bytes:
    """Another text in a cell of a table."""
    rows = [line.split(b",") for line in data.split(b"\n")]
    row = rng.choice(rows)
    odd = rng.choice((*RAW, *(str(value) for value in ODD)))
    row[rng.randrange(len(row))] = odd.encode("utf-8", "surrogatepass")
    return b"\n".join(map(b",".join, rows))


def change_word(rng: Random, data: bytes) -> bytes:
    """Another word in place of one."""
    result = list(ATOM.finditer(data))
    one, other = rng.choice(result), rng.choice(result)
    word = rng.choice(RAW).encode("utf-8", "surrogatepass") if rng.random() < 0.6 else other[0]
    return data[: one.start()] + word + data[one.end() :]


def change_line(rng: Random, data: bytes) -> bytes:
    """A line twice, away, or at another place."""
    lines = data.split(b"\n")
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    line = lines[at] if rng.random() < 0.5 else lines.pop(at)
    if rng.random() < 0.7:
        lines.insert(to, line)
    return b"\n".join(lines)


def _parts(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield value, key
        yield from _parts(part)


def _text(value: Any) -> bytes:
    return json.dumps(value).encode()
