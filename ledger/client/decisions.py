"""Waiting for what control decides: the command goes out as one record, the answer comes by Redis; what is not heard is asked again.

A repeat decides to nothing but is answered again, so sending the same bytes twice is always safe. Source: architecture.md, section 5.8.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ledger.client.errors import Undecided
from ledger.client.questions import QUIET, SWEEP, Decided, Question, Questions
from ledger.client.sending import Ack, Sender
from ledger.client.turns import Turns
from ledger.core.outcome import Answer
from ledger.core.refusal import LedgerError, Misconfigured, Unavailable

MOST_RESENT: Final = 200  # in a sweep
MOST_LOOKED_UP: Final = 10
RECORDS_UNDER_WAY: Final = 8  # of many commands asked together
COMMANDS_PER_RECORD: Final = 200
BYTES_PER_RECORD: Final = 128 * 1024

Find = Callable[[str, str | None], Awaitable[Answer | None]]  # command id, tenant -> its decision, in the tables


@dataclass(slots=True)
class Decisions:
    """`resend_for`: seconds in which a repeat is known as one, so that a resend is safe."""

    sender: Sender
    questions: Questions
    find: Find
    resend_for: float
    turns: Turns = field(default_factory=Turns)
    _refused: set[Question] = field(default_factory=set)  # the broker took them not
    _acked_at: float = float("-inf")
    _sweeping: asyncio.Task[None] | None = None

    async def ask(
        self, command_id: str, topic: str, partition: int, record: bytes, *, tenant: str | None = None, follow: bool = False, timeout: float
    ) -> Decided:
        """Send, once it is its turn, and wait. Raises `Unavailable` if no broker takes it, `Undecided` if nobody decides within `timeout`
        from then on, or this is closed; one of a burst may take longer, as long as the others are answered."""
        self.sender.belonging.check()
        await self.turns.take(len(record))
        try:
            await self.questions.listen()
            since = asyncio.get_running_loop().time()
            while (known := self.questions.asked.get(command_id)) is not None and not known.answered.done():
                if (decided := await self.questions.join(known, since, timeout)) is not None:
                    return decided
            question = self.questions.open(command_id, topic, partition, record, timeout, tenant, follow)
            try:
                self._keep_sweeping()
                await self._send(question)
                return await question.answered
            finally:
                self.questions.leave(question)
        finally:
            self.turns.give_back(len(record))

    async def ask_many(self, topic: str, partition: int, commands: Sequence[tuple[str, bytes]], *, timeout: float) -> list[Answer]:
        """Commands (id, bytes) for one partition: many in a record, each answered, in their order. What is not heard of is sent again one
        by one. Raises as `ask` does; then some of them may be decided."""
        self.sender.belonging.check()
        await self.questions.listen()
        room = asyncio.Semaphore(RECORDS_UNDER_WAY)

        async def ask(group: Sequence[tuple[str, bytes]]) -> list[Answer]:
            async with room:
                return await self._ask_together(topic, partition, group, timeout)

        tasks = [asyncio.create_task(ask(group)) for group in groups_of(commands)]
        try:
            return [answer for answers in await asyncio.gather(*tasks) for answer in answers]
        finally:
            for task in tasks:
                task.cancel()

    async def _ask_together(self, topic: str, partition: int, group: Sequence[tuple[str, bytes]], timeout: float) -> list[Answer]:
        asked: list[tuple[Question, bytes]] = []
        waits: list[asyncio.Future[Decided]] = []
        try:
            for command_id, command in group:
                if (known := self.questions.asked.get(command_id)) is not None:  # by another, or twice in here
                    waits.append(asyncio.create_task(self._join_or_ask(known, command, timeout)))
                    continue
                question = self.questions.open(command_id, topic, partition, command, timeout)
                asked.append((question, command))
                waits.append(question.answered)
            if asked:
                self._keep_sweeping()
                await self._post(b"[%b]" % b",".join(command for _, command in asked), [question for question, _ in asked])
            return [one.answer for one in await asyncio.gather(*waits)]
        finally:
            for question, _ in asked:
                self.questions.leave(question)
            for wait in waits:
                wait.cancel()

    async def _join_or_ask(self, known: Question, record: bytes, timeout: float) -> Decided:
        if (decided := await self.questions.join(known, asyncio.get_running_loop().time(), timeout)) is not None:
            return decided
        return await self.ask(known.command_id, known.topic, known.partition, record, tenant=known.tenant, timeout=timeout)

    def hear(self, answers: list[Answer]) -> None:
        """What the ear heard: decisions, and news of executions."""
        for answer in answers:
            if answer.command_id is not None and answer.outcome not in (None, "forwarded"):
                self.questions.answer(answer.command_id, answer)
            elif answer.state is not None:
                self.questions.newsroom.tell(answer)

    async def _send(self, question: Question) -> None:
        await self._post(question.record, [question])

    async def _post(self, record: bytes, questions: Sequence[Question]) -> None:
        """A record that asks these, which are of one partition."""
        for question in questions:
            question.sent = asyncio.get_running_loop().time()
        ack = await self.sender.post(questions[0].topic, questions[0].partition, record)
        ack.add_done_callback(lambda done: self._acknowledged(questions, done))

    def _acknowledged(self, questions: Sequence[Question], ack: Ack) -> None:
        if ack.cancelled() or ack.exception() is not None:
            self._refused.update(questions)
            return
        for question in questions:
            question.is_acked = True
        self._acked_at = asyncio.get_running_loop().time()

    # What is not heard of

    def _keep_sweeping(self) -> None:
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweep())
            self._sweeping.add_done_callback(self._swept)

    async def _sweep(self) -> None:
        """As long as something is open: look at what the broker refused, at what is quiet, and at the time."""
        while self.questions.asked:
            await asyncio.sleep(SWEEP)
            now = asyncio.get_running_loop().time()
            await self._send_refused_again()
            if self.questions.is_quiet(now):
                await self._ask_again(now)
            self._end_overdue(now)

    def _swept(self, sweeping: asyncio.Task[None]) -> None:
        """Without it no time ends: whoever waits hears what ended it."""
        if not sweeping.cancelled() and (error := sweeping.exception()) is not None:
            self.questions.end_all(lambda _: error)

    async def _send_refused_again(self) -> None:
        refused, self._refused = self._refused, set()
        if not refused:
            return
        await self.sender.replace(self.sender.producer)
        left = list(refused)
        while left and await self._resend(left[-1]):
            left.pop()
        self._refused.update(left)  # no broker takes them: the next sweep tries again, unless their time is up

    async def _ask_again(self, now: float) -> None:
        quiet = [one for one in self.questions.asked.values() if one.is_acked and now - one.sent >= QUIET]
        for question in quiet[:MOST_RESENT]:
            if now - question.first_sent < self.resend_for and not await self._resend(question):
                break  # no broker: the others would wait as long, each
        for question in quiet[:MOST_LOOKED_UP]:
            try:
                answer = await self.find(question.command_id, question.tenant)
            except (Unavailable, Misconfigured):
                return
            if answer is not None:
                self.questions.answer(question.command_id, answer)

    async def _resend(self, question: Question) -> bool:
        """False if no broker took it."""
        if question.answered.done():
            return True
        try:
            await self._send(question)
        except LedgerError as error:
            if not question.is_acked and not question.answered.done():
                question.answered.set_exception(error)
            return False
        return True

    def _end_overdue(self, now: float) -> None:
        broker_is_away = now - self._acked_at > self.sender.patience
        for question in list(self.questions.asked.values()):
            if question.answered.done():
                continue
            if not question.is_acked and broker_is_away and now - question.first_sent > self.sender.patience:
                question.answered.set_exception(self.sender.away())
            elif self.questions.is_over(question.first_sent, question.timeout, now):
                question.answered.set_exception(Undecided(question.command_id, question.timeout))

    async def close(self) -> None:
        """Whoever waits for a decision, or for its turn, waits no longer."""
        self.questions.is_closed = True
        self.questions.end_all(Undecided)
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)


def groups_of(commands: Sequence[tuple[str, bytes]]) -> Iterator[Sequence[tuple[str, bytes]]]:
    """What goes into one record together."""
    first = size = 0
    for index, (_, command) in enumerate(commands):
        if index > first and (index - first >= COMMANDS_PER_RECORD or size + len(command) > BYTES_PER_RECORD):
            yield commands[first:index]
            first, size = index, 0
        size += len(command) + 1
    if commands:
        yield commands[first:]
