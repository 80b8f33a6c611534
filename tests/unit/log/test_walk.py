"""A reader accepts the one chain and nothing else: whatever is altered, dropped, swapped or added, it stops there and says where."""

import pytest

from ledger.core import chain
from ledger.core.chain import Head
from ledger.core.ids import Address, Position
from ledger.core.refusal import ChainBroken
from ledger.kafka.log_reader import Walked, walk
from tests.unit.log.chains import Stored, chain_of, rewritten, stored

LENGTH = 6
GOOD = chain_of(LENGTH)


def walked(records: list[bytes] | list[bytes | None]) -> Walked:
    return walk(Head("events", 0), stored(records))


def broken_at(records: list[bytes] | list[bytes | None]) -> ChainBroken:
    broken = walked(records).broken
    assert broken is not None
    assert (broken.log, broken.partition) == ("events", 0)
    return broken


def test_a_good_chain_is_accepted_to_its_end() -> None:
    result = walked(GOOD)
    assert result.broken is None
    assert result.voids == []
    assert [commit.header.seq for commit in result.commits] == [1, 2, 3, 4, 5, 6]
    assert [commit.record for commit in result.commits] == GOOD
    assert result.head == Head("events", 0, 6, chain.digest(GOOD[-1]), 6000, Position(4, 0), Address(3, 0), 6)


def test_reading_in_pieces_is_reading_at_once() -> None:
    head = Head("events", 0)
    for record in stored(GOOD):
        head = walk(head, [record]).head
    assert head == walked(GOOD).head


def test_offsets_without_records_do_not_matter() -> None:
    assert walk(Head("events", 0), [Stored(3 * offset, record) for offset, record in enumerate(GOOD)]).broken is None


@pytest.mark.parametrize("place", range(1, LENGTH + 1))
def test_a_commit_that_comes_twice_is_void(place: int) -> None:
    records = [*GOOD[:place], GOOD[place - 1], *GOOD[place:]]
    result = walked(records)
    assert result.broken is None
    assert result.voids == [place]
    assert result.head.seq == LENGTH


def test_a_zombie_that_lost_the_race_for_its_number_is_void() -> None:
    zombie = rewritten(GOOD[3], at=4001)
    result = walked([*GOOD[:4], zombie, *GOOD[4:]])
    assert result.broken is None
    assert result.voids == [4]


def test_a_zombie_that_won_makes_the_other_one_void_and_what_builds_on_it_broken() -> None:
    zombie = rewritten(GOOD[3], at=4001)
    assert walked([*GOOD[:3], zombie, GOOD[3]]).voids == [4]
    assert broken_at([*GOOD[:3], zombie, *GOOD[3:]]).offset == 5


@pytest.mark.parametrize("place", range(LENGTH - 1))
def test_a_dropped_commit_is_missed_by_the_next(place: int) -> None:
    broken = broken_at([*GOOD[:place], *GOOD[place + 1 :]])
    assert broken.offset == place
    assert "missing" in broken.detail


@pytest.mark.parametrize("place", range(LENGTH - 1))
def test_swapped_commits_break_where_the_first_of_them_was(place: int) -> None:
    records = list(GOOD)
    records[place], records[place + 1] = records[place + 1], records[place]
    assert broken_at(records).offset == place


@pytest.mark.parametrize("place", range(LENGTH))
@pytest.mark.parametrize("length", [0, 1, 40, -40, -1])
def test_a_commit_cut_short_is_no_commit(place: int, length: int) -> None:
    records = [*GOOD[:place], GOOD[place][:length], *GOOD[place + 1 :]]
    assert broken_at(records).offset == place


@pytest.mark.parametrize("place", range(LENGTH))
def test_a_tombstone_is_no_commit(place: int) -> None:
    assert broken_at([*GOOD[:place], None, *GOOD[place + 1 :]]).offset == place


@pytest.mark.parametrize(
    ("foreign", "why"),
    [
        (chain_of(4, log_id="f" * 32)[3], "follows"),
        (chain_of(4, partition=1)[3], "belongs to events[1]"),
        (chain_of(4, log="registry")[3], "belongs to registry[0]"),
        (b'{"hello":"world"}', "not_a_commit"),
        (rewritten(GOOD[3], seq=9), "commits are missing"),
        (rewritten(GOOD[3], v=2), "upgrade"),
        (rewritten(GOOD[3], at=2999), "at 3000 -> 2999"),
        (rewritten(GOOD[3], position=Position(1, -1)), "goes back: position"),
        (rewritten(GOOD[3], registry=None), "goes back: registry"),
    ],
    ids=[
        "another log",
        "another partition",
        "another topic",
        "another program",
        "the far future",
        "a newer version",
        "time goes back",
        "the position goes back",
        "the registry goes back",
    ],
)
def test_a_foreign_commit_in_the_place_of_the_next_is_named(foreign: bytes, why: str) -> None:
    broken = broken_at([*GOOD[:3], foreign, *GOOD[3:]])
    assert broken.offset == 3
    assert why in broken.detail


@pytest.mark.parametrize("place", range(LENGTH - 1))
def test_no_byte_of_a_commit_can_be_altered(place: int) -> None:
    """Whatever a flipped bit makes of a commit, a void included: the walk ends there or at the next one."""
    for nth in range(len(GOOD[place])):
        for bit in (0x01, 0x04, 0x10, 0x80):
            altered = bytearray(GOOD[place])
            altered[nth] ^= bit
            broken = walked([*GOOD[:place], bytes(altered), *GOOD[place + 1 :]]).broken
            assert broken is not None, (nth, bit)
            assert broken.offset in (place, place + 1), (nth, bit)
