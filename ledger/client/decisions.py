"""Waiting for what control decides: the command goes out as one record, the answer comes by Redis; what is not heard is asked again.

A repeat decides to nothing but is answered again, so sending the same bytes twice is always safe. Source: architecture.md, section 5.8.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import structlog

from ledger.client.errors import Undecided
from ledger.client.news import News, Newsroom
from ledger.client.sending import Ack, Sender
from ledger.core.outcome import Answer
from ledger.core.refusal import LedgerError, Misconfigured, Unavailable

log = structlog.get_logger(__name__)
QUIET: Final = 1.0  # seconds without any answer at all, until the same command is sent again
SWEEP: Final = 0.25
MOST_RESENT: Final = 200  # in a sweep
MOST_LOOKED_UP: Final = 10

Find = Callable[[str, str | None], Awaitable[Answer | None]]  # command id, tenant -> its decision, in the tables


class Listening(Protocol):
    """The part of the ear that is used here."""

    is_listening: bool
    last_heard: float

    async def open(self) -> None: ...


class Decided(NamedTuple):
    """The answer, and the news that follow it for who asked to follow."""

    answer: Answer
    news: News | None = None


@dataclass(slots=True)
class Question:
    """A command under way. Times by the loop's clock."""

    command_id: str
    tenant: str | None
    topic: str
    partition: int
    record: bytes
    follow: bool
    answered: asyncio.Future[Decided]
    first_sent: float = 0.0
    sent: float = 0.0
    ack: Ack | None = None
    was_acked: bool = False


@dataclass(slots=True)
class Decisions:
    """`resend_for`: seconds in which a repeat is known as one, so that a resend is safe."""

    sender: Sender
    ear: Listening
    find: Find
    newsroom: Newsroom
    resend_for: float
    _asked: dict[str, Question] = field(default_factory=dict)
    _sweeping: asyncio.Task[None] | None = None

    async def ask(
        self, command_id: str, topic: str, partition: int, record: bytes, *, tenant: str | None = None, follow: bool = False, timeout: float
    ) -> Decided:
        """Send and wait. Raises `Unavailable` if no broker takes it, `Undecided` if nobody decides within `timeout`."""
        if (known := self._asked.get(command_id)) is not None:  # the same idempotency key, said twice at the same time
            return await asyncio.shield(known.answered)
        await self.ear.open()
        loop = asyncio.get_running_loop()
        question = Question(command_id, tenant, topic, partition, record, follow, loop.create_future(), loop.time())
        self._asked[command_id] = question
        try:
            await self._send(question)
            self._sweep_if_needed()
            async with asyncio.timeout(timeout):
                return await question.answered
        except TimeoutError as error:
            raise Undecided(command_id, timeout) from error
        finally:
            self._asked.pop(command_id, None)
            question.answered.cancel()

    def hear(self, answers: list[Answer]) -> None:
        """What the ear heard: decisions, and news of executions."""
        for answer in answers:
            if answer.command_id is not None and answer.outcome not in (None, "forwarded"):
                self._settle(answer.command_id, answer)
            elif answer.state is not None:
                self.newsroom.tell(answer)

    def _settle(self, command_id: str, answer: Answer) -> None:
        question = self._asked.pop(command_id, None)
        if question is None or question.answered.done():
            return
        news = None
        if question.follow and answer.outcome == "accepted" and answer.execution_id is not None:
            news = self.newsroom.open(answer.execution_id)  # now: news may stand in the very same message
        question.answered.set_result(Decided(answer, news))

    async def _send(self, question: Question) -> None:
        question.sent = asyncio.get_running_loop().time()
        question.ack = await self.sender.post(question.topic, question.partition, question.record)

    # What is not heard of

    def _sweep_if_needed(self) -> None:
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        """As long as something is open: look at acks, send again what is quiet, ask the tables."""
        while self._asked:
            await asyncio.sleep(SWEEP)
            questions = list(self._asked.values())
            quiet = [one for one in questions if self._is_quiet(one)]
            for question in quiet[:MOST_RESENT]:
                await self._nudge(question)
            unheard = quiet if self.ear.is_listening else questions
            await self._look_up([one for one in unheard if one.was_acked][:MOST_LOOKED_UP])

    def _is_quiet(self, question: Question) -> bool:
        """Nothing came for a while. While others are answered, this one is only behind them."""
        if question.ack is not None and question.ack.done():
            question.was_acked = question.was_acked or not (question.ack.cancelled() or question.ack.exception())
            if not question.was_acked:
                return True
        return asyncio.get_running_loop().time() - max(question.sent, self.ear.last_heard) >= QUIET

    async def _nudge(self, question: Question) -> None:
        """Send again; a record that no broker took for too long ends the wait."""
        if question.answered.done():
            return
        now = asyncio.get_running_loop().time()
        ack = question.ack
        try:
            if ack is None or not ack.done():  # the producer is still at it
                if not question.was_acked and now - question.first_sent > self.sender.patience:
                    raise self.sender.away()
                return
            if ack.cancelled() or ack.exception() is not None:
                await self.sender.replace(self.sender.producer)
            if now - question.first_sent < self.resend_for:
                await self._send(question)
        except LedgerError as error:
            if not question.was_acked and not question.answered.done():
                question.answered.set_exception(error)

    async def _look_up(self, questions: list[Question]) -> None:
        for question in questions:
            try:
                answer = await self.find(question.command_id, question.tenant)
            except (Unavailable, Misconfigured):
                return
            if answer is not None:
                self._settle(question.command_id, answer)

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
