"""Backlog limits: how many may wait of a queue and of a tenant, judged in the partition of the submit."""

import pytest

from ledger.core.backlogs import STANDS, BacklogLimits, Backlogs, part_of
from ledger.core.definition import Job
from ledger.core.execution import Completed, Requested, Started
from ledger.core.ids import Micros, WorkerId
from ledger.core.outcome import Rejected
from ledger.core.partition import Partition
from ledger.core.partition_draft import PartitionDraft
from ledger.core.refusal import Refused
from tests.unit.core.test_partition import ID, NOON, SECOND, World, submit

LIMITS = BacklogLimits({"default": 4}, {"acme": 2, "internal": None, "*": 3})


class Bounded(World):
    """A partition with backlog limits, alone in its log."""

    def __init__(self, limits: BacklogLimits = LIMITS, partitions: int = 1) -> None:
        super().__init__(partitions)
        self.limits = limits
        self.know(Job("alone", "alone", "on_demand", "other", "job"))
        self.begin()

    def begin(self) -> None:
        """As a new owner: the log is folded by one who counts."""
        fold = Partition(0, window=3600 * SECOND, counts_backlogs=True)
        for offset, record in enumerate(self.log):
            fold.feed(record, offset)
        self.partition = fold
        self.writer = type(self.writer)(fold)

    def draft(self, at: int = NOON, *, fresh: bool = True) -> PartitionDraft:
        return PartitionDraft(self.partition, self.registry, Micros(at), facts_are_fresh=fresh, backlog_limits=self.limits)

    def append_all(self, *events: object, at: int = NOON) -> None:
        draft = self.draft(at)
        assert draft.include(events)  # type: ignore[arg-type]  # events they are
        self.append(draft)


def words(events: object) -> list[str]:
    return ["ok" if isinstance(one, Requested) else one.reason for one in events]  # type: ignore[attr-defined]


def test_beyond_the_limit_of_a_queue_a_submit_is_refused_and_told_what_to_do() -> None:
    world = Bounded()
    assert words(world.when(*(submit(command_id=f"c{n}") for n in range(6)))) == ["ok"] * 4 + ["backlog_full"] * 2
    (rejected,) = world.when(submit(command_id="later"))
    assert isinstance(rejected, Rejected)
    assert (
        rejected.detail
        == "4 executions of queue default wait, and 4 may: submit again when some have run, or raise `queues.default.backlog`; "
        "`jobledger executions list --state waiting --state delayed` shows them"
    )
    assert world.when(submit(command_id="elsewhere", job_id="alone")) != []


def test_a_start_makes_room_and_an_attempt_that_comes_back_takes_it_again() -> None:
    world = Bounded()
    requests = world.when(*(submit(command_id=f"c{n}") for n in range(4)))
    first, second = (one.execution_id for one in requests[:2] if isinstance(one, Requested))
    token = world.partition.executions[first].token  # type: ignore[union-attr]  # it waits
    world.append_all(Started(first, 1, token, WorkerId("w")))  # type: ignore[arg-type]  # of a waiting one
    assert words(world.when(submit(command_id="c5"), submit(command_id="c6"))) == ["ok", "backlog_full"]
    world.append_all(Completed(first, 1))
    assert words(world.when(submit(command_id="c7"))) == ["backlog_full"]
    assert second in world.partition.executions


@pytest.mark.parametrize(("tenant", "most"), [("acme", 2), ("zoo", 3), ("internal", 4), (None, 4)])
def test_a_tenant_has_its_own_or_that_of_all_others_and_the_queue_s_besides(tenant: str | None, most: int) -> None:
    world = Bounded()
    assert words(world.when(*(submit(command_id=f"c{n}", tenant=tenant) for n in range(6)))).count("ok") == most


def test_what_is_delayed_or_in_line_counts_too() -> None:
    limits = BacklogLimits({"other": 3}, {})
    world = Bounded(limits)
    later = submit(command_id="c0", job_id="alone", delay_ms=60_000)
    now = [submit(command_id=f"c{n}", job_id="alone") for n in range(1, 5)]
    assert words(world.when(later, *now)) == ["ok", "ok", "ok", "backlog_full", "backlog_full"]


def test_each_partition_takes_an_equal_part_rounded_up() -> None:
    assert [part_of(most, 4) for most in (1, 4, 5, 1000)] == [1, 1, 2, 250]
    with pytest.raises(Refused, match=r"2 executions of queue default wait in this partition, and its part of 5 is 2"):
        BacklogLimits({"default": 5}, {}).check("default", None, lambda _: 2, 4)
    BacklogLimits({"default": 5}, {}).check("default", None, lambda _: 1, 4)


def test_a_new_owner_counts_the_same() -> None:
    world = Bounded()
    world.when(*(submit(command_id=f"c{n}", tenant="zoo") for n in range(3)))
    before = world.partition.backlogs
    world.begin()
    assert world.partition.backlogs == before == Backlogs({"queue:default": 3, "tenant:zoo": 3})
    world.partition.index()
    assert world.partition.backlogs == before


def test_a_repeat_is_answered_with_the_same_refusal_and_a_later_submit_of_the_same_key_is_decided_anew() -> None:
    world = Bounded(BacklogLimits({"default": 1}, {}))
    (first,) = world.when(submit(command_id="c0"))
    assert words(world.when(submit(answer="me"))) == ["backlog_full"]
    assert isinstance(first, Requested)
    world.append_all(Started(first.execution_id, 1, world.partition.executions[first.execution_id].token, WorkerId("w")))  # type: ignore[union-attr, arg-type]
    assert world.when(submit(answer="me")) == []
    assert [(answer.outcome, answer.reason) for answer in world.answers] == [("rejected", "backlog_full")]
    world.append_all(Completed(first.execution_id, 1), at=NOON + STANDS + 1)
    assert words(world.when(submit(command_id=ID), at=NOON + STANDS + 2)) == ["ok"]


def test_without_limits_nothing_is_counted() -> None:
    world = World()
    world.when(submit())
    assert world.partition.backlogs is None and world.draft().backlogs is None
    assert not BacklogLimits({}, {"internal": None}) and BacklogLimits({}, {"*": 1})
