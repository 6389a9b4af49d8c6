"""The opcodes of a pickle, walked before any of them is carried out.

A CIFAR file needs few of them. Any other is refused, and so is what makes a short file cost much: a memo with a huge
index, an object that is used twice and holds others (forty doublings of a tuple are 10¹² of them), and a key of a dict
that is no text.

What is walked is what runs: a frame within a frame, or an opcode that goes past its frame's end, is refused, since
CPython's unpickler would go on elsewhere in the file than here.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Iterator
from typing import Any

MOST = 1 << 20  # opcodes: CIFAR-100's training file, 50 000 images, has about 700 000 in protocol 0
SHORT = 256  # characters of a text that is used again
LARGEST = 1 << 31  # no integer of such a file is larger
ESCAPED = re.compile(
    rb"""(?:[^\\]++|\\[\\'"nrt]|\\x[0-9a-f]{2})*+"""
)  # as Python 2 writes a text; of others Python warns

TEXTS = {
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip
BUILDERS = {
    "APPEND", "APPENDS", "LIST", "EMPTY_LIST", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE",
    "DICT", "EMPTY_DICT", "SETITEM", "SETITEMS", "REDUCE", "BUILD",
}  # fmt: skip
PLAIN = {"INT", "BININT", "BININT1", "BININT2", "NONE", "NEWTRUE", "NEWFALSE", "BYTEARRAY8"}
NAMES = {"GLOBAL", "STACK_GLOBAL"}
PUTS, GETS = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}
NEEDED = TEXTS | BUILDERS | PLAIN | NAMES | PUTS | GETS | {"MARK", "MEMOIZE", "PROTO", "FRAME", "STOP"}

MARK, REUSABLE = "MARK", "text, a name, or what a call returned"  # kinds of a value, beside "other"


def check(data: bytes) -> None:
    """Check every opcode of a pickle; values are followed by their kind only.

    Raises: UnpicklingError for what no CIFAR file has, and ValueError and others for a damaged pickle.
    """
    stack: list[str] = []
    memo: dict[int, str] = {}
    for number, (opcode, argument) in enumerate(_program(data)):
        name = opcode.name
        if name not in NEEDED or number == MOST:
            what = f"more than {MOST} opcodes" if number == MOST else f"the opcode {name}"
            raise pickle.UnpicklingError(f"it has {what}, which no data file needs")
        if name == "INT" and abs(argument) >= LARGEST:
            raise pickle.UnpicklingError("it has an integer of more than 31 bits")
        if name in PUTS or name == "MEMOIZE":
            index = argument if name in PUTS else len(memo)
            if index > number:
                raise pickle.UnpicklingError("it has a memo with more places than opcodes")
            memo[index] = stack[-1]
        elif name in GETS:
            if memo.get(argument) != REUSABLE:
                raise pickle.UnpicklingError("it uses an object again that is neither a short text nor a name")
            stack.append(REUSABLE)
        else:
            _carry_out(opcode, argument, stack)


def _program(data: bytes) -> Iterator[tuple[Any, Any]]:
    """(opcode, argument) in their order, from the places that CPython's unpickler takes them from.

    Raises: UnpicklingError for frames that overlap or are cut, and for a text with an unknown escape.
    """
    file = io.BytesIO(data)
    program: Iterator[tuple[Any, Any, Any]] = pickletools.genops(file)
    frame_end = 0
    while (at := file.tell()) < len(data):
        if data[at : at + 1] == b"S" and not ESCAPED.fullmatch(data[at + 1 : data.find(b"\n", at)]):
            raise pickle.UnpicklingError("it has a text with an unknown escape")
        opcode, argument, _ = next(program)
        end = file.tell()
        if at < frame_end and (opcode.name == "FRAME" or end > frame_end):
            raise pickle.UnpicklingError("it has a frame that ends within another, or within an opcode")
        if opcode.name == "FRAME":
            frame_end = end + argument
            if frame_end > len(data):
                raise pickle.UnpicklingError("it has a frame that is longer than the file")
        yield opcode, argument
        if opcode.name == "STOP":
            return
    next(program)  # its error: there is no STOP


def _carry_out(opcode: Any, argument: Any, stack: list[str]) -> None:
    """Take from the stack of kinds what an opcode takes, and put what it puts."""
    name = opcode.name
    takes = [kind.name for kind in opcode.stack_before]
    if "mark" in takes:
        taken: list[str] = []
        while (kind := stack.pop()) != MARK:
            taken.append(kind)
        taken.reverse()
        del takes[takes.index("mark") :]
    else:
        taken = stack[len(stack) - len(takes) :]
    if len(takes) > len(stack) or MARK in stack[len(stack) - len(takes) :]:
        raise pickle.UnpicklingError("its stack is empty")
    keys = {"SETITEM": taken[1:2], "SETITEMS": taken[::2], "DICT": taken[::2]}.get(name, [])
    if any(key != REUSABLE for key in keys):
        raise pickle.UnpicklingError("it has a dict with a key that is no text")
    del stack[len(stack) - len(takes) :]
    is_reusable = name in NAMES or name == "REDUCE" or (name in TEXTS and len(argument) <= SHORT)
    stack += [MARK if name == MARK else REUSABLE if is_reusable else "other" for _ in opcode.stack_after]
