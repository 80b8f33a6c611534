"""What was paused at a moment, as the logs say: by acts in the registry, and by jobs themselves after failures."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ledger.client.as_of_reading import REGISTRY, Progress, commits_until
from ledger.config import Settings
from ledger.core import execution, pause, tick
from ledger.core.consequences import ENDS
from ledger.core.execution import Requested
from ledger.core.ids import Address, Micros
from ledger.core.moment import Moment
from ledger.core.pause import Paused, Pauses
from ledger.core.wire import Commit, Event
from projections.held_reads import held, may_hold
from projections.patches import Place
from projections.rows import Execution

_OF_JOBS = (b'"schedule.auto_', b'"schedule.dropped')
_OF_ACTS = b'"pause.'


class Told:
    """What partitions of the events say of pauses: jobs that paused themselves, and runs by hand that no pause holds."""

    def __init__(self) -> None:
        self.by_themselves: dict[Paused, str] = {}  # and their notes
        self._ignoring: set[str] = set()

    def fold(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case tick.AutoPaused():
                    self.by_themselves[Paused("job", event.job_id)] = event.note
                case tick.AutoResumed() | tick.Dropped():
                    self.by_themselves.pop(Paused("job", event.job_id), None)
                case Requested(ignore_pause=True):
                    self._ignoring.add(event.execution_id)
                case _:
                    if self._ignoring and isinstance(event, execution.Event) and type(event) in ENDS:
                        self._ignoring.discard(event.execution_id)

    def may_be_held(self, one: Execution) -> bool:
        return bool(may_hold(one)) and one.execution_id not in self._ignoring


async def with_pauses_at(
    settings: Settings, moment: Moment, told: Told, found: Sequence[Execution], progress: Progress
) -> tuple[Execution, ...]:
    """Executions as they stood, with what a pause held. `told`: by their partitions. Reads the registry if any may be held."""
    if not any(map(told.may_be_held, found)):
        return tuple(found)
    standing = told.by_themselves.keys() | await _by_acts(settings, moment, progress)
    return tuple(held(one, standing) if told.may_be_held(one) else one for one in found)


async def _by_acts(settings: Settings, moment: Moment, progress: Progress) -> set[Paused]:
    pauses = Pauses()
    async with aclosing(commits_until(settings, REGISTRY, moment, lambda record: _OF_ACTS in record, progress=progress)) as commits:
        async for commit, place in commits:
            for index, event in enumerate(moment.covered(commit, commit.events)):
                if isinstance(event, pause.Event):
                    pause.evolve(pauses, event, Address(place.seq, index), Micros(place.at))
    return set(pauses.standing)


def self_pauses(settings: Settings, partition: int, moment: Moment, progress: Progress) -> AsyncGenerator[tuple[Commit, Place], None]:
    """The commits of a partition in which a job may have paused itself, or let go."""
    source = ("events", partition)
    return commits_until(settings, source, moment, lambda record: any(word in record for word in _OF_JOBS), progress=progress)
