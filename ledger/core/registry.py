"""The fold of the registry log, for its own writer and for everybody who follows it."""

from dataclasses import dataclass, field

from msgspec import Struct

from ledger.core import definition, outcome, pause
from ledger.core.definition import Registry
from ledger.core.fold import LogFold, keep_newest
from ledger.core.ids import Address, Micros
from ledger.core.wire import Event

REMEMBERED = 20_000  # outcomes of acts; nearly all of them say nothing new when they come again anyway


class Decided(Struct, frozen=True, omit_defaults=True):
    """What became of an act, to answer a repeat with."""

    outcome: str
    reason: str | None = None
    detail: str | None = None


_SIMPLY = {result: Decided(result) for result in ("applied", "unchanged", "stale")}


@dataclass(slots=True)
class Touched:
    """What commits of the registry moved: whom it concerns sees to it."""

    jobs: set[str] = field(default_factory=set)
    pauses: set[pause.Paused] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.jobs or self.pauses)


class RegistryFold(LogFold):
    """The registry's state, the outcomes it remembers against repeats, and which jobs the last commits touched."""

    def __init__(self) -> None:
        super().__init__("registry", 0)
        self.registry = Registry()
        self.decided: dict[str, Decided] = {}
        self.touched = Touched()  # since somebody took it

    def _open(self, event: outcome.Opened) -> None:
        super()._open(event)
        self.registry.partitions = event.partitions

    def evolve(self, event: Event, address: Address, at: Micros) -> None:
        match event:
            case outcome.Accepted(command_id=command_id, outcome=result):
                self.decided[command_id] = _SIMPLY[result]
            case outcome.Rejected(command_id=command_id, reason=reason, detail=detail):
                self.decided[command_id] = Decided("rejected", reason, detail)
            case definition.Registered() | definition.Versioned() | definition.Retired() | definition.ManifestApplied():
                definition.evolve(self.registry, event, at)
                self.touched.jobs.update(definition.jobs_of(event))
            case pause.Began() | pause.Ended():
                pause.evolve(self.registry.pauses, event, address, at)
                self.touched.pauses.add(pause.Paused(event.scope, event.name))
            case _:
                pass

    def settle(self, at: Micros) -> None:
        keep_newest(self.decided, REMEMBERED)
        self.registry.at = Address(self.head.seq, 0)
