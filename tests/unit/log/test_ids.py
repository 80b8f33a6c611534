"""Names are derived: the same message gives the same name, another one another, and each says where it lives."""

import re

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as theirs
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core.ids import (
    Address,
    execution_of_command,
    execution_of_key,
    execution_of_tick,
    murmur2,
    murmur2_of_all,
    partition_for,
    partition_of,
    routing_key,
    token_of,
)

UUID7 = "019ac35e7b2075c4a1d2e3f405162738"
FORM = re.compile(r"[0-9a-f]{32}-[0-9]+")
texts = st.text(max_size=40).filter(lambda text: "\0" not in text and text.isprintable())
partitions = st.integers(0, 999)


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=70))
def test_murmur2_is_kafkas(key: bytes) -> None:
    assert murmur2(key) == theirs(key) & 0xFFFFFFFF


@given(st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), max_size=12) | st.lists(st.text(max_size=9), max_size=12))
def test_many_keys_are_hashed_together_as_one_by_one(keys: list[str]) -> None:
    assert murmur2_of_all(keys) == [murmur2(key.encode()) for key in keys]


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=40), st.integers(1, 1000))
def test_a_key_goes_where_kafkas_default_partitioner_sends_it(key: str, count: int) -> None:
    every = list(range(count))
    assert partition_for(key, count) == DefaultPartitioner()(key.encode(), every, every)


@pytest.mark.parametrize(("key", "partition"), [("job:sync", 0), ("", 0), ("tenant:send-invoice:acme", 0)])
def test_a_single_partition_holds_everything(key: str, partition: int) -> None:
    assert partition_for(key, 1) == partition


@settings(deadline=None)  # a busy machine is no failure
@given(texts, st.none() | texts, texts, partitions)
def test_an_execution_id_follows_from_the_command_and_carries_its_partition(
    command: str, tenant: str | None, act: str, number: int
) -> None:
    one = execution_of_command(command, tenant, act, number)
    assert one == execution_of_command(command, tenant, act, number)
    assert FORM.fullmatch(one)
    assert partition_of(one) == number


def test_command_ids_are_scoped_by_tenant_and_act() -> None:
    ids = {
        execution_of_command("c-1", None, "submit", 0),
        execution_of_command("c-1", "acme", "submit", 0),
        execution_of_command("c-1", "acme", "run_now", 0),
        execution_of_command("c-2", "acme", "submit", 0),
    }
    assert len(ids) == 4


def test_an_execution_sorts_by_the_time_in_its_command_id() -> None:
    assert execution_of_command(UUID7, None, "submit", 3).startswith(UUID7[:12])
    later = "019ac35e7b2175c4a1d2e3f405162738"
    assert execution_of_command(UUID7, None, "submit", 3) < execution_of_command(later, "t", "submit", 0)


def test_a_key_gives_another_execution_for_each_commit_that_accepts_it() -> None:
    """Behind the deduplication window the same key is a new wish."""
    first = execution_of_key("order-4711", "acme", 1_764_000_000_000_000, Address(9, 0), 1)
    assert first == execution_of_key("order-4711", "acme", 1_764_000_000_000_000, Address(9, 0), 1)
    assert first != execution_of_key("order-4711", "acme", 1_764_000_000_000_000, Address(9, 1), 1)
    assert first != execution_of_key("order-4711", "other", 1_764_000_000_000_000, Address(9, 0), 1)
    assert first.startswith(f"{1_764_000_000_000:012x}")
    assert partition_of(first) == 1


@settings(deadline=None)  # a busy machine is no failure
@given(texts, st.integers(0, 2**52), partitions)
def test_a_tick_is_one_execution_whoever_fires_it(job: str, tick: int, number: int) -> None:
    one = execution_of_tick(job, tick, number)
    assert one == execution_of_tick(job, tick, number)
    assert one != execution_of_tick(job, tick + 1, number)
    assert FORM.fullmatch(one)
    assert partition_of(one) == number


@pytest.mark.parametrize("text", ["", "-", "-3", "e", "e-", "e-x", "e--", "e-3x", "e-²", "e-1234567", "e- 3"])
def test_what_is_no_execution_id_has_no_partition(text: str) -> None:
    assert partition_of(text) is None


@pytest.mark.parametrize(
    ("scope", "key", "scheduled", "expected"),
    [
        ("none", None, False, "c-1"),
        ("none", None, True, "sync"),
        ("none", "k", False, "c-1"),
        ("job", None, False, "job:sync"),
        ("job", None, True, "job:sync"),
        ("tenant", None, True, "tenant:do-sync:acme"),
        ("key", "k", False, "key:do-sync:k"),
        ("key", "", False, "key:do-sync:"),
        ("key", None, False, "c-1"),
        ("key", None, True, "sync"),
    ],
)
def test_the_routing_key_is_the_exclusive_key_else_the_scheduled_job_else_the_command(
    scope: str, key: str | None, scheduled: bool, expected: str
) -> None:
    assert routing_key("sync", "do-sync", "acme", scope, key, scheduled, "c-1") == expected


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 2**48 - 1), st.integers(0, 511)), min_size=2, max_size=2))
def test_tokens_rise_as_grants_do_and_fit_a_signed_column(grants: list[tuple[int, int, int]]) -> None:
    first, second = ((epoch, Address(seq, nth)) for epoch, seq, nth in grants)
    assert (token_of(*first) < token_of(*second)) == (first < second)
    assert 0 <= token_of(*first) < 2**63
