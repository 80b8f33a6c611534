"""What waits and may not go because it is paused: a job, a queue, a tenant, an exclusivity key. Volatile, derived from fold and registry.

An execution leaves the backlog for here when its turn comes, and goes back to where it was once nothing holds it. No I/O here.
"""

from dataclasses import dataclass, field

from ledger.core.backlog import Entry
from ledger.core.execution import Requested, Waiting
from ledger.core.partition import Partition
from ledger.core.pause import Paused, Pauses, names_of


@dataclass(slots=True)
class Held:
    partition: Partition
    pauses: Pauses
    entries: dict[Paused, list[Entry]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """There is anything to ask for."""
        return bool(self.pauses.standing or self.partition.stopped)

    def takes(self, entry: Entry) -> bool:
        """It is paused: it is kept here."""
        state = self.partition.executions.get(entry[0])
        cause = self._cause(state.request) if isinstance(state, Waiting) else None
        if cause is None:
            return False
        self.entries.setdefault(cause, []).append(entry)
        return True

    def holds(self, request: Requested) -> bool:
        """It would be kept here."""
        return bool(self) and self._cause(request) is not None

    def _cause(self, request: Requested) -> Paused | None:
        if request.ignore_pause:
            return None
        names = names_of(request.job_id, request.queue, request.tenant, request.exclusive_key)
        return next((name for name in names if self._stands(name)), None)

    def _stands(self, name: Paused) -> bool:
        return name in self.pauses.standing or (name.scope == "job" and name.name in self.partition.stopped)

    def released(self) -> list[Entry]:
        """What nothing of what held it holds any more, the last first: put back to the front one by one they stand in their order."""
        free = [name for name in self.entries if not self._stands(name)]
        return [entry for name in free for entry in reversed(self.entries.pop(name))]
