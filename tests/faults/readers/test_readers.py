"""Changed files are read or refused in one line, the table has every reader, and the checks notice broken ones."""

from __future__ import annotations

import pytest

from minilocal.errors import UserError
from tests.faults.readers import broken
from tests.faults.readers.fuzz import tried
from tests.faults.readers.left_out import LEFT_OUT, modules_that_read
from tests.faults.readers.table import ALL, READERS

FEW = 5  # inputs of each reader; the part tries thousands
SLOW = (broken.slow, broken.hangs_in_a_library)  # seconds each: the part has them


@pytest.mark.parametrize("name", READERS)
def test_changed_files_are_read_or_refused_in_one_line(name: str) -> None:
    result = tried(READERS[name], inputs=FEW)
    assert result.findings == [] and result.inputs == FEW


@pytest.mark.parametrize("fault", [fault for fault in broken.FAULTS if fault not in SLOW])
def test_the_checks_notice_a_reader_that_is_broken(fault: broken.Fault) -> None:
    assert broken.broken([fault])[0].red


def test_a_sound_reader_has_no_findings() -> None:
    def sound(content: bytes) -> None:
        if content != broken.VALID:
            raise UserError("file is wrong: write it again.")

    assert tried(broken.reader(sound), inputs=30).findings == []


def test_the_same_seed_gives_the_same_result() -> None:
    one, other = (tried(READERS["costs"], inputs=40, seed=3) for _ in range(2))
    assert one == other and one.kept > 0


def test_every_module_that_reads_files_is_in_the_table_or_has_a_reason() -> None:
    tabled = {name for reader in ALL.values() for name in reader.modules}
    reading = modules_that_read()
    assert sorted(reading - tabled - LEFT_OUT.keys()) == []
    assert sorted(LEFT_OUT.keys() - reading) == [] and sorted(LEFT_OUT.keys() & tabled) == []
