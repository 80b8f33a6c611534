"""Which records of a partition count, and where the tables may go on."""

from dataclasses import dataclass

import pytest

from ledger.core.chain import Head
from ledger.core.refusal import ChainBroken
from projections.folds import fold_of
from projections.positions import Applied, Duplicate, Gap, Position, judge
from projections.tail import Reached, Stretch, Tail
from tests.synthetic_log import SyntheticLog, requested


@dataclass(frozen=True)
class Record:
    offset: int
    value: bytes | None
    timestamp: int = 0


def log_of(*sizes: int) -> SyntheticLog:
    """Commits with so many requests each."""
    log = SyntheticLog("events", 0)
    log.open("L", 4)
    numbers = iter(range(1000))
    for size in sizes:
        log.commit([requested(next(numbers), 0) for _ in range(size)])
    return log


def records(log: SyntheticLog, first: int = 0) -> list[Record]:
    return [Record(offset, value) for offset, value in enumerate(log.records)][first:]


def tail_at(start: Reached | None = None) -> Tail:
    return Tail("L", start or Reached(Head("events", 0)), fold_of("events", 4))


def taken(tail: Tail) -> Stretch:
    stretch = tail.take()
    assert stretch is not None
    return stretch


def test_it_folds_what_follows_and_hands_it_out_once() -> None:
    tail = tail_at()
    tail.feed(records(log_of(2, 3)))
    stretch = taken(tail)
    assert (stretch.before.seq, stretch.after.head.seq, stretch.after.offset, len(stretch.changes.executions)) == (0, 3, 2, 5)
    assert tail.take() is None


def test_it_goes_on_where_it_was_taken() -> None:
    tail, log = tail_at(), log_of(2, 3)
    tail.feed(records(log)[:2])
    first = taken(tail)
    tail.feed(records(log, 2))
    second = taken(tail)
    assert (second.before, len(second.changes.executions)) == (first.after.head, 3)


def test_it_goes_on_from_a_place_in_the_middle() -> None:
    log = log_of(2, 3)
    first = tail_at()
    first.feed(records(log)[:2])
    later = tail_at(first.reached)
    later.feed(records(log, 2))
    assert len(taken(later).changes.executions) == 3


def test_a_void_is_counted_and_changes_nothing() -> None:
    log = log_of(2)
    log.void([requested(900, 0)])
    log.commit([requested(901, 0)])
    tail = tail_at()
    tail.feed(records(log))
    stretch = taken(tail)
    assert (stretch.after.voids, stretch.after.offset, tail.next_offset, tail.broken) == (1, 3, 4, None)
    assert len(stretch.changes.executions) == 3


def test_voids_alone_are_no_stretch() -> None:
    log = log_of(2)
    tail = tail_at()
    tail.feed(records(log))
    taken(tail)
    log.void([])
    tail.feed(records(log, 2))
    assert (tail.take(), tail.reached.voids, tail.next_offset) == (None, 1, 3)


@pytest.mark.parametrize("bad", [None, b"", b"{", b'{"v":9,"log":"events"}'])
def test_what_cannot_be_read_stops_it_and_what_came_before_counts(bad: bytes | None) -> None:
    tail = tail_at()
    tail.feed([*records(log_of(2)), Record(2, bad)])
    assert len(taken(tail).changes.executions) == 2
    assert isinstance(tail.broken, ChainBroken)
    assert tail.broken.offset == 2
    assert "jobledger ledger verify" in str(tail.broken)


def test_a_commit_whose_event_nobody_knows_stops_it() -> None:
    log = log_of(2)
    log.commit([b'{"type":"execution.dreamt.v9","execution_id":"x"}'])
    tail = tail_at()
    tail.feed(records(log))
    assert isinstance(tail.broken, ChainBroken)
    assert (tail.reached.head.seq, tail.broken.offset) == (2, 2)


def test_a_missing_commit_stops_it() -> None:
    one, _, three, *_ = records(log_of(1, 1, 1))
    tail = tail_at()
    tail.feed([one, three])
    assert tail.broken is not None
    assert "expected seq 2, found 3" in str(tail.broken)


def stretch_over(log: SyntheticLog, start: int, end: int) -> Stretch:
    tail = tail_at()
    tail.feed(records(log)[:start])
    tail.take()
    tail.feed(records(log)[start:end])
    return taken(tail)


def position_at(log: SyntheticLog, count: int, digest: str | None = None) -> Position:
    tail = tail_at()
    tail.feed(records(log)[:count])
    return Position("L", tail.reached.head.seq, tail.reached.offset, digest or tail.reached.head.digest)


def test_a_stretch_is_applied_only_right_behind_the_position() -> None:
    log = log_of(1, 1, 1, 1)
    stretch = stretch_over(log, 2, 4)
    assert judge(stretch, position_at(log, 2)) == Applied()
    assert judge(stretch, position_at(log, 4)) == Duplicate(position_at(log, 4))
    assert judge(stretch, position_at(log, 5)) == Duplicate(position_at(log, 5))
    assert judge(stretch, position_at(log, 3)) == Gap(position_at(log, 3))
    assert judge(stretch, position_at(log, 1)) == Gap(position_at(log, 1))
    assert judge(stretch, None) == Gap(None)


def test_the_same_number_of_another_log_is_a_gap() -> None:
    log = log_of(1, 1, 1)
    foreign = position_at(log, 2, digest="f" * 64)
    assert judge(stretch_over(log, 2, 3), foreign) == Gap(foreign)
