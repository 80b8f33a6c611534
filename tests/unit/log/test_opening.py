"""The identity of a log, from what the first records of its partitions say."""

import pytest
from msgspec import structs

from ledger.config import Settings
from ledger.core.outcome import Opened
from ledger.core.refusal import Conflict, LedgerError, Misconfigured
from ledger.kafka.opening import LogIdentity, Openings, identify, opening, read_opening
from tests.unit.log.chains import LOG_ID, chain_of, rewritten

SETTINGS = Settings(prefix="p", partitions=2)
OURS = Opened(LOG_ID, 2)
OTHER = Opened("f" * 32, 2)


def events(*opened: Opened | None) -> Openings:
    return {("events", number): one for number, one in enumerate(opened)}


def test_an_opening_is_read_as_it_was_written() -> None:
    assert read_opening(("events", 1), opening(("events", 1), OURS)) == OURS


@pytest.mark.parametrize(
    ("record", "shows"),
    [
        (opening(("events", 0), OURS), "events[0]"),
        (opening(("registry", 1), OURS), "registry[1]"),
        (chain_of(2, partition=1)[1], "seq 2"),
        (rewritten(opening(("events", 1), OURS), events=()), "NoneType"),
        (rewritten(opening(("events", 1), OURS), prev="ab" * 32), "seq 1"),
        (b"hello", "not_a_commit"),
        (b"", "not_a_commit"),
    ],
    ids=[
        "another partition's",
        "another log's",
        "a later commit",
        "an empty commit",
        "a commit that follows another",
        "no commit",
        "nothing",
    ],
)
def test_what_is_no_opening_of_this_partition_is_shown(record: bytes, shows: str) -> None:
    with pytest.raises(Conflict) as refused:
        read_opening(("events", 1), record)
    assert "events[1] does not begin with" in str(refused.value)
    assert shows in str(refused.value)
    assert "set another `prefix`" in str(refused.value)


def test_openings_that_agree_are_the_identity() -> None:
    assert identify(SETTINGS, OURS, events(OURS, OURS)) == LogIdentity(LOG_ID, 2, 1)


@pytest.mark.parametrize(
    ("registry", "found", "kind", "shows"),
    [
        (None, events(None, None), Misconfigured, ["p.registry.v1", "`jobledger topics apply`"]),
        (None, events(OURS, OURS), Misconfigured, ["p.registry.v1", "`jobledger topics apply`"]),
        (OURS, events(None, None), Conflict, ["p.events.v1[0] is empty", LOG_ID, "made anew"]),
        (OURS, events(OURS, None), Conflict, ["p.events.v1[1] is empty", LOG_ID, "lost its records"]),
        (OURS, events(OTHER, OTHER), Conflict, ["p.events.v1[0]", LOG_ID, "f" * 32]),
        (OURS, events(OURS, OTHER), Conflict, ["p.events.v1[1]", LOG_ID, "f" * 32]),
        (OURS, events(OURS, structs.replace(OURS, epoch=2)), Conflict, ["epoch 1", "epoch 2"]),
        (Opened(LOG_ID, 4), events(OURS, OURS), Conflict, ["4 partitions", "the settings say 2", "set `partitions` to 4"]),
    ],
    ids=[
        "nothing yet",
        "half open",
        "the events were made anew",
        "a partition of the events is lost",
        "events of another log",
        "a partition of another log",
        "another epoch",
        "another number of partitions",
    ],
)
def test_openings_that_disagree_are_refused_with_both_values(
    registry: Opened | None, found: Openings, kind: type[LedgerError], shows: list[str]
) -> None:
    with pytest.raises(kind) as refused:
        identify(SETTINGS, registry, found)
    assert all(text in str(refused.value) for text in shows), refused.value
