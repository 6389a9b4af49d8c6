"""The unpickler reads the contents of CIFAR files, and calls nothing that a file names."""

from __future__ import annotations

import codecs
import collections
import operator
import os
import pickle
import time

import numpy as np
import pytest

from minilocal.data import opcodes, unpickle
from minilocal.errors import UserError

FROM_BUFFER = np.zeros(1, np.uint8).__reduce_ex__(5)[0]  # private in every NumPy, and every NumPy writes it
MODULE = FROM_BUFFER.__module__.encode()


class Runs:
    """Pickled as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def refused(data: bytes) -> str:
    with pytest.raises(UserError) as caught:
        unpickle.load(data, "file data_batch_1")
    assert "\n" not in str(caught.value) and "file data_batch_1" in str(caught.value)
    return str(caught.value)


def test_what_cifar_files_hold():
    x = np.arange(12, dtype=np.uint8).reshape(3, 4)
    batch = {b"data": x, b"labels": [1, 2, 3], b"batch_label": b"testing", b"num_vis": 3072}
    for protocol in (0, 1, 2, 3, 4, 5):
        loaded = unpickle.load(pickle.dumps(batch, protocol), "here")
        assert np.array_equal(loaded["data"], x) and loaded["data"].dtype == np.uint8
        assert loaded["labels"] == [1, 2, 3] and loaded["batch_label"] == b"testing" and loaded["num_vis"] == 3072


def test_what_python_2_wrote():
    """The official files are protocol 2 of Python 2: text as BINSTRING, the module numpy.core."""
    raw = bytes(range(6))
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x02K\x03tcnumpy\ndtype\n"
        b"(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06" + raw + b"tb"
    )
    loaded = unpickle.load(b"\x80\x02}(U\x04data" + array + b"U\x06labels](K\x05K\x07eu.", "here")
    assert np.array_equal(loaded["data"], np.frombuffer(raw, np.uint8).reshape(2, 3))
    assert loaded["labels"] == [5, 7]


@pytest.mark.parametrize("module", [b"numpy.core.numeric", b"numpy._core.numeric"])
def test_protocol_5_of_every_numpy(module):
    x = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for array in (x, np.asfortranarray(x)):
        data = pickle.dumps({"data": array}, 5)
        name = b"\x8c" + bytes([len(MODULE)]) + MODULE
        assert name in data
        unframed = data[:2] + data[11:]  # a frame says how long it is
        loaded = unpickle.load(unframed.replace(name, b"\x8c" + bytes([len(module)]) + module), "here")
        assert np.array_equal(loaded["data"], x) and loaded["data"].dtype == np.uint8


def test_protocol_5_may_not_point_outside_its_file():
    array = np.arange(12, dtype=np.uint8)
    refused(pickle.dumps({"data": array}, 5, buffer_callback=lambda buffer: False))


@pytest.mark.parametrize(
    ("raw", "dtype", "shape", "order"),
    [
        (b"abcdef", np.dtype("u1"), (2, 4), "C"),
        (b"abcdef", np.dtype("u1"), (-2, -3), "C"),
        (b"abcdef", np.dtype("u1"), (2, 3), "K"),
        (b"abcdef", np.dtype("u2"), (3,), "C"),
        (b"abcdef", "u1", (6,), "C"),
        ("abcdef", np.dtype("u1"), (6,), "C"),
        ([1, 2], np.dtype("u1"), (2,), "C"),
        (6, np.dtype("u1"), (6,), "C"),
        (b"abcdef", np.dtype("u1"), None, "C"),
        (b"abcdef", np.dtype("O"), (6,), "C"),
    ],
)
def test_a_buffer_that_is_no_array_of_bytes(raw, dtype, shape, order):
    refused(pickle.dumps({"data": Runs(FROM_BUFFER, raw, dtype, shape, order)}, 5))


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch RAN",), "system"),
        (eval, ("open('RAN', 'w')",), "eval"),
        (getattr, (1, "real"), "getattr"),
        (collections.OrderedDict, (), "collections.OrderedDict"),
        (np.frombuffer, (b"abc",), "frombuffer"),
        (np.array, ([1],), "array"),
        (np.load, ("x",), "numpy"),
        (bytearray, (3,), "bytearray"),
        (np.fromfile, ("x",), "fromfile"),
        (operator.attrgetter, ("a.b",), "attrgetter"),
    ],
)
def test_every_other_name_is_refused_before_it_is_called(function, arguments, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for protocol in (0, 2, 4, 5):
        message = refused(pickle.dumps({b"data": Runs(function, *arguments)}, protocol))
        assert named in message and "no data file needs" in message
    assert list(tmp_path.iterdir()) == []


HOSTILE = [
    ("bytes that do not fill the shape", Runs(np.ndarray, 1, 2, 3, 4)),
    ("an array without a state", Runs(np.ndarray)),
    ("a dtype without a code", Runs(np.dtype)),
    ("another codec", Runs(codecs.encode, "abc", "zlib")),
]


@pytest.mark.parametrize("thing", [case[1] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_admitted_names_do_no_more_than_they_should(thing):
    refused(pickle.dumps({b"data": thing}, 2))


@pytest.mark.parametrize(
    "shape",
    [b"(K\x02K\x04t", b"(J\xff\xff\xff\xffJ\xfa\xff\xff\xfft", b"N", b"(U\x01xt", b"(\x8a\x08" + b"\x7f" * 8 + b"t"],
)
def test_a_shape_that_the_bytes_do_not_have(shape):
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01" + shape + b"cnumpy\ndtype\n"
        b"(U\x02u1K\x00K\x01tR\x89U\x06abcdeftb"
    )
    refused(b"\x80\x02}U\x04data" + array + b"s.")


def test_no_attribute_of_this_program_can_be_set():
    """BUILD on an admitted name itself, with a state for setattr."""
    for module, name in unpickle.ADMITTED:
        state = b"(N}X\x07\x00\x00\x00alteredK\x01st"
        refused(b"\x80\x02c" + f"{module}\n{name}\n".encode() + state + b"b.")
    assert not any(hasattr(stand_in, "altered") for stand_in in unpickle.ADMITTED.values())


@pytest.mark.parametrize("name", ["dtype.type", "ndarray.tofile", "_reconstruct.__globals__", "__builtins__"])
def test_no_name_inside_an_admitted_one_is_reached(name):
    text = b"\x8c\x05numpy\x8c" + bytes([len(name)]) + name.encode()
    assert "no data file needs" in refused(b"\x80\x04}\x8c\x04data" + text + b"\x93s.")


def test_persistent_and_extension_objects_are_refused():
    refused(b"\x80\x02}U\x04dataU\x01xQs.")
    refused(b"\x80\x02}U\x04data\x82\x01s.")
    refused(b"\x80\x02}]]s.")  # a key that cannot be hashed
    refused(b"")


DOUBLINGS = b"2\x86" * 40
TWICE = b"K\x01q\x00" + b"".join(b"h" + bytes([n]) + b"\x86q" + bytes([n + 1]) for n in range(40))


@pytest.mark.parametrize(
    ("what", "program"),
    [
        ("a memo of 2.6 GB", b"\x80\x02}r\x00\x00\x00\x0a."),
        ("a key that is a tuple, doubled by DUP", b"\x80\x02}(K\x00" + DOUBLINGS + b"K\x01u."),
        ("a key that is a tuple, doubled by a memo", b"\x80\x02}(" + TWICE + b"K\x01u."),
        ("a key that is a deep tuple", b"\x80\x02}(K\x00" + b"\x85" * 100_000 + b"K\x01u."),
        ("a key that is a deep tuple, of protocol 0", b"((K\x00" + b"\x85" * 100_000 + b"K\x01d."),
        ("a long text encoded often", b"\x80\x02}(X\x00\x00\x01\x00" + b"a" * (1 << 16) + b"q\x00h\x00u."),
        ("a byte array of 2^62", b"\x80\x05}(X\x01\x00\x00\x00a\x96" + (1 << 62).to_bytes(8, "little") + b"u."),
        ("bytes of 2^62", b"\x80\x04}(X\x01\x00\x00\x00a\x8e" + (1 << 62).to_bytes(8, "little") + b"u."),
        ("an integer of 4000 digits", b"}S'a'\nI" + b"9" * 4000 + b"\ns."),
        ("a stack that is empty", b"\x80\x02\x86."),
        ("a mark that is taken for a value", b"\x80\x02}(K\x01s."),
    ],
)  # fmt: skip
def test_a_short_program_takes_little_time_and_memory(what, program):
    began = time.perf_counter()
    message = refused(program)
    assert time.perf_counter() - began < 10 and len(message) < 500


def framed(program: bytes, length: int | None = None) -> bytes:
    """A frame around a program, which says that it has `length` bytes."""
    return b"\x95" + (len(program) if length is None else length).to_bytes(8, "little") + program


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (b"\x80\x04" + framed(b"}" + framed(b"X\x01\0\0\0a")) + b"K\x01s.", "within another"),
        (b"\x80\x04" + framed(b"}X\x01\0\0\0aK\x01s."[:5]) + b"\0aK\x01s.", "within an opcode"),
        (b"\x80\x04" + framed(b"}X\x01\0\0\0aI") + b"1\ns.", "within an opcode"),
        (b"\x80\x04" + framed(b"}.", 3), "longer than the file"),
        (b"\x80\x04" + framed(b"}.", 1 << 63), "longer than the file"),
    ],
)
def test_frames_that_overlap_or_are_cut_are_refused(program, why):
    """CPython's unpickler drops what is left of a frame there, and takes its next opcode from elsewhere in the file."""
    assert why in refused(program)


