"""An export proves itself: whatever is taken out of it, put in, moved or altered is said, with words."""

import tracemalloc

import pytest

from ledger.core import archive
from ledger.core.archive import Checker, Place
from ledger.core.refusal import Conflict, Undecodable
from tests.unit.log.archives import archive_of
from tests.unit.log.chains import chain_of

LOGS: dict[Place, list[bytes]] = {
    ("registry", 0): chain_of(3, log="registry"),
    **{("events", number): chain_of(4 + number, partition=number) for number in range(4)},
}
GOOD = archive_of(LOGS)


def checked(lines: list[bytes]) -> dict[Place, list[bytes]]:
    checker, found = Checker(), dict[Place, list[bytes]]()
    for line in lines:
        taken = checker.take(line)
        if isinstance(taken, tuple):
            found.setdefault(taken[0], []).append(taken[1])
    checker.whole()
    return found


def test_what_was_exported_comes_back_byte_for_byte() -> None:
    assert checked(GOOD) == LOGS


@pytest.mark.parametrize(
    "record",
    [b'{"a":"\xff"}', b'{"a":\n1}', b' {"a":1}', b'{"a":1} ', b'{"a":"\\u00fc\xc3\xbc"}', b'{"a":[1,  2]}', b"", b"\x00\xff"],
    ids=["no text", "a line break", "a space before", "a space behind", "letters", "spaces inside", "nothing", "no JSON at all"],
)
def test_bytes_of_every_kind_are_kept(record: bytes) -> None:
    line = archive.encode_commit(("events", 2), 7, 9, record)
    assert line.count(b"\n") == 1
    found = archive.decode(line)
    assert isinstance(found, archive.Commit)
    assert (found.log, found.partition, found.offset, found.appended_ms, found.record()) == ("events", 2, 7, 9, record)


@pytest.mark.parametrize("place", range(len(GOOD)))
def test_a_line_that_is_gone_is_missed(place: int) -> None:
    with pytest.raises(Conflict):
        checked([*GOOD[:place], *GOOD[place + 1 :]])


@pytest.mark.parametrize("place", range(len(GOOD) - 1))
def test_lines_that_changed_places_are_noticed(place: int) -> None:
    with pytest.raises(Conflict):
        checked([*GOOD[:place], GOOD[place + 1], GOOD[place], *GOOD[place + 2 :]])


@pytest.mark.parametrize("place", range(len(GOOD)))
def test_a_line_that_is_there_twice_is_noticed(place: int) -> None:
    with pytest.raises(Conflict):
        checked([*GOOD[:place], GOOD[place], *GOOD[place:]])


@pytest.mark.parametrize("kept", range(len(GOOD)))
def test_an_export_that_was_cut_short_is_none(kept: int) -> None:
    with pytest.raises(Conflict, match=r"cut short|ends before"):
        checked(GOOD[:kept])


@pytest.mark.parametrize("place", range(1, len(GOOD) - 1))
def test_no_byte_of_a_commit_can_be_altered(place: int) -> None:
    line = GOOD[place]
    for nth in range(line.index(b'"commit":') + len(b'"commit":'), len(line) - 2):
        altered = bytearray(line)
        altered[nth] ^= 1
        with pytest.raises((Conflict, Undecodable)):
            checked([*GOOD[:place], bytes(altered), *GOOD[place + 1 :]])


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([b"{}\n"], "no line of an export"),
        ([*GOOD, *GOOD], "put together"),
        ([GOOD[0].replace(b'"format":1', b'"format":2'), *GOOD[1:]], "upgrade"),
        ([GOOD[0].replace(b'"epoch":1', b'"epoch":2'), *GOOD[1:]], "not opened as what the first line says"),
        ([*GOOD[:-1], GOOD[-1].replace(b'"commits":', b'"commits":1')], "lines are missing"),
    ],
    ids=["another file", "two of them", "of the future", "another log", "another count"],
)
def test_what_is_no_export_is_said_so(lines: list[bytes], why: str) -> None:
    with pytest.raises(Conflict, match=why):
        checked(lines)


def test_a_damaged_number_of_partitions_costs_no_memory() -> None:
    damaged = GOOD[0].replace(b'"partitions":4', b'"partitions":444444')
    tracemalloc.start()
    try:
        with pytest.raises(Conflict, match="not opened as what the first line says"):
            checked([damaged, *GOOD[1:]])
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
