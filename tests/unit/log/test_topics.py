"""The topics as the architecture lists them, and how a difference is said."""

from collections.abc import Awaitable, Callable

import pytest

from ledger.config import Settings
from ledger.config.settings import Kafka, Queue
from ledger.core.refusal import Misconfigured
from ledger.kafka.connect import new_producer
from ledger.kafka.topic_admin import TopicSpec
from ledger.kafka.topics import LARGEST_BATCH, Difference, Plan, apply, plan, specs

DAY = 86_400_000
SETTINGS = Settings(
    prefix="p",
    partitions=3,
    queues={"default": Queue(partitions=4), "mail": Queue(partitions=2)},
    kafka=Kafka(replication=3, min_insync_replicas=2),
)


def test_every_topic_with_its_partitions_and_how_long_it_is_kept() -> None:
    table = {
        spec.name: (spec.partitions, spec.config["cleanup.policy"], int(spec.config.get("retention.ms", -1))) for spec in specs(SETTINGS)
    }
    assert table == {
        "p.registry-commands.v1": (1, "delete", 7 * DAY),
        "p.registry.v1": (1, "delete", -1),
        "p.commands.v1": (3, "delete", 7 * DAY),
        "p.events.v1": (3, "delete", -1),
        "p.work.default.v1": (4, "delete", DAY),
        "p.work.mail.v1": (2, "delete", DAY),
        "p.snapshots.v1": (4, "compact", -1),
        "p.dead-letters.v1": (1, "delete", 30 * DAY),
    }


@pytest.mark.parametrize("spec", specs(SETTINGS), ids=lambda spec: spec.name)
def test_every_topic_says_aloud_what_matters(spec: TopicSpec) -> None:
    assert spec.replication == 3
    assert spec.config["message.timestamp.type"] == "LogAppendTime"
    assert spec.config["compression.type"] == "producer"
    assert spec.config["min.insync.replicas"] == "2"
    assert spec.config["unclean.leader.election.enable"] == "false"
    assert spec.config.get("retention.bytes", "-1") == "-1"


async def test_what_the_producer_lets_through_fits_the_broker_with_room_for_headers() -> None:
    producer = new_producer("127.0.0.1:9")
    assert producer._max_request_size + 32 * 1024 < LARGEST_BATCH
    await producer.stop()


def test_every_difference_is_shown_with_both_values_and_what_to_do() -> None:
    plan = Plan(
        (),
        (),
        (
            Difference("p.events.v1", "partitions", "3", "4"),
            Difference("p.events.v1", "replication", "3", "1"),
            Difference("p.events.v1", "cleanup.policy", "delete", "compact"),
            Difference("p.work.mail.v1", "retention.ms", "86400000", "1000"),
        ),
    )
    with pytest.raises(Misconfigured) as refused:
        plan.refuse_differences()
    lines = str(refused.value).splitlines()[1:]
    assert "p.events.v1: partitions is 4, has to be 3; partitions are frozen" in lines[0]
    assert "p.events.v1: replication is 1, has to be 3; set kafka.replication" in lines[1]
    assert "p.events.v1: cleanup.policy is compact, has to be delete; what was stored meanwhile may be wrong or gone" in lines[2]
    assert "--entity-name p.work.mail.v1 --add-config retention.ms=86400000" in lines[3]


def test_a_plan_without_differences_refuses_nothing() -> None:
    Plan(tuple(specs(SETTINGS))).refuse_differences()


@pytest.mark.parametrize("act", [plan, apply])
async def test_more_replicas_in_sync_than_there_are_is_refused_before_anything_is_done(act: Callable[[Settings], Awaitable[Plan]]) -> None:
    with pytest.raises(Misconfigured, match=r"min_insync_replicas is 2, more than kafka\.replication 1"):
        await act(Settings(kafka=Kafka(bootstrap="127.0.0.1:9", min_insync_replicas=2)))