def test_frames_in_a_row_are_read():
    parts = (b"}", b"X\x06\0\0\0labelsK\x01", b"s.")
    assert unpickle.load(b"\x80\x04" + b"".join(map(framed, parts)), "here") == {"labels": 1}
    assert unpickle.load(b"\x80\x04" + framed(b"}") + parts[1] + framed(b"s."), "here") == {"labels": 1}


@pytest.mark.parametrize("text", [rb"\q", b"\\\x01", rb"\x4", rb"\400", rb"\X41"])
def test_a_text_with_an_escape_that_is_none_is_refused_without_a_warning(text, recwarn):
    assert "unknown escape" in refused(b"}S'a" + text + b"'\nI1\ns.") and not recwarn
    began = time.perf_counter()
    assert "unknown escape" in refused(b"}S'" + b"a" * 1_000_000 + b"\\q'\nI1\ns.")
    assert time.perf_counter() - began < 1


def test_escapes_as_python_2_writes_them_are_read():
    text = repr(bytes(range(128)))[1:].encode()
    assert unpickle.load(b"}S" + text + b"\nI1\ns.", "here") == {bytes(range(128)).decode("latin1"): 1}


def test_the_opcodes_of_a_program_are_bounded(monkeypatch):
    monkeypatch.setattr(opcodes, "MOST", 1000)
    assert "more than 1000 opcodes" in refused(b"(" * 1001 + b".")


def test_no_message_holds_a_value_of_the_file():
    """A value may be without end, and hold what a terminal obeys."""
    long = "x" * 100_000 + "\x1b[2J"
    for thing in (
        Runs(codecs.encode, "abc", long),
        Runs(FROM_BUFFER, b"abc", np.dtype("u1"), (3,), long),
        Runs(FROM_BUFFER, b"abc", long, (3,), "C"),
    ):
        message = refused(pickle.dumps({"data": thing}, 4))
        assert len(message) < 500 and message.isprintable()
    name = f"c{long}\nsystem\n".encode()
    message = refused(b"\x80\x02}U\x04data" + name + b"s.")
    assert len(message) < 500 and message.isprintable()
