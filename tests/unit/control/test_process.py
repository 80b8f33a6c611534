"""Which of the partitions that Faust assigns have an actor in this process."""

from redis.asyncio import Redis

from ledger.config import Settings
from ledger.kafka.opening import LogIdentity
from processors.broker_clock import BrokerClock
from processors.control.appender import Appender
from processors.control.dead_letters import DeadLetters
from processors.control.edges import Edges
from processors.control.process import Control


class Recording(Control):
    """Its log is open; of an actor it only notes that it would begin."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.begun: set[tuple[str, int]] = set()
        self._edges = Edges(
            settings,
            LogIdentity("log", 2, 1),
            BrokerClock(),
            Redis(),
            self._seek,
            lambda *_: None,
            DeadLetters(settings),
            Appender(settings),
        )

    def _begin(self, edges: Edges, topic: str, number: int) -> None:
        self.begun.add((topic, number))


async def test_partitions_that_somebody_added_to_a_topic_of_commands_have_no_actor() -> None:
    """An actor there would wait for a partition of the log that there is not until the watchdog ends the process; of the registry there
    would be two writers."""
    control = Recording(Settings(partitions=2))
    ours = {(control.commands, 0), (control.commands, 1), (control.registry_commands, 0)}
    await control.assigned({*ours, (control.commands, 2), (control.registry_commands, 1)}, 1)
    assert control.begun == ours
