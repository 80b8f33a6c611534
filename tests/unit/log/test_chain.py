"""The rule of the chain, case by case. `test_walk.py` applies it to whole logs."""

import pytest

from ledger.core.chain import ACCEPTED, GENESIS, VOID, Broken, Head, Header, after, digest, judge, past_void
from ledger.core.ids import NOWHERE, Address, Position

HEAD = Head("events", 2, 7, "ab" * 32, 1000, Position(30, 2), Address(5, 1), 12)
NEXT = Header(1, "events", 2, 8, "ab" * 32, 1000, Position(30, 2), Address(5, 1))


def test_the_next_number_on_the_accepted_digest_is_accepted() -> None:
    assert judge(HEAD, NEXT) == ACCEPTED


def test_the_first_commit_follows_nothing() -> None:
    assert judge(Head("events", 2), Header(1, "events", 2, 1, GENESIS, 0, NOWHERE)) == ACCEPTED
    assert isinstance(judge(Head("events", 2), Header(1, "events", 2, 1, "ab" * 32, 0, NOWHERE)), Broken)


@pytest.mark.parametrize("seq", [7, 6, 1, 0, -1])
@pytest.mark.parametrize("prev", ["ab" * 32, "cd" * 32, GENESIS])
def test_a_number_that_is_taken_is_void_whatever_it_follows(seq: int, prev: str) -> None:
    assert judge(HEAD, Header(1, "events", 2, seq, prev, 0, NOWHERE)) == VOID


@pytest.mark.parametrize(
    ("commit", "shows"),
    [
        (Header(1, "events", 2, 9, "ab" * 32, 1000, Position(30, 2), Address(5, 1)), ("8", "9")),
        (Header(1, "events", 2, 8, "cd" * 32, 1000, Position(30, 2), Address(5, 1)), ("ab" * 32, "cd" * 32)),
        (Header(1, "events", 2, 8, GENESIS, 1000, Position(30, 2), Address(5, 1)), ("ab" * 32, "nothing")),
        (Header(1, "events", 3, 8, "ab" * 32, 1000, Position(30, 2), Address(5, 1)), ("events[3]", "events[2]")),
        (Header(1, "registry", 2, 8, "ab" * 32, 1000, Position(30, 2), Address(5, 1)), ("registry[2]", "events[2]")),
        (Header(1, "events", 2, 8, "ab" * 32, 999, Position(30, 2), Address(5, 1)), ("1000", "999")),
        (Header(1, "events", 2, 8, "ab" * 32, 1000, Position(30, 1), Address(5, 1)), ("nth=2", "nth=1")),
        (Header(1, "events", 2, 8, "ab" * 32, 1000, Position(29, 9), Address(5, 1)), ("offset=30", "offset=29")),
        (Header(1, "events", 2, 8, "ab" * 32, 1000, Position(30, 2), Address(5, 0)), ("nth=1", "nth=0")),
        (Header(1, "events", 2, 8, "ab" * 32, 1000, Position(30, 2), None), ("seq=5", "seq=0")),
    ],
)
def test_everything_else_is_broken_and_both_values_are_shown(commit: Header, shows: tuple[str, str]) -> None:
    verdict = judge(HEAD, commit)
    assert isinstance(verdict, Broken)
    assert all(value in verdict.detail for value in shows)


def test_another_log_is_broken_even_with_a_number_that_is_taken() -> None:
    assert isinstance(judge(HEAD, Header(1, "events", 3, 1, GENESIS, 0, NOWHERE)), Broken)


def test_the_head_moves_with_what_is_accepted_and_only_its_place_with_a_void() -> None:
    moved = after(HEAD, NEXT, "ef" * 32, 15)
    assert (moved.seq, moved.digest, moved.next_offset) == (8, "ef" * 32, 16)
    assert past_void(moved, 16) == after(HEAD, NEXT, "ef" * 32, 16)


def test_a_digest_is_the_sha256_of_the_bytes() -> None:
    assert digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
