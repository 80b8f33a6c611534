"""The registry's actor on the fold that its process shares: others may feed it too."""

from redis.asyncio import Redis

from ledger.config import Settings
from ledger.core import definition, wire
from ledger.core.ids import Micros
from ledger.core.pause import Pause
from ledger.core.registry import Touched
from ledger.kafka.opening import LogIdentity
from processors.broker_clock import BrokerClock
from processors.control.appender import Appended, Appender, Unknown
from processors.control.dead_letters import DeadLetters
from processors.control.edges import Edges
from processors.control.facts import Facts, Progress
from processors.control.registry_actor import RegistryActor
from tests.unit.core.test_registry import MAIL, NOON, drafted, folded, opened

PAUSE = Pause("p", "queue", "post")


class Followed(Facts):
    """The fold is fed with what the test has of the log."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, Appender(settings))
        self.log: list[bytes] = []
        self.fold = opened()

    def catch_up(self) -> None:
        for offset in range(self.fold.head.next_offset, len(self.log) + 1):
            self.fold.feed(self.log[offset - 1], offset)

    async def reach_end(self, progress: Progress) -> None:
        self.catch_up()


class Topic(Appender):
    """Appends to the facts' log. `early`: the follower reads a record before its ack comes. `lost`: no ack comes."""

    def __init__(self, settings: Settings, facts: Followed) -> None:
        super().__init__(settings)
        self.facts, self.early, self.lost = facts, False, False

    async def append(
        self, topic: str, partition: int, record: bytes | None, *, key: bytes | None = None, headers: list[tuple[str, bytes]] | None = None
    ) -> Appended | Unknown:
        self.facts.log.append(record or b"")
        if self.early:
            self.facts.catch_up()
        return Unknown("the test says so") if self.lost else Appended(len(self.facts.log), NOON // 1000)


class Lone:
    """An actor with nothing of it connected to anything. It is noon for it."""

    def __init__(self) -> None:
        settings = Settings(partitions=4)
        self.facts = Followed(settings)
        clock = BrokerClock(lambda: NOON, lambda: 0)
        clock.observe(NOON // 1000)
        identity = LogIdentity("log", 4, 1)
        edges = Edges(settings, identity, clock, Redis(), self._seek, lambda *_: None, DeadLetters(settings), Appender(settings))
        self.actor = RegistryActor(edges, self.facts)
        self.actor._appender = self.topic = Topic(settings, self.facts)
        self.touched: list[Touched] = []
        self.facts.listeners.add(self.touched.append)
        self.facts.fold.touched = Touched()

    async def _seek(self, topic: str, partition: int, offset: int) -> None:
        pass

    async def decide(self, *commands: wire.RegistryCommand) -> None:
        assert self.actor.writer.deliver(self.actor.writer.next_offset, Micros(NOON), commands) == "taken"
        await self.actor._work()

    def kinds(self) -> list[list[str]]:
        """The events of the commits that have any."""
        commits = ([type(event).__name__ for event in wire.decode_commit(record).events] for record in self.facts.log)
        return [events for events in commits if events]


APPENDED = [["Registered", "Versioned", "Accepted"]]


async def test_the_other_actors_hear_of_a_commit_with_its_ack() -> None:
    lone = Lone()
    await lone.decide(MAIL)
    assert lone.kinds() == APPENDED and [one.jobs for one in lone.touched] == [{"mail"}]
    assert list(lone.facts.registry.jobs) == ["mail"] and lone.facts.fold.head.seq == 2


async def test_a_record_that_the_follower_read_before_its_ack_is_folded_once_and_told_once() -> None:
    lone = Lone()
    lone.topic.early = True
    await lone.decide(MAIL)
    assert lone.kinds() == APPENDED and [one.jobs for one in lone.touched] == [{"mail"}]
    assert lone.facts.fold.head.seq == 2 and not lone.actor.writer.inbox


async def test_an_append_of_unknown_outcome_that_the_log_holds_is_not_decided_again() -> None:
    lone = Lone()
    lone.topic.lost = True
    await lone.decide(MAIL)
    lone.topic.lost = False
    await lone.actor._work()
    assert lone.kinds() == APPENDED and not lone.actor.writer.inbox


async def test_what_another_owner_decided_meanwhile_is_not_decided_again() -> None:
    lone = Lone()
    lone.actor.writer.next_offset = 1
    assert lone.actor.writer.deliver(1, Micros(NOON), [MAIL, PAUSE]) == "taken"
    lone.facts.log.append(folded(opened(), MAIL))  # the first of both
    lone.facts.catch_up()
    await lone.actor._work()
    assert lone.kinds() == [*APPENDED, ["Began", "Accepted"]]


def test_a_draft_does_not_change_the_fold_that_others_read() -> None:
    lone = Lone()
    draft = drafted(lone.facts.fold, MAIL, definition.Retire("r", "mail"), PAUSE)
    assert len(draft.events) == 7 and not lone.facts.registry.jobs and lone.facts.registry.pauses.are_none
