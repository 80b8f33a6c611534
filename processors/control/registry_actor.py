"""The actor of the registry: jobs, versions and manifests in one order."""

from ledger.core.draft import Draft
from ledger.core.ids import Micros
from ledger.core.registry import RegistryFold
from ledger.core.registry_draft import RegistryDraft
from processors.control.actor import Actor
from processors.control.edges import Edges


class RegistryActor(Actor[RegistryFold]):
    def __init__(self, edges: Edges) -> None:
        super().__init__(edges, RegistryFold(), "registry-commands")

    async def restore(self) -> None:
        """The registry is small: it is folded from its first commit."""

    async def recovered(self) -> None:
        pass

    def new_draft(self, at: Micros, *, fresh: bool) -> Draft[RegistryFold]:
        return RegistryDraft(self.fold, at)

    async def committed(self, draft: Draft[RegistryFold]) -> None:
        pass
