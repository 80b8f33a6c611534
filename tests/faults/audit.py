"""Reads everything back and holds it against what must be true, whatever was killed meanwhile."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Set
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from ledger.core import execution, outcome, wire
from ledger.core.chain import Head
from ledger.core.ids import NOWHERE, Position
from ledger.kafka import verify
from ledger.kafka.connect import new_consumer
from ledger.kafka.log_reader import LogReader
from projections import verify as tables
from tests.faults.harness import Cluster
from tests.faults.load import Load
from tests.faults.probe import Line

TERMINAL: Final = (execution.Completed, execution.Failed, execution.Lost, execution.Missed)


@dataclass(slots=True)
class Audit:
    """What the log holds. `ran_twice`: execution -> how the journal's repeats are explained."""

    commits: int = 0
    voids: int = 0
    histories: dict[str, list[execution.Event]] = field(default_factory=lambda: defaultdict(list))
    outcomes: Counter[str] = field(default_factory=Counter)  # of a command: accepted or rejected
    keys: Counter[str] = field(default_factory=Counter)
    rejected: list[outcome.Rejected] = field(default_factory=list)
    dead_lettered: list[outcome.DeadLettered] = field(default_factory=list)
    forwarded: int = 0
    seqs: dict[tuple[str, int], int] = field(default_factory=dict)
    rows: int = 0
    last_at: int = 0  # the newest time of a decision
    lost_at: dict[tuple[str, int], int] = field(default_factory=dict)  # execution and attempt -> when that was decided
    ran_twice: dict[str, list[str]] = field(default_factory=dict)

    def count(self, kind: type[execution.Event]) -> int:
        return sum(isinstance(event, kind) for history in self.histories.values() for event in history)

    def __str__(self) -> str:
        why = Counter(reason for reasons in self.ran_twice.values() for reason in reasons)
        return (
            f"{len(self.histories)} executions, {self.commits} commits, {self.voids} voids, "
            f"{self.count(execution.AttemptLost)} attempts lost, {self.count(execution.HandedBack)} handed back, "
            f"{self.count(execution.ReportRefused)} reports refused, {len(self.ran_twice)} ran twice ({dict(why)})"
        )


async def audit(cluster: Cluster, load: Load | None = None, *, unfinished: Set[str] = frozenset()) -> Audit:
    """Waits until the tables are as far as the log; raises AssertionError with what is wrong. All but `unfinished` have to be terminal."""
    audited = Audit()
    for number in range(cluster.settings.partitions):
        await _read(cluster, number, audited)
    await _check_chain(cluster, audited)
    _check_lives(audited, unfinished)
    if load is not None:
        _check_load(load, audited)
    audited.ran_twice = _explained(cluster, audited)
    await _check_tables(cluster, audited)
    return audited


async def _read(cluster: Cluster, number: int, audited: Audit) -> None:
    head, position = Head("events", number), NOWHERE
    async with LogReader(cluster.settings, "events", number) as reader:
        bounds = await reader.bounds()
        async with aclosing(reader.commits(head, bounds.end)) as walk:
            async for walked in walk:
                for accepted in walked.commits:
                    position = _no_less(position, accepted.header.position, f"events[{number}] seq {accepted.header.seq}")
                    audited.seqs["events", number] = accepted.header.seq
                    audited.last_at = max(audited.last_at, accepted.header.at)
                    for event in accepted.commit().events:
                        _note(audited, event, accepted.header.at)


def _no_less(before: Position, now: Position, where: str) -> Position:
    assert now >= before, f"{where}: the position fell from {before} to {now}"
    return now


def _note(audited: Audit, event: wire.Event, at: int) -> None:
    match event:
        case execution.Requested():
            audited.histories[event.execution_id].append(event)
            if event.command_id is not None:
                audited.outcomes[event.command_id] += 1
            if event.idempotency_key is not None:
                audited.keys[event.idempotency_key] += 1
        case outcome.Rejected():
            audited.outcomes[event.command_id] += 1
            audited.rejected.append(event)
        case outcome.DeadLettered():
            audited.dead_lettered.append(event)
        case outcome.Forwarded():
            audited.forwarded += 1
        case _ if isinstance(event, execution.Event):
            audited.histories[event.execution_id].append(event)
            if isinstance(event, execution.AttemptLost):
                audited.lost_at[event.execution_id, event.attempt] = at


async def _check_chain(cluster: Cluster, audited: Audit) -> None:
    findings = await verify.verify(cluster.settings)
    broken = [f"{one.log}[{one.partition}] at {one.offset}: {one.broken}" for one in findings if one.broken is not None]
    assert not broken, broken
    audited.commits = sum(one.commits for one in findings)
    audited.voids = sum(one.voids for one in findings)
    for one in findings:
        audited.seqs[one.log, one.partition] = max(one.seq, audited.seqs.get((one.log, one.partition), 0))


