"""What verify makes of a walk: counts, which of two records was altered, and what the partitions say of each other."""

import pytest

from ledger.core import chain
from ledger.core.chain import Head
from ledger.core.ids import Address
from ledger.core.outcome import Opened
from ledger.core.wire import Commit, encode
from ledger.kafka.blame import Surroundings, Vouched, blame, is_next
from ledger.kafka.log_reader import Walked, walk
from ledger.kafka.verify import Finding, LogName, compare, miss_end, strangers, take
from tests.unit.log.chains import LOG_ID, Stored, chain_of, rewritten, stored

GOOD = chain_of(6)


def verified(records: list[bytes], vouched: Vouched | None = None, place: tuple[LogName, int] = ("events", 0)) -> Finding:
    """As verify finds it: the walk ends, and what stands around the place where it ended is looked at."""
    finding, found = Finding(*place), stored(records)
    walked = walk(Head(*place), found)
    take(finding, walked, vouched)
    if walked.broken is not None and finding.broken is None:
        last, broken_at = walked.commits[-1] if walked.commits else None, walked.broken.offset
        here: Stored | None = next(iter(found[broken_at:]), None)
        behind = next((one for one in found[broken_at + 1 :] if is_next(here, one)), None)
        around = Surroundings(last, found[0 if last is None else last.offset + 1 : broken_at], here, behind)
        finding.stop(*blame(walked.broken, around, vouched))
    miss_end(finding, vouched)
    return finding


def blamed(records: list[bytes], vouched: Vouched | None = None) -> tuple[int, str]:
    finding = verified(records, vouched)
    assert finding.offset is not None
    assert finding.broken is not None
    return finding.offset, finding.broken


TABLES = Vouched(LOG_ID, len(GOOD), chain.digest(GOOD[-1]))


def counted(walked: Walked) -> Finding:
    finding = Finding("events", 0)
    take(finding, walked)
    return finding


def test_commits_events_and_voids_are_counted() -> None:
    finding = counted(walk(Head("events", 0), stored([*GOOD[:3], GOOD[2], *GOOD[3:]])))
    assert (finding.commits, finding.events, finding.voids, finding.seq, finding.next_offset) == (6, 6, 1, 6, 7)
    assert (finding.log_id, finding.digest, finding.registry) == (LOG_ID, chain.digest(GOOD[-1]), Address(3, 0))
    assert finding.broken is None


def test_an_event_that_cannot_be_read_is_found_even_in_the_last_commit() -> None:
    last = GOOD[-1].replace(b"execution.completed.v1", b"execution.completed.v9")
    finding = counted(walk(Head("events", 0), stored([*GOOD[:-1], last])))
    assert finding.offset == 5
    assert "not_an_event" in str(finding.broken)


@pytest.mark.parametrize(
    ("seq", "events"),
    [(1, ()), (1, (Opened(LOG_ID, 4), Opened(LOG_ID, 4))), (2, (Opened(LOG_ID, 4),))],
    ids=["a first commit without an opening", "two openings", "an opening later on"],
)
def test_a_log_is_opened_once_at_its_beginning(seq: int, events: tuple[Opened, ...]) -> None:
    before = chain_of(seq - 1)
    commit = Commit(1, "events", 0, seq, chain.digest(before[-1]) if before else "", 10_000, (0, 0), None, events)  # type: ignore[arg-type]  # a pair will do
    finding = counted(walk(Head("events", 0), stored([*before, encode(commit)])))
    assert finding.offset == seq - 1
    assert "openings" in str(finding.broken)


@pytest.mark.parametrize("place", range(4))
def test_an_altered_record_is_named_itself_and_not_the_one_that_misses_it(place: int) -> None:
    altered = GOOD[place].replace(b'"partitions":4', b'"partitions":5') if place == 0 else rewritten(GOOD[place], at=place * 1000 + 1001)
    offset, why = blamed([*GOOD[:place], altered, *GOOD[place + 1 :]])
    assert offset == place
    assert f"seq {place + 1} was altered" in why
    assert f"offset {place + 1}" in why


def test_an_altered_record_is_named_although_what_misses_it_is_followed_by_a_void() -> None:
    altered = rewritten(GOOD[2], at=3001)
    zombie = rewritten(GOOD[3], at=4001)  # it lost the race for seq 4
    assert blamed([*GOOD[:2], altered, GOOD[3], zombie, *GOOD[4:]])[0] == 2


