"""The commands of a client that wait for their decision, a question each. Who asks the same joins it; an answer or time ends it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from ledger.client.errors import Undecided
from ledger.client.news import News, Newsroom
from ledger.core.outcome import Answer

QUIET: Final = 1.0  # seconds without any answer at all, until the same command is sent again
SWEEP: Final = 0.25  # seconds between two looks at what is open
LONGEST_BURST: Final = 10  # times the timeout, for one of many whose fellows are answered


class Listening(Protocol):
    """The part of the ear that is used here."""

    is_open: bool
    last_heard: float

    async def open(self) -> None: ...


class Decided(NamedTuple):
    """The answer, and the news that follow it for who asked to follow."""

    answer: Answer
    news: News | None = None


@dataclass(slots=True, eq=False)
class Question:
    """A command under way. Times by the loop's clock."""

    command_id: str
    tenant: str | None
    topic: str
    partition: int
    record: bytes
    follow: bool
    answered: asyncio.Future[Decided]
    first_sent: float
    timeout: float
    sent: float = 0.0
    is_acked: bool = False


@dataclass(slots=True)
class Questions:
    """What is open, and what it takes to be answered."""

    ear: Listening
    newsroom: Newsroom
    asked: dict[str, Question] = field(default_factory=dict)  # by command, in the order of their first sending
    is_closed: bool = False

    async def listen(self) -> None:
        """Before a command goes out: its answer may come at once."""
        if not self.ear.is_open and not self.is_closed:
            await self.ear.open()

    def open(
        self, command_id: str, topic: str, partition: int, record: bytes, timeout: float, tenant: str | None = None, follow: bool = False
    ) -> Question:
        """One question for a command: who asks one that is asked already joins it, or it would be answered to the last one only."""
        if self.is_closed:
            raise Undecided(command_id)
        loop = asyncio.get_running_loop()
        question = Question(command_id, tenant, topic, partition, record, follow, loop.create_future(), loop.time(), timeout)
        self.asked[command_id] = question
        return question

    async def join(self, known: Question, since: float, timeout: float) -> Decided | None:
        """The answer to what another asks already: the same key or act, said twice at the same time. None if the other waits no more: then
        it is this one's to ask. Each has its own time."""
        while not known.answered.done():
            await asyncio.wait([known.answered], timeout=SWEEP)
            if not known.answered.done() and self.is_over(since, timeout, asyncio.get_running_loop().time()):
                raise Undecided(known.command_id, timeout)
        if known.answered.cancelled() or (isinstance(known.answered.exception(), Undecided) and not self.is_closed):
            return None
        return known.answered.result()

    def answer(self, command_id: str, answer: Answer) -> None:
        """It is decided."""
        question = self.asked.pop(command_id, None)
        if question is None or question.answered.done():
            return
        news = None
        if question.follow and answer.outcome == "accepted" and answer.execution_id is not None:
            news = self.newsroom.open(answer.execution_id)  # now: news may stand in the very same message
        question.answered.set_result(Decided(answer, news))

    def leave(self, question: Question) -> None:
        """Who asked waits no more."""
        if self.asked.get(question.command_id) is question:  # and not one that asked the same after this was answered
            del self.asked[question.command_id]
        question.answered.cancel()

    def end_all(self, why: Callable[[str], BaseException]) -> None:
        for question in self.asked.values():
            if not question.answered.done():
                question.answered.set_exception(why(question.command_id))

    def is_quiet(self, now: float) -> bool:
        """Nobody is answered: while others are, what is open is only behind them."""
        return now - self.ear.last_heard >= QUIET

    def is_over(self, since: float, timeout: float, now: float) -> bool:
        return now - since > timeout and (self.is_quiet(now) or now - since > LONGEST_BURST * timeout)