def _check_lives(audited: Audit, unfinished: Set[str]) -> None:
    """Each command one outcome, each execution one end, tokens that rise."""
    twice = {command: times for command, times in audited.outcomes.items() if times != 1}
    assert not twice, f"commands with more than one outcome: {twice}"
    twice = {key: times for key, times in audited.keys.items() if times != 1}
    assert not twice, f"idempotency keys accepted more than once: {twice}"
    wrong = [
        f"{name}: {problem}" for name, history in audited.histories.items() for problem in _problems(history, int(name not in unfinished))
    ]
    assert not wrong, f"{len(wrong)} lives are wrong: {wrong[:10]}"


def _problems(history: list[execution.Event], wanted: int) -> Iterable[str]:
    facts = [event for event in history if not isinstance(event, execution.ReportRefused)]
    if not facts:  # a worker spoke for an execution that was never requested
        yield f"no request among {history}"
        return
    if [type(event) for event in facts].count(execution.Requested) != 1 or not isinstance(facts[0], execution.Requested):
        yield "not requested exactly once, first of all"
    ends = [event for event in facts if isinstance(event, TERMINAL)]
    if len(ends) != wanted or (ends and facts[-1] is not ends[0]):
        yield f"{len(ends)} ends, in {[type(event).__name__ for event in facts]}"
    tokens = [event.token for event in facts if isinstance(event, execution.Started)]
    if any(later <= earlier for earlier, later in pairwise(tokens)):
        yield f"tokens do not rise: {tokens}"


def _check_load(load: Load, audited: Audit) -> None:
    lost = load.executions - audited.histories.keys()
    assert not lost, f"{len(lost)} executions were accepted and are not in the log: {sorted(lost)[:5]}"
    lost = load.keys - audited.keys.keys()
    assert not lost, f"{len(lost)} keys were accepted and are not in the log: {sorted(lost)[:5]}"
    assert len(audited.histories) == load.count, f"{load.count} were submitted, {len(audited.histories)} are in the log"


def _explained(cluster: Cluster, audited: Audit) -> dict[str, list[str]]:
    """Why each execution that ran more than once did so. Raises for one that no kill, and nothing in its history, explains."""
    starts: dict[str, list[Line]] = defaultdict(list)
    for line in cluster.journal():
        if line.word == "start":
            starts[line.execution_id].append(line)
    strange = starts.keys() - audited.histories.keys()
    assert not strange, f"these ran and are not in the log: {sorted(strange)[:5]}"
    explained: dict[str, list[str]] = {}
    for name, lines in starts.items():
        if len(lines) > 1:
            explained[name] = [
                _why(cluster, audited.histories[name], line, lines[-1]) for line in sorted(lines, key=lambda one: one.at)[:-1]
            ]
    never = [
        name
        for name, history in audited.histories.items()
        if isinstance(history[0], execution.Requested)
        and any(isinstance(one, execution.Completed) for one in history)
        and name not in starts
    ]
    assert not never, f"these are completed and never ran: {never[:5]}"
    return explained


def _why(cluster: Cluster, history: list[execution.Event], line: Line, last: Line) -> str:
    """Why there was another start after this one."""
    for event in history:
        if isinstance(event, execution.AttemptFailed | execution.AttemptLost | execution.HandedBack) and event.attempt == line.attempt:
            return {execution.AttemptFailed: "failed", execution.AttemptLost: "lost"}.get(type(event), "handed back")
    if line.pid in cluster.processes.killed_pids:
        return "worker killed"
    if any(line.at - 1 < emptied for emptied in cluster.emptied):
        return "Redis emptied"
    raise AssertionError(f"{line.execution_id} ran again without a reason: {line}, then {last}, in its history {history}")


async def _check_tables(cluster: Cluster, audited: Audit) -> None:
    def caught_up() -> bool:
        here = cluster.positions()
        return all(here.get(place, 0) >= seq for place, seq in audited.seqs.items())

    await cluster.until(caught_up, "the tables are as far as the log")
    verified = tables.Verified()
    async with aclosing(tables.verify(cluster.settings, verified)) as differences:
        found = [str(difference) async for difference in differences]
    assert not found, f"{len(found)} differences between tables and log: {found[:5]}"
    audited.rows = sum(verified.rows.values())


@dataclass(frozen=True, slots=True)
class Letter:
    source: str
    reason: str
    raw: bytes


async def dead_letters(cluster: Cluster) -> list[Letter]:
    """What the topic holds."""
    from aiokafka import TopicPartition

    place = TopicPartition(cluster.settings.topic("dead-letters"), 0)
    consumer = new_consumer(cluster.settings.kafka.bootstrap)
    letters: list[Letter] = []
    await consumer.start()
    try:
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        consumer.seek(place, 0)
        while await consumer.position(place) < end:
            for record in (await consumer.getmany(place, timeout_ms=500)).get(place, ()):
                headers = dict(record.headers)
                letters.append(Letter(headers["source"].decode(), headers["reason"].decode(), record.value or b""))
    finally:
        await consumer.stop()
    return letters
