"""The audit: the chain, what the events say of each other, and the tables against the log. Reads all of both logs; changes nothing."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from ledger.config import Settings
from ledger.core import definition
from ledger.core.auditing import MOST_NAMED, Check, PartitionAudit, Totals
from ledger.core.chain import Head
from ledger.core.definition import Registry
from ledger.core.ids import Micros
from ledger.core.stretches import Moved, moves_of
from ledger.core.wire import Commit
from ledger.kafka import verify as chain_verify
from ledger.kafka.log_reader import LogReader
from ledger.kafka.opening import check_identity
from projections import verify as tables_verify
from projections.heads import heads_of_tables

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Audited:
    """One check. `figures` add up where `differences` is 0; `named`: the first differences in words."""

    check: str
    differences: int
    figures: dict[str, int]
    named: tuple[str, ...] = ()


async def audit(settings: Settings, report: Report = lambda phase: None) -> list[Audited]:
    """Every check, in the order in which one rests on the other: where the chain is broken, what stands behind is not looked at.
    Raises `Conflict`, `Unavailable`, `Misconfigured`."""
    report("chain")
    findings = await chain_verify.verify(settings, heads=await heads_of_tables(settings))
    broken = [f"{one.log}[{one.partition}] at offset {one.offset}: {one.broken}" for one in findings if one.broken is not None]
    figures = {name: sum(getattr(one, name) for one in findings) for name in ("commits", "events", "voids")}
    chain = Audited("chain", len(broken), figures, tuple(broken[:MOST_NAMED]))
    if broken:
        return [chain]
    report("events")
    totals = await _events(settings)
    report("tables")
    return [chain, *_told(totals), await _tables(settings)]


async def _events(settings: Settings) -> Totals:
    """The registry is read last and first: first for what the events rest on, and they name no place of it that is not there."""
    identity = await check_identity(settings)
    ends = [await _end(settings, "events", number) for number in range(identity.partitions)]
    registry, moves, totals = Registry(), dict[str, list[Moved]](), Totals()
    async for commit in _commits(settings, "registry", 0, await _end(settings, "registry", 0)):
        for event in commit.events:
            if isinstance(event, definition.Event):
                definition.evolve(registry, event, Micros(commit.at))
                for job_id, moved in moves_of(event, commit.seq, commit.at):
                    moves.setdefault(job_id, []).append(moved)
    for number, end in enumerate(ends):
        partition = PartitionAudit(number, identity.epoch, registry, moves, totals)
        async for commit in _commits(settings, "events", number, end):
            partition.feed(commit, commit.events)
        partition.end()
    totals.count_forwards()
    return totals


async def _end(settings: Settings, log: str, partition: int) -> int:
    async with LogReader(settings, log, partition) as reader:
        return (await reader.bounds()).end


async def _commits(settings: Settings, log: str, partition: int, end: int) -> AsyncIterator[Commit]:
    async with LogReader(settings, log, partition) as reader, aclosing(reader.commits(Head(log, partition), end)) as walk:
        async for walked in walk:
            for accepted in walked.commits:
                yield accepted.commit()


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
        found.append(Audited(check, max(totals.found[check], len(named)), {name: figures[name] for name in names}, tuple(named)))
    return found


def _sum(figures: "dict[str, int]", whole: str, *parts: str) -> bool:
    return figures[whole] == sum(figures[part] for part in parts)


async def _tables(settings: Settings) -> Audited:
    verified, named = tables_verify.Verified(), list[str]()
    async with aclosing(tables_verify.verify(settings, verified)) as differences:
        async for one in differences:
            if len(named) < MOST_NAMED:
                named.append(str(one))
    return Audited("tables", verified.differences, {"rows": sum(verified.rows.values()), "commits": verified.commits}, tuple(named))
