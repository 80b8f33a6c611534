"""The actor of the registry: jobs, versions and manifests in one order."""

from ledger.core.draft import Draft
from ledger.core.ids import Micros
from ledger.core.registry import RegistryFold
from ledger.core.registry_draft import RegistryDraft
from processors.control.actor import Actor
from processors.control.edges import Edges
from processors.control.facts import Facts


class RegistryActor(Actor[RegistryFold]):
    """Writes on top of the fold that all actors of the process share, and that follows the log by itself."""

    def __init__(self, edges: Edges, facts: Facts) -> None:
        super().__init__(edges, facts.fold, "registry-commands")
        self.facts = facts
        self._seq = 0  # of the commit that the inbox was compared with last

    async def restore(self) -> None:
        """The facts see to it."""

    async def catch_up(self) -> None:
        await self.facts.reach_end(self.made_progress)

    async def recovered(self) -> None:
        pass

    def new_draft(self, at: Micros, *, fresh: bool) -> Draft[RegistryFold]:
        if self.fold.head.seq != self._seq:  # also by what another owner appended: some of it may be decided already
            self.writer.caught_up()
            self._seq = self.fold.head.seq
        return RegistryDraft(self.fold, at, self.facts.engines)

    async def committed(self, draft: Draft[RegistryFold]) -> None:
        self._seq = self.fold.head.seq
        await self.facts.tell()
        self.facts.snapshots.consider()
