"""A Kafka and a Redis of a few lines: what was sent can be seen, and acks and answers come when the test says so."""

import asyncio
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata, TopicPartition

from ledger.client.decisions import Decisions
from ledger.client.news import Newsroom
from ledger.client.questions import Questions
from ledger.client.sending import Ack, Sender
from ledger.client.turns import Turns
from ledger.core.outcome import Answer
from ledger.core.refusal import Unavailable

ACKED = RecordMetadata("t", 0, TopicPartition("t", 0), 0, 0, 1, 0)


class FakeSender(Sender):
    """`acks`: whether the broker acknowledges. `away`: it takes nothing."""

    def __init__(self, *, acks: bool = True, away: bool = False) -> None:
        super().__init__("broker:9092", patience=0.5)
        self.acks = acks
        self.is_away = away
        self.refuses_after = 0.0  # seconds
        self.sent: list[tuple[str, int, bytes]] = []
        self.pending: list[Ack] = []
        self.replaced = 0
        self.came = asyncio.Event()

    async def post(self, topic: str, partition: int, record: bytes) -> Ack:
        if self.is_away:
            await asyncio.sleep(self.refuses_after)
            raise Unavailable(f"no broker at {self.bootstrap}")
        self.sent.append((topic, partition, record))
        ack: Ack = asyncio.get_running_loop().create_future()
        if self.acks:
            ack.set_result(ACKED)
        else:
            self.pending.append(ack)
        self.came.set()
        return ack

    async def send(self, topic: str, partition: int, record: bytes) -> None:
        await self.post(topic, partition, record)

    async def replace(self, producer: AIOKafkaProducer | None) -> None:
        self.replaced += 1

    async def until_sent(self, times: int) -> None:
        async with asyncio.timeout(5):
            while len(self.sent) < times:
                self.came.clear()
                await self.came.wait()


@dataclass(slots=True)
class FakeEar:
    is_open: bool = True
    last_heard: float = float("-inf")

    async def open(self) -> None:
        await asyncio.sleep(0)
        self.is_open = True


@dataclass(slots=True)
class FakeTables:
    decided: dict[str, Answer] = field(default_factory=dict)

    async def find(self, command_id: str, tenant: str | None) -> Answer | None:
        return self.decided.get(command_id)


@dataclass(slots=True)
class World:
    sender: FakeSender = field(default_factory=FakeSender)
    ear: FakeEar = field(default_factory=FakeEar)
    tables: FakeTables = field(default_factory=FakeTables)
    newsroom: Newsroom = field(default_factory=Newsroom)
    resend_for: float = 100.0

    def decisions(self, turns: Turns | None = None) -> Decisions:
        return Decisions(self.sender, Questions(self.ear, self.newsroom), self.tables.find, self.resend_for, turns or Turns())
