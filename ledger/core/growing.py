"""A log decided again for more partitions: every event in the partition where its command would be decided there, under a higher epoch.

What belongs together (an execution, a job with a schedule, an exclusivity key) lived in one partition and lives in one again, so the order
of its events is kept; those of several partitions come in the order of their times. The tokens follow from the new places, and as the
epoch is higher, each is above all that were given before. Pure: the same log grows to the same bytes, so a half written one is continued.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from heapq import merge
from typing import Final

from msgspec import structs

from ledger.core import chain, execution, outcome, tick, wire
from ledger.core.chain import Head
from ledger.core.definition import Registry
from ledger.core.execution import Ended, State, Waiting
from ledger.core.homes import Homes, at_home
from ledger.core.ids import BEFORE_ALL, NOWHERE, Address, ExecutionId, Micros
from ledger.core.refusal import Refused
from ledger.core.wire import Commit, Event

LAST_EPOCH: Final = 63  # of a token that fits a signed 64-bit number
Engine = tuple[int, str | None]  # what a schedule was reckoned with


def grown_id(log_id: str, digests: Iterable[str], partitions: int) -> str:
    """The id of the log that this one, with these ends, grows to."""
    return blake2b("\0".join((log_id, str(partitions), *digests)).encode(), digest_size=16).hexdigest()


def next_epoch(epoch: int, former: int, partitions: int) -> int:
    """Raises `Refused` for what is no growth."""
    if partitions <= former:
        raise Refused("no_growth", f"the log has {former} partitions, and {partitions} are not more: a log only grows")
    if epoch >= LAST_EPOCH:
        raise Refused("no_growth", f"the log has epoch {epoch}, and tokens have room for {LAST_EPOCH}")
    return epoch + 1


class Chain:
    """Writes a partition of the grown log."""

    def __init__(self, log: str, partition: int, opened: outcome.Opened) -> None:
        self.head = Head(log, partition)
        self.opening = self.commit(0, None, [opened])

    @property
    def seq(self) -> int:
        """Of the next commit."""
        return self.head.seq + 1

    def commit(self, at: int, registry: Address | None, events: Iterable[Event]) -> bytes:
        """No position: the commands that the former log decided are not in this one's topics."""
        head = self.head
        known = max(registry or BEFORE_ALL, head.registry or BEFORE_ALL)
        named = known if known > BEFORE_ALL else None
        commit = Commit(
            chain.COMMIT_VERSION, head.log, head.partition, self.seq, head.digest, max(at, head.at), NOWHERE, named, tuple(events)
        )
        record = wire.encode(commit)
        self.head = chain.after(head, commit, chain.digest(record), head.next_offset)
        return record


def registry(commits: Iterable[Commit], opened: outcome.Opened) -> Iterator[bytes]:
    """The registry is the same, but for which log it is: its addresses stay."""
    grown = Chain("registry", 0, opened)
    yield grown.opening
    for commit in commits:
        if commit.seq > 1:
            yield grown.commit(commit.at, commit.registry, commit.events)


class Growth:
    """`known`: all that the registry says."""

    def __init__(self, known: Registry, opened: outcome.Opened) -> None:
        self._epoch = opened.epoch
        self._homes = Homes(known, opened.partitions)
        self._chains = [Chain("events", number, opened) for number in range(opened.partitions)]
        self._live: dict[ExecutionId, State] = {}
        self._engines: dict[Engine, None] = {}  # the last one used last

    def records(self, partitions: Mapping[int, Iterable[Commit]]) -> Iterator[tuple[int, bytes]]:
        """Partition and bytes of each commit of the grown log, from the commits of the former one's partitions."""
        yield from ((number, one.opening) for number, one in enumerate(self._chains))
        for _, former, _, commit in merge(*(_timed(number, commits) for number, commits in partitions.items())):
            yield from self._decide(former, commit)
        yield from self._reckon_anew()

    def _decide(self, former: int, commit: Commit) -> Iterator[tuple[int, bytes]]:
        parts: dict[int, list[Event]] = {}
        self._homes.expect(commit.events, former)
        for event in commit.events:
            home = self._homes.of(event, former)
            if isinstance(event, tick.Rezoned):
                self._rezone(event, parts)
            elif home is not None:
                part = parts.setdefault(home, [])
                address = Address(self._chains[home].seq, len(part))
                part.append(self._granted(at_home(event, self._homes, former), address, Micros(commit.at)))
        for home, events in parts.items():
            yield home, self._chains[home].commit(commit.at, commit.registry, events)

    def _granted(self, event: Event, address: Address, at: Micros) -> Event:
        """A start holds the token that was granted in this log."""
        if isinstance(event, tick.Adopted):
            self._use(event.engine, event.tzdata)
        if not isinstance(event, execution.Event):
            return event
        before = self._live.get(event.execution_id)
        if isinstance(event, execution.Started) and isinstance(before, Waiting):
            event = structs.replace(event, token=before.token)
        after = execution.evolve(before, event, self._epoch, address, at)
        if isinstance(after, Ended):
            del self._live[event.execution_id]
        elif after is not None:
            self._live[event.execution_id] = after
        return event

    def _rezone(self, event: tick.Rezoned, parts: dict[int, list[Event]]) -> None:
        """Other owners had other zone data: every partition reckons anew."""
        self._use(event.engine, event.tzdata)
        for number in range(len(self._chains)):
            parts.setdefault(number, []).append(event)

    def _use(self, engine: int, tzdata: str | None) -> None:
        self._engines.pop((engine, tzdata), None)
        self._engines[engine, tzdata] = None

    def _reckon_anew(self) -> Iterator[tuple[int, bytes]]:
        """Schedules that were reckoned with different zone data may have come together: what each expects next is not to be relied on."""
        if len(self._engines) < 2:
            return
        last = list(self._engines)[-1]
        for number, grown in enumerate(self._chains):
            yield number, grown.commit(grown.head.at, grown.head.registry, [tick.Rezoned(*last, *last)])


def _timed(number: int, commits: Iterable[Commit]) -> Iterator[tuple[int, int, int, Commit]]:
    """What puts the commits of several partitions in one order."""
    for commit in commits:
        yield commit.at, number, commit.seq, commit