def test_a_forged_link_is_named_where_it_stands() -> None:
    assert blamed([*GOOD[:3], rewritten(GOOD[3], prev="ab" * 32), *GOOD[4:]])[0] == 3


def test_without_a_commit_behind_the_place_where_readers_stop_is_named() -> None:
    assert blamed([*GOOD[:4], rewritten(GOOD[4], at=5001), GOOD[5]])[0] == 5


def test_partitions_of_two_logs_are_told_apart() -> None:
    findings = [Finding("events", 0, seq=3, log_id="a"), Finding("events", 1, seq=3, log_id="b"), Finding("registry", 0, seq=3, log_id="a")]
    compare(findings)
    assert [one.broken is None for one in findings] == [True, False, True]
    assert "log b, the registry to a" in str(findings[1].broken)


def test_events_miss_a_registry_that_was_cut() -> None:
    findings = [
        Finding("events", 0, seq=3, log_id="a", registry=Address(9, 1)),
        Finding("registry", 0, seq=8, log_id="a", next_offset=8),
    ]
    compare(findings)
    assert findings[0].broken is None
    assert findings[1].offset == 8
    assert "ends at seq 8, but events[0] was decided with seq 9" in str(findings[1].broken)


def test_one_log_alone_is_not_compared() -> None:
    finding = Finding("events", 0, seq=3, log_id="a", registry=Address(9, 1))
    compare([finding])
    assert finding.broken is None


# The tables remember the digest of the commit that they were folded to: what nothing follows in the log can be told, too


def test_tables_that_fit_vouch_for_the_log() -> None:
    finding = verified(GOOD, TABLES)
    assert (finding.broken, finding.vouched) == (None, 6)


def test_tables_that_are_behind_vouch_for_what_they_hold() -> None:
    finding = verified(GOOD, Vouched(LOG_ID, 4, chain.digest(GOOD[3])))
    assert (finding.broken, finding.vouched) == (None, 4)


def test_tables_of_another_log_vouch_for_nothing() -> None:
    finding = verified(GOOD, Vouched("f" * 32, 9, "ab" * 32))
    assert (finding.broken, finding.vouched) == (None, None)


def test_it_is_told_when_the_tables_are_of_another_log_than_every_topic() -> None:
    other = Vouched("f" * 32, 9, "ab" * 32)
    findings = [Finding("events", 0, log_id=LOG_ID), Finding("events", 1, log_id=LOG_ID), Finding("registry", 0)]
    assert strangers(findings, {("events", 0): other, ("events", 1): other}) == "f" * 32
    assert strangers(findings, {("events", 0): other, ("events", 1): TABLES}) is None
    assert strangers(findings, {}) is None


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("bit", [0x01, 0x02, 0x04, 0x10, 0x20, 0x80])
def test_each_flipped_bit_of_each_commit_is_located_exactly(place: int, bit: int) -> None:
    for nth in range(len(GOOD[place])):
        altered = bytearray(GOOD[place])
        altered[nth] ^= bit
        assert blamed([*GOOD[:place], bytes(altered), *GOOD[place + 1 :]], TABLES)[0] == place, nth


def test_a_changed_last_commit_is_found_by_the_tables_alone() -> None:
    records = [*GOOD[:-1], rewritten(GOOD[-1], at=6001)]
    assert verified(records).broken is None
    offset, why = blamed(records, TABLES)
    assert offset == 5
    assert "seq 6" in why and "altered or replaced" in why


@pytest.mark.parametrize("kept", range(1, 6))
def test_an_end_that_is_gone_is_found_by_the_tables(kept: int) -> None:
    offset, why = blamed(GOOD[:kept], TABLES)
    assert offset == kept
    assert "gone" in why


def test_the_last_but_one_is_told_from_the_last_by_the_tables() -> None:
    records = [*GOOD[:4], rewritten(GOOD[4], at=5001), GOOD[5]]
    offset, why = blamed(records, TABLES)
    assert offset == 4
    assert "the tables were folded from that one" in why


@pytest.mark.parametrize("place", range(5))
def test_a_lowered_number_is_no_void(place: int) -> None:
    """A void has lost a race: it never follows the commit that won."""
    offset, why = blamed([*GOOD[:place], rewritten(GOOD[place], seq=place), *GOOD[place + 1 :]])
    assert offset == place
    assert "its number was altered" in why
