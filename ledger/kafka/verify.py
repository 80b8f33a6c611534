"""Walks the chain of every partition, from its first record to its present end, and says what is there and what does not fit.

What a chain cannot show by itself is a change at its very end: nothing follows that would miss it. The events vouch for the registry, as
each commit names the registry position it was decided with; the tables vouch for both, as their positions hold the digest of the commit
that they were folded to.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from ledger.config import Settings
from ledger.core import chain, outcome
from ledger.core.chain import Head
from ledger.core.ids import BEFORE_ALL, Address
from ledger.core.refusal import ChainBroken, Conflict, Undecodable
from ledger.kafka.blame import Surroundings, Vouched, blame, is_next
from ledger.kafka.log_reader import AcceptedCommit, LogReader, Record, Walked, walk
from ledger.kafka.opening import require_topics

LogName = Literal["events", "registry"]
Progress = Callable[[int, int], None]  # records walked so far, and those that there are
Heads = Mapping[tuple[str, int], Vouched]  # what is remembered of a partition outside of the log
NOTHING: Final[Heads] = MappingProxyType({})


@dataclass(slots=True)
class Finding:
    """What the walk of a partition found. `offset` and `broken` say where it stopped and why; both are None where all is well."""

    log: LogName
    partition: int
    commits: int = 0
    events: int = 0
    voids: int = 0
    seq: int = 0
    digest: str = chain.GENESIS
    next_offset: int = 0
    log_id: str | None = None
    registry: Address = BEFORE_ALL  # the last registry position that a commit names
    vouched: int | None = None  # the commit that the tables stand at, and that is the one they were folded from
    offset: int | None = None
    broken: str | None = None

    def stop(self, offset: int, why: str) -> None:
        self.offset, self.broken = offset, why


async def verify(
    settings: Settings,
    log: LogName | None = None,
    partition: int | None = None,
    progress: Progress | None = None,
    heads: Heads = NOTHING,
) -> list[Finding]:
    """Walk both logs, one log or one partition, and compare with `heads`, those that are of this log. What does not fit is in the findings.
    Raises `Unavailable`, `Misconfigured`."""
    await require_topics(settings)
    places: list[tuple[LogName, int]] = [("events", number) for number in range(settings.partitions)]
    places.append(("registry", 0))  # last: its end is then never behind what the events name
    ends = {place: await _end(settings, *place) for place in places if log in (None, place[0]) and partition in (None, place[1])}
    total = sum(ends.values())
    findings: list[Finding] = []
    done = 0
    for (log_name, number), end in ends.items():
        finding = Finding(log_name, number)
        findings.append(finding)
        async with (
            LogReader(settings, log_name, number) as reader,
            aclosing(walk_on(reader, finding, Head(log_name, number), end, heads.get((log_name, number)))) as steps,
        ):
            async for records in steps:
                done += records
                if progress is not None:
                    progress(done, total)
    compare(findings)
    return findings


async def _end(settings: Settings, log: str, partition: int) -> int:
    async with LogReader(settings, log, partition) as reader:
        return (await reader.bounds()).end


async def walk_on(reader: LogReader, finding: Finding, head: Head, end: int, vouched: Vouched | None) -> AsyncGenerator[int, None]:
    """Walk what stands in a partition behind `head` into `finding`; yields how many records each step took."""
    try:
        async with aclosing(_walk(reader, finding, head, end, vouched)) as steps:
            async for records in steps:
                yield records
    except ChainBroken as error:
        finding.stop(error.offset, error.detail)
    except Conflict as error:
        finding.stop(head.next_offset, str(error))
    if finding.broken is None and finding.seq == 0:
        finding.stop(0, "it holds no commit, not even its opening: run `jobledger topics apply`, or see whether the topic was made anew")
    miss_end(finding, vouched)


async def _walk(reader: LogReader, finding: Finding, head: Head, end: int, vouched: Vouched | None) -> AsyncGenerator[int, None]:
    last: AcceptedCommit | None = None
    async with aclosing(reader.batches(head.next_offset, end)) as batches:
        async for batch in batches:
            walked = walk(head, batch.records)
            take(finding, walked, vouched)
            yield len(batch.records)
            if finding.broken is not None:
                return
            head, last = walked.head, walked.commits[-1] if walked.commits else last
            if walked.broken is not None:
                finding.stop(*blame(walked.broken, await _around(reader, walked.broken.offset, last), vouched))
                return


async def _around(reader: LogReader, offset: int, last: AcceptedCommit | None) -> Surroundings:
    voids: list[Record] = []
    for place in range(offset if last is None else last.offset + 1, offset):
        if (void := await reader.at(place)) is not None:
            voids.append(void)
    here = await reader.at(offset)
    return Surroundings(last, voids, here, await _next(reader, here))


async def _next(reader: LogReader, here: Record | None) -> Record | None:
    if here is None:
        return None
    end = (await reader.bounds()).end
    async with aclosing(reader.batches(here.offset + 1, end)) as batches:
        async for batch in batches:
            for record in batch.records:
                if is_next(here, record):
                    return record
    return None


def take(finding: Finding, walked: Walked, vouched: Vouched | None = None) -> None:
    """Count what was walked, and look into it as every fold has to."""
    finding.voids += len(walked.voids)
    for accepted in walked.commits:
        try:
            events = accepted.commit().events
        except Undecodable as error:
            finding.stop(accepted.offset, str(error))
            return
        opened = [one for one in events if isinstance(one, outcome.Opened)]
        if (accepted.header.seq == 1) != bool(opened) or opened != list(events[: len(opened)]) or len(opened) > 1:
            finding.stop(
                accepted.offset, f"seq {accepted.header.seq} holds {len(opened)} openings: the first commit begins with one, no other may"
            )
            return
        finding.log_id = opened[0].log_id if opened else finding.log_id
        if vouched is not None and _is_of(finding, vouched) and vouched.seq == accepted.header.seq:
            if vouched.digest != accepted.digest:
                finding.stop(accepted.offset, _replaced(accepted, vouched))
                return
            finding.vouched = vouched.seq
        finding.commits += 1
        finding.events += len(events)
        finding.seq, finding.digest, finding.next_offset = accepted.header.seq, accepted.digest, accepted.offset + 1
        finding.registry = accepted.header.registry or finding.registry


def _is_of(finding: Finding, vouched: Vouched) -> bool:
    """Tables of another log vouch for nothing here."""
    return vouched.log_id == finding.log_id


def strangers(findings: Sequence[Finding], heads: Heads) -> str | None:
    """The log of the tables, where it is another than that of every partition that was walked and has a head: nobody vouches for those."""
    pairs = [(one, heads[one.log, one.partition]) for one in findings if one.log_id is not None and (one.log, one.partition) in heads]
    return pairs[0][1].log_id if pairs and not any(_is_of(*pair) for pair in pairs) else None


def _replaced(accepted: AcceptedCommit, vouched: Vouched) -> str:
    return (
        f"seq {vouched.seq} has digest {accepted.digest}, but the tables were folded from a seq {vouched.seq} with digest "
        f"{vouched.digest}: it was altered or replaced"
    )


def miss_end(finding: Finding, vouched: Vouched | None) -> None:
    """Once all was walked: what the tables hold is there."""
    if vouched is not None and finding.broken is None and _is_of(finding, vouched) and vouched.seq > finding.seq:
        finding.stop(
            finding.next_offset,
            f"it ends at seq {finding.seq}, but the tables were folded up to seq {vouched.seq}, digest {vouched.digest}: its end is gone",
        )


def compare(findings: Sequence[Finding]) -> None:
    """What the partitions say of each other. Only where both logs were walked."""
    registry = next((one for one in findings if one.log == "registry"), None)
    if registry is None:
        return
    for one in findings:
        if one.broken is None and one.log_id != registry.log_id and registry.log_id is not None:
            one.stop(0, f"it belongs to log {one.log_id}, the registry to {registry.log_id}: one of the topics was made anew")
        if registry.broken is None and one.registry.seq > registry.seq:
            registry.stop(
                registry.next_offset,
                f"it ends at seq {registry.seq}, but {one.log}[{one.partition}] was decided with seq {one.registry.seq}: its end is gone",
            )
