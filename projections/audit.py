"""The audit: the chain, what the events say of each other, and the tables against the log. Reads both logs, all
of them or what came since the last audit; changes nothing."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from msgspec import structs
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.config import Settings
from ledger.core import definition
from ledger.core.audit_saved import SAVED_VERSION, SavedAudit, SavedPartition, SavedTables
from ledger.core.audit_totals import MOST_NAMED, Check, Totals
from ledger.core.auditing import UNJUDGED, PartitionAudit
from ledger.core.chain import Head, digest
from ledger.core.definition import Registry
from ledger.core.ids import Micros
from ledger.core.stretches import Moved, moves_of
from ledger.kafka import verify as chain_verify
from ledger.kafka.log_reader import AcceptedCommit, LogReader
from ledger.kafka.opening import LogIdentity, check_identity
from projections import verify as tables_verify
from projections.base import saved_of, stored_base
from projections.builtin import TABLES
from projections.differences import Difference
from projections.heads import heads_of_tables
from projections.patches import Source
from projections.tail import Reached
from projections.touched import compare_touched

Report = Callable[[str], None]
CHAIN: Final = ("commits", "events", "voids")


@dataclass(frozen=True, slots=True)
class Audited:
    """One check. `figures` add up where `differences` is 0; `named`: the first differences in words. `partly`: not all that is there was
    looked at, only what came since the last audit."""

    check: str
    differences: int
    figures: dict[str, int]
    named: tuple[str, ...] = ()
    partly: bool = False


@dataclass(frozen=True, slots=True)
class Audit:
    """`saved`: to go on from; None where something does not add up, so that it is found again."""

    checks: list[Audited]
    saved: SavedAudit | None


async def audit(settings: Settings, report: Report = lambda phase: None, since: SavedAudit | None = None) -> Audit:
    """Every check, in the order in which one rests on the other: where the chain is broken, what stands behind is not looked at. `since`:
    an audit to go on from, if it fits the log; then of the tables those rows are compared that were touched since. Raises `Conflict`,
    `Unavailable`, `Misconfigured`."""
    identity = await check_identity(settings)
    if since is not None and not await _fits(settings, identity, since):
        report("from the first commit: the last audit was of another log, or of what is not there any more")
        since = None
    before = None if since is None else since.tables
    report("chain")
    heads = await heads_of_tables(settings)
    findings = await chain_verify.verify(settings, heads=heads) if since is None else await _walked_on(settings, since, heads)
    broken = [f"{one.log}[{one.partition}] at offset {one.offset}: {one.broken}" for one in findings if one.broken is not None]
    counted = {name: sum(getattr(one, name) for one in findings if one.log == "events") for name in CHAIN}
    figures = {name: counted[name] + sum(getattr(one, name) for one in findings if one.log == "registry") for name in CHAIN}
    chain = Audited("chain", len(broken), figures, tuple(broken[:MOST_NAMED]))
    if broken:
        return Audit([chain], None)
    report("events")
    ends: dict[tuple[str, int], int] = {(one.log, one.partition): one.next_offset for one in findings}
    totals, stand = await _events(settings, identity, since, ends)
    report("tables")
    tables, compared = await (_tables(settings) if before is None else _touched(settings, before))
    checks = [chain, *_told(totals), tables]
    if any(one.differences for one in checks):
        return Audit(checks, None)
    return Audit(checks, structs.replace(totals.saved(identity.log_id, counted, stand), tables=compared))


async def _fits(settings: Settings, identity: LogIdentity, since: SavedAudit) -> bool:
    """The commits that were audited last are there, the very bytes, and the tables are those that were compared."""
    tables = since.tables
    if (since.v, since.log_id, len(since.partitions)) != (SAVED_VERSION, identity.log_id, identity.partitions):
        return False
    if tables is None or (tables.schema, tables.version) != (settings.database.table_schema, TABLES.version):
        return False
    for head, offset in [*((one.head, one.offset) for one in since.partitions), *((one.head, one.offset) for one in tables.partitions)]:
        async with LogReader(settings, head.log, head.partition) as reader:
            record = await reader.at(offset)
        if record is None or digest(record.value or b"") != head.digest:
            return False
    return True


async def _walked_on(settings: Settings, since: SavedAudit, heads: chain_verify.Heads) -> list[chain_verify.Finding]:
    """The chain of events behind what was audited, with what was counted before; the registry whole: it is small, and all rests on it."""
    findings: list[chain_verify.Finding] = []
    for one in since.partitions:
        head, partition = one.head, one.head.partition
        finding = chain_verify.Finding(
            "events", partition, seq=head.seq, digest=head.digest, next_offset=one.offset + 1, log_id=since.log_id
        )
        end, vouched = await _end(settings, "events", partition), heads.get(("events", partition))
        async with (
            LogReader(settings, "events", partition) as reader,
            aclosing(chain_verify.walk_on(reader, finding, head, end, vouched)) as steps,
        ):
            async for _ in steps:
                pass
        findings.append(finding)
    for name in CHAIN:
        setattr(findings[0], name, getattr(findings[0], name) + since.chain.get(name, 0))
    findings += await chain_verify.verify(settings, "registry", heads=heads)
    chain_verify.compare(findings)
    return findings


async def _events(
    settings: Settings, identity: LogIdentity, since: SavedAudit | None, ends: Mapping[tuple[str, int], int]
) -> tuple[Totals, list[SavedPartition]]:
    """As far as the chain was walked. The registry was walked last, so the events name no place of it that is not there."""
    registry, moves = Registry(), dict[str, list[Moved]]()
    async for accepted, _ in _commits(settings, Head("registry", 0), ends["registry", 0]):
        commit = accepted.commit()
        for event in commit.events:
            if isinstance(event, definition.Event):
                definition.evolve(registry, event, Micros(commit.at))
                for job_id, moved in moves_of(event, commit.seq, commit.at):
                    moves.setdefault(job_id, []).append(moved)
    totals = Totals() if since is None else Totals.going_on(since)
    stand: list[SavedPartition] = []
    window = round(settings.limits.deduplication_window * 1_000_000)
    for number in range(identity.partitions):
        partition = PartitionAudit(number, identity.epoch, registry, moves, totals, window)
        head, offset = Head("events", number), -1
        if since is not None:
            partition.go_on(since.partitions[number])
            head, offset = since.partitions[number].head, since.partitions[number].offset
        stands = head
        async for accepted, after in _commits(settings, head, ends["events", number]):
            stands, offset = after, accepted.offset
            partition.feed(accepted.header, accepted.commit().events)
        stand.append(partition.saved(stands, offset))
        partition.end()
    totals.count_forwards()
    return totals, stand


async def _end(settings: Settings, log: str, partition: int) -> int:
    async with LogReader(settings, log, partition) as reader:
        return (await reader.bounds()).end


async def _commits(settings: Settings, head: Head, end: int) -> AsyncIterator[tuple[AcceptedCommit, Head]]:
    """Those behind `head`, each with the head after its batch."""
    if head.next_offset >= end:
        return
    async with LogReader(settings, head.log, head.partition) as reader, aclosing(reader.commits(head, end)) as walk:
        async for walked in walk:
            for accepted in walked.commits:
                yield accepted, walked.head


def _told(totals: Totals) -> list[Audited]:
    """With the sums checked too: a difference that no event shows would show there."""
    figures = totals.figures
    sums: tuple[tuple[Check, tuple[str, ...], bool], ...] = (
        ("commands", ("submits", "acts", "rejected", "forwarded", "under way", "dead letters"), True),
        ("ticks", ("expected", "fired", "skipped", "missed"), _sum(figures, "expected", "fired", "skipped", "missed")),
        ("executions", ("executions", "terminal", "live"), _sum(figures, "executions", "terminal", "live")),
        ("attempts", ("started", "attempts ended", "running"), _sum(figures, "started", "attempts ended", "running")),
    )
    found: list[Audited] = []
    for check, names, adds_up in sums:
        named = [f"{one.where}: {one.what}" for one in totals.differences if one.check == check]
        if not adds_up and not named:
            named = [f"{names[0]} is not the sum of {' and '.join(names[1:])}"]
        shown = (*names, UNJUDGED) if check == "ticks" and figures[UNJUDGED] else names
        found.append(Audited(check, max(totals.found[check], len(named)), {name: figures[name] for name in shown}, tuple(named)))
    return found


def _sum(figures: "dict[str, int]", whole: str, *parts: str) -> bool:
    return figures[whole] == sum(figures[part] for part in parts)


async def _tables(settings: Settings) -> tuple[Audited, SavedTables]:
    """Every row; and what another audit may go on from."""
    schema, verified, named = settings.database.table_schema, tables_verify.Verified(), list[str]()
    saved = SavedTables(schema, TABLES.version, [])

    def keep(connection: Connection[TupleRow], reached: Mapping[Source, Reached]) -> None:
        saved.partitions.extend(saved_of(stored_base(connection, schema, *one)) for one in reached.items())

    async with aclosing(tables_verify.verify(settings, verified, at_end=keep)) as differences:
        async for one in differences:
            if len(named) < MOST_NAMED:
                named.append(str(one))
    figures = {"rows": sum(verified.rows.values()), "commits": verified.commits}
    return Audited("tables", verified.differences, figures, tuple(named)), saved


async def _touched(settings: Settings, before: SavedTables) -> tuple[Audited, SavedTables]:
    """The rows that were touched since; and the same."""
    named, found = list[str](), Counter[str]()

    def told(one: Difference) -> None:
        found[one.table] += 1
        if len(named) < MOST_NAMED:
            named.append(str(one))

    touched = await compare_touched(settings, before, told)
    figures = {"rows": touched.rows, "commits": touched.commits} | ({"partitions behind": touched.behind} if touched.behind else {})
    return Audited("tables", found.total(), figures, tuple(named), partly=True), touched.saved
