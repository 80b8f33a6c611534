"""What the benchmark of exclusivity takes for an overlap."""

from pathlib import Path

import pytest
from msgspec import structs

from ledger.cli.measuring.overlaps import Intervals, Run, noted, overlaps_of, read_runs
from ledger.context import Context
from ledger.core.execution import Completed, Requested, Started
from ledger.core.ids import ExecutionId, Micros, Token, WorkerId
from ledger.core.offers import Offer

FIRST = Run("k", "x1", 1, 100, start=10, end=20, locked=True)
SECOND = Run("k", "x2", 2, 101, start=30, end=40, locked=True)
OTHER = Run("other", "x3", 1, 101, start=15, end=35, locked=True)


def test_one_after_the_other_is_no_overlap_and_keys_do_not_mind_each_other() -> None:
    assert overlaps_of([FIRST, OTHER, SECOND]) == []


@pytest.mark.parametrize(
    "second",
    [
        structs.replace(SECOND, start=19),
        structs.replace(SECOND, token=1),
        structs.replace(SECOND, locked=False),
    ],
)
def test_an_early_start_a_token_that_does_not_rise_and_a_locked_file_are_each_one(second: Run) -> None:
    assert len(overlaps_of([FIRST, second])) == 1


def test_code_that_was_killed_ended_when_its_process_did() -> None:
    killed = structs.replace(FIRST, end=0)
    assert len(overlaps_of([killed, SECOND])) == 1
    assert overlaps_of([killed, SECOND], {100: 25}.items()) == []
    assert len(overlaps_of([killed, SECOND], {100: 35}.items())) == 1


def test_what_is_noted_is_read_again(tmp_path: Path) -> None:
    one, two = (Context(Offer(ExecutionId(f"x{n}"), Token(n), 1, "j", "j", 1)) for n in (1, 2))
    with noted(str(tmp_path), "k", one), noted(str(tmp_path), "k", two):
        pass
    assert [(run.key, run.execution_id, run.token, run.locked) for run in read_runs(tmp_path)] == [
        ("k", "x1", 1, True),
        ("k", "x2", 2, False),
    ]
    assert len(overlaps_of(read_runs(tmp_path))) == 2  # an overlap, and a locked file


def requested(name: str) -> Requested:
    return Requested(ExecutionId(name), "j", "j", 1, "on_demand", "default", Micros(0), exclusive_key="key:j:1")


def started(name: str, token: int) -> Started:
    return Started(ExecutionId(name), 1, Token(token), WorkerId("w"))


def test_the_logs_intervals_do_not_overlap() -> None:
    good, bad = Intervals(), Intervals()
    for event in (requested("a"), requested("b"), started("a", 1), Completed(ExecutionId("a"), 1), started("b", 2)):
        good.note(event)
    for event in (requested("a"), requested("b"), started("a", 2), started("b", 1)):
        bad.note(event)
    assert (good.wrong, good.starts) == ([], 2)
    assert len(bad.wrong) == 2
