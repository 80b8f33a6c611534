"""The actor of one partition: the shell around its `Writer`. It appends, learns what became of it, and lets consequences follow.

Points of architecture.md, section 5: positions come from the log (1), delivery is a hint (2), group commit with pacing (3), unknown
outcomes (4), consequences from the folded state alone (4), dead letters before the position moves (10).
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import count
from typing import Generic, TypeVar

import structlog

from ledger.core import wire
from ledger.core.draft import Draft
from ledger.core.fold import LogFold
from ledger.core.ids import Micros
from ledger.core.refusal import ChainBroken, Conflict, Undecodable
from ledger.core.writer import Writer
from ledger.crashpoints import crash_point
from ledger.spread import spread
from processors.control import answers, log_access
from processors.control.answers import Told
from processors.control.appender import Appended, Appender
from processors.control.edges import Edges
from processors.control.pacing import Pacing
from processors.control.seeking import Seeking
from processors.crash import crash
from processors.seam import Record

log = structlog.get_logger(__name__)

IDLE_COMMIT = 60.0  # seconds; the ack of an empty commit is the time

F = TypeVar("F", bound=LogFold)


class Actor(ABC, Generic[F]):
    """Owns its producer. `commands` is the topic it takes commands from; partition `number` of it."""

    def __init__(self, edges: Edges, fold: F, commands: str) -> None:
        self.edges = edges
        self.fold = fold
        self.number = fold.head.partition
        self.commands = edges.settings.topic(commands)
        self.topic = edges.settings.topic(fold.head.log)
        self.writer = Writer(fold)
        self.ready = False
        self.stopped: str | None = None  # why, if somebody has to repair the log first
        self.progress_at = time.monotonic()
        self._appender = Appender(edges.settings)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._seeking = Seeking(edges, commands, self.number, self.writer)
        self._pacing = Pacing(edges.settings.limits.pace)
        self._committed_at = 0.0

    # What others call; none of it waits

    def start(self) -> None:
        self._task = asyncio.create_task(self._live(), name=f"actor {self.topic}[{self.number}]")

    async def end(self) -> None:
        """Stop at once. What was taken and not decided is in the log of commands still."""
        self.ready = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=2.0)
        await self._appender.stop()

    def take(self, record: Record) -> None:
        """A record of commands, as Faust delivered it."""
        if not self.ready:
            return
        if self.writer.is_behind(record.offset):
            return
        if self.writer.is_beyond(record.offset):
            self._seeking.came_too_far(record.offset)
            self.wake()
            return
        items = wire.decode_commands(record.value, registry=self.fold.head.log == "registry")
        match self.writer.deliver(record.offset, Micros(record.appended_ms * 1000), items):
            case "taken":
                if len(self.writer.inbox) <= len(items):
                    self.progress_at = time.monotonic()  # there was no work before
                self._seeking.came_well()
                self.wake()
            case "full":
                self.seek_again()
            case _:
                pass

    def seek_again(self) -> None:
        """Delivery went astray, or the inbox was full: read on from where the writer is, once it has room."""
        self._seeking.want()
        self.wake()

    def look_at_end(self) -> None:
        """A topic that ends before what was read of it was made anew: the consumer then begins it from its start without a word, and none
        of it would be decided. Seeking tells."""
        end = self.edges.end(self.commands, self.number)
        if self.ready and end is not None and end < self.writer.next_offset:
            self.seek_again()

    def wake(self) -> None:
        self._wake.set()

    @property
    def is_behind(self) -> bool:
        """There is work; the watchdog expects progress."""
        return self.stopped is None and (bool(self.writer.inbox) or not self.ready)

    def made_progress(self) -> None:
        self.progress_at = time.monotonic()

    # Its life

    async def _live(self) -> None:
        try:
            await self._recover()
            while True:
                await self._rest()
                await self._seeking.seek_if_due(self.fold.head.position.offset, len(self.writer.inbox))
                await self._work()
        except asyncio.CancelledError:
            raise
        except (ChainBroken, Conflict, Undecodable) as error:
            self.ready, self.stopped = False, str(error)
            log.critical("partition stopped", action="actor.stopped", topic=self.topic, partition=self.number, why=str(error))
        except BaseException as error:
            crash(error)

    async def _recover(self) -> None:
        began = time.monotonic()
        await self.restore()
        await self.catch_up()
        self.fold.expect(self.edges.identity)
        self.writer.caught_up()
        await self.recovered()
        await self._begin()
        self.ready = True
        self._seeking.want(at_once=True)
        log.info(
            "actor is ready",
            action="actor.ready",
            topic=self.topic,
            partition=self.number,
            seq=self.fold.head.seq,
            position=self.fold.head.position.offset,
            seconds=round(time.monotonic() - began, 3),
        )

    async def _begin(self) -> None:
        """Append the first commit, empty or not: its ack is the time."""
        for attempt in count():
            if await self._append(self.new_draft(self._at(), fresh=True)):
                return
            await asyncio.sleep(spread(min(1.0, 0.05 * 2**attempt)))

    async def _rest(self) -> None:
        """Wait for work, for a time that is due, or for the idle minute; under load, until the pace allows the next commit, and for
        what is about to come."""
        if not self.writer.inbox:
            until = min(self.next_due(), self._committed_at + IDLE_COMMIT - time.monotonic())
            if (due := self._seeking.due_in()) is not None:
                until = min(until, due)
            if until > 0:
                await self._woken(until)
        self._wake.clear()
        pace = self._pacing.rest()
        if pace > 0 and len(self.writer.inbox) < wire.MOST_EVENTS:
            await asyncio.sleep(pace)
        while (soon := self.comes_soon()) > 0:
            await self._woken(soon)
            self._wake.clear()

    async def _woken(self, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _work(self) -> None:
        at = self._at()
        draft = self.new_draft(at, fresh=False)
        if self.may_fill(draft) and not self.writer.fill(draft) and not draft.taken:
            self.dropped()
            await self.refresh_facts()
            draft = self.new_draft(self._at(), fresh=True)
            self.writer.fill(draft)
        idle = time.monotonic() - self._committed_at >= IDLE_COMMIT
        if not draft.is_worth_a_commit and not idle:
            self.came_to_nothing()
            return
        self._pacing.took(len(draft.taken))
        await self._append(draft)

    def _at(self) -> Micros:
        """The time of decision; while there is none to rely on, time stands still."""
        return self.edges.clock.now() or Micros(self.fold.head.at)

    async def _append(self, draft: "Draft[F]") -> bool:
        """Append a draft; True if it is in the log for sure. Otherwise the log was read again and its commands are back or dropped."""
        if not await self._before(draft):
            self.writer.abandon(draft)
            self.dropped()
            return False
        record = draft.record()
        crash_point("control:before-append")
        outcome = await self._appender.append(self.topic, self.number, record)
        crash_point("control:after-append")
        if isinstance(outcome, Appended):
            self.edges.clock.observe(outcome.appended_ms, draft.head.at)
            if self.writer.confirm(draft, record, outcome.offset):
                self._committed_at = self.progress_at = time.monotonic()
                await self._after(draft)
                return True
            log.warning(
                "another writer", action="actor.void", partition=self.number, expected=self.fold.head.next_offset, got=outcome.offset
            )
        else:
            self.writer.abandon(draft)
            log.warning("outcome unknown", action="actor.unknown", partition=self.number, why=outcome.why)
        await self.catch_up()
        self.writer.caught_up()
        self.folded_again()
        return False

    async def _before(self, draft: "Draft[F]") -> bool:
        """Dead letters, forwards and what is sent again are written before the position moves."""
        letters = [self.edges.dead_letters.write(self.commands, self.number, letter) for letter in draft.effects.dead_letters]
        if not all(await asyncio.gather(*letters)):
            return False
        commands = self.edges.settings.topic("commands")
        for forward in draft.effects.forwards:
            sent = await self.edges.forwards.append(commands, forward.partition, wire.encode(forward.command))
            if not isinstance(sent, Appended):
                return False
        for again in draft.effects.resends:
            sent = await self.edges.forwards.append(self.edges.settings.topic(again.topic), again.partition, again.record)
            if not isinstance(sent, Appended):
                return False
        return True

    async def _after(self, draft: "Draft[F]") -> None:
        crash_point("control:before-offers")
        await self.committed(draft)
        await answers.publish(self.edges.redis, self.to_tell(draft))

    # What differs between the registry and the events

    @abstractmethod
    async def restore(self) -> None:
        """Begin from a snapshot, if there is a good one."""

    async def catch_up(self) -> None:
        """Fold what the log holds now."""
        await log_access.catch_up(self.edges.settings, self.fold, self.made_progress)

    @abstractmethod
    async def recovered(self) -> None:
        """The log was folded; what else has to be known before the first decision?"""

    @abstractmethod
    def new_draft(self, at: Micros, *, fresh: bool) -> "Draft[F]":
        """A draft with what is due by itself already in it. `fresh`: the registry was read to its present end."""

    @abstractmethod
    async def committed(self, draft: "Draft[F]") -> None:
        """A draft is in the log and in the fold: offers and news follow."""

    def to_tell(self, draft: "Draft[F]") -> Sequence[tuple[str, Told]]:
        """What is told by Redis after the commit, with the channels."""
        return draft.effects.answers

    def may_fill(self, draft: "Draft[F]") -> bool:
        """Commands may be decided in this draft."""
        return True

    def next_due(self) -> float:
        """Seconds until something is due by itself."""
        return IDLE_COMMIT

    def comes_soon(self) -> float:
        """Seconds within which more is expected, so that the next commit is worth waiting for."""
        return 0.0

    def came_to_nothing(self) -> None:
        """It was woken, or something was due, and nothing is to be appended."""

    def dropped(self) -> None:
        """A draft is not appended: what was due by itself and stood in it has to come again."""

    def folded_again(self) -> None:
        """The fold moved by what somebody else appended, or by our own append of unknown outcome."""

    async def refresh_facts(self) -> None:
        """Read the registry to its present end."""
