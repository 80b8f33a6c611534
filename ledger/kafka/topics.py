"""The topics: what each has to be, what the broker has, and the difference.

They are created here, before Faust starts, with every setting that matters said aloud; a topic that differs is never altered by us, as what
was stored under another setting (timestamps, what retention took) does not come back. Source: architecture.md, section 3.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ledger.config import Settings
from ledger.core.refusal import Misconfigured, Unavailable
from ledger.core.wire import LARGEST_RECORD
from ledger.kafka.topic_admin import FoundTopic, TopicAdmin, TopicSpec

DEADLINE: Final = 15.0  # seconds for the whole of `apply`; a created topic is usually seen at once
MIB: Final = 1024 * 1024
DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
FOR_EVER: Final = -1
# Above what our producer lets through (connect.py), with room for the batch's own bytes and for a body that grows when compressed: a
# record that the producer takes and the broker refuses would poison the producer's partition.
LARGEST_BATCH: Final = LARGEST_RECORD + 128 * 1024


@dataclass(frozen=True, slots=True)
class Difference:
    topic: str
    setting: str
    wanted: str
    found: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What `apply` would do: create the `missing`; with a difference it does nothing."""

    specs: tuple[TopicSpec, ...]
    missing: tuple[TopicSpec, ...] = ()
    differences: tuple[Difference, ...] = ()

    def refuse_differences(self) -> None:
        """Raises `Misconfigured` with every difference."""
        if not self.differences:
            return
        lines = [f"  {one.topic}: {one.setting} is {one.found}, has to be {one.wanted}; {_remedy(one)}" for one in self.differences]
        raise Misconfigured("topics differ from what jobledger needs, so nothing was done:\n" + "\n".join(lines))


def specs(settings: Settings) -> list[TopicSpec]:
    """Every topic of these settings."""
    n = settings.partitions
    commands = _kept(7 * DAY_MS, segment_bytes=256 * MIB, segment_ms=DAY_MS)
    log = _kept(FOR_EVER, segment_bytes=512 * MIB, segment_ms=30 * DAY_MS)
    work = _kept(DAY_MS, segment_bytes=128 * MIB, segment_ms=6 * HOUR_MS)
    letters = _kept(30 * DAY_MS, segment_bytes=64 * MIB, segment_ms=DAY_MS)
    # Short segments, as compaction leaves the segment that is written to alone.
    snapshots = {
        "cleanup.policy": "compact",
        "segment.bytes": str(64 * MIB),
        "segment.ms": str(HOUR_MS),
        "delete.retention.ms": str(DAY_MS),
    }
    return [
        _spec(settings, "registry-commands", 1, commands),
        _spec(settings, "registry", 1, log),
        _spec(settings, "commands", n, commands),
        _spec(settings, "events", n, log),
        *(_spec(settings, f"work.{name}", queue.partitions, work) for name, queue in sorted(settings.queues.items())),
        _spec(settings, "snapshots", n + 1, snapshots),
        _spec(settings, "dead-letters", 1, letters),
    ]


def _kept(retention_ms: int, *, segment_bytes: int, segment_ms: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_ms),
        "retention.bytes": str(FOR_EVER),
        "segment.bytes": str(segment_bytes),
        "segment.ms": str(segment_ms),
    }


def _spec(settings: Settings, name: str, partitions: int, config: Mapping[str, str]) -> TopicSpec:
    everywhere = {
        "message.timestamp.type": "LogAppendTime",  # the broker's clock is the time of the system
        "compression.type": "producer",
        "max.message.bytes": str(LARGEST_BATCH),
        "min.insync.replicas": str(settings.kafka.min_insync_replicas),
        "unclean.leader.election.enable": "false",  # an elected laggard would drop acknowledged commits
    }
    return TopicSpec(settings.topic(name), partitions, settings.kafka.replication, {**everywhere, **config})


async def plan(settings: Settings) -> Plan:
    """Compare, and change nothing. Raises `Misconfigured` for settings that `apply` could not carry out, `Unavailable`."""
    _check_replication(settings)
    deadline = time.monotonic() + DEADLINE
    async with TopicAdmin(settings.kafka.bootstrap) as admin:
        found = await _compare(admin, tuple(specs(settings)), deadline)
        if not found.differences:  # with any `apply` would not come so far
            await admin.create(found.missing, deadline, only_ask=True)
        return found


async def apply(settings: Settings) -> Plan:
    """Create what is missing and wait until it can be used; the plan that was carried out. Several may do this at the same time.

    Raises `Misconfigured` with every difference, before anything is created; `Unavailable`.
    """
    _check_replication(settings)
    deadline = time.monotonic() + DEADLINE
    async with TopicAdmin(settings.kafka.bootstrap) as admin:
        found = await _compare(admin, tuple(specs(settings)), deadline)
        found.refuse_differences()
        if found.missing:
            await admin.create(found.missing, deadline)
            (await _compare(admin, found.specs, deadline, all_of_them=True)).refuse_differences()  # somebody else may have created them
        return found


def _check_replication(settings: Settings) -> None:
    kafka = settings.kafka
    if kafka.min_insync_replicas > kafka.replication:
        raise Misconfigured(
            f"kafka.min_insync_replicas is {kafka.min_insync_replicas}, more than kafka.replication {kafka.replication}: "
            "nothing could ever be written; lower the first or raise the second"
        )


async def _compare(admin: TopicAdmin, wanted: tuple[TopicSpec, ...], deadline: float, *, all_of_them: bool = False) -> Plan:
    """Metadata spreads over the brokers with a delay: look again until all that is there has leaders and a configuration."""
    while True:
        found = await admin.look({spec.name for spec in wanted})
        waiting = [
            spec.name
            for spec in wanted
            if (all_of_them if (one := found.get(spec.name)) is None else not one.has_leaders or not one.config)
        ]
        if not waiting:
            break
        if time.monotonic() > deadline:
            raise Unavailable(
                f"no leader for {', '.join(waiting)} within {DEADLINE:g} s: see whether all brokers are up, then run it again"
            )
        await asyncio.sleep(0.05)
    missing = tuple(spec for spec in wanted if spec.name not in found)
    differences = [one for spec in wanted if spec.name in found for one in _differences(spec, found[spec.name])]
    return Plan(wanted, missing, tuple(differences))


def _differences(spec: TopicSpec, found: FoundTopic) -> list[Difference]:
    pairs = [("partitions", str(spec.partitions), str(found.partitions))]
    pairs += [("replication", str(spec.replication), str(count)) for count in sorted(found.replication)]
    pairs += [(name, value, found.config.get(name, "not there")) for name, value in spec.config.items()]
    return [Difference(spec.name, setting, wanted, is_there) for setting, wanted, is_there in pairs if wanted != is_there]


def _remedy(difference: Difference) -> str:
    match difference.setting:
        case "partitions":
            return "partitions are frozen: set `partitions` (or the queue's) to what is there, or another `prefix` for a new log"
        case "replication":
            return "set kafka.replication, or move the replicas with `kafka-reassign-partitions.sh`"
        case "message.timestamp.type" | "cleanup.policy":
            return f"what was stored meanwhile may be wrong or gone: set another `prefix`, or, if the topic is empty, {_alter(difference)}"
        case _:
            return _alter(difference)


def _alter(difference: Difference) -> str:
    change = f"{difference.setting}={difference.wanted}"
    return f"`kafka-configs.sh --alter --entity-type topics --entity-name {difference.topic} --add-config {change}`"
