"""Acts that hold a job, a queue, a tenant or an exclusivity key, and let it go on."""

from ledger.client.acted import Acted, acted
from ledger.client.line import DECISION, Line
from ledger.client.names import check_paused
from ledger.core import pause
from ledger.core.invalid import Invalid
from ledger.core.pause import PauseScope
from ledger.core.refusal import Refused
from ledger.handlers import near_miss
from ledger.submitting.naming import fresh_command_id

LONGEST_NOTE = 200


class PauseActs:
    """A part of `Ledger`."""

    _line: Line
    acting: str

    async def pause(
        self,
        *,
        job: str | None = None,
        queue: str | None = None,
        tenant: str | None = None,
        key: str | None = None,
        note: str | None = None,
        reason: str | None = None,
        timeout: float = DECISION,
    ) -> Acted:
        """Hold one of these: what is submitted meanwhile is accepted and waits, ticks are skipped. `key`: the exclusivity key in full, as
        executions show it. It is decided when this returns, and in force in each partition a moment later."""
        scope, name = self._one_of(job, queue, tenant, key)
        if note is not None and not 0 < len(note) <= LONGEST_NOTE:
            raise Invalid("invalid", "note", note, f"has {len(note)} characters, not 1 to {LONGEST_NOTE}", "'stock-taking until noon'")
        command = pause.Pause(fresh_command_id(), scope, name, note, self.acting, reason)
        return acted(await self._line.act(command, timeout), command.command_id)

    async def resume(
        self,
        *,
        job: str | None = None,
        queue: str | None = None,
        tenant: str | None = None,
        key: str | None = None,
        reason: str | None = None,
        timeout: float = DECISION,
    ) -> Acted:
        """Let it go on. Of a job it also lifts what `pause_on_failure` paused."""
        scope, name = self._one_of(job, queue, tenant, key)
        command = pause.Resume(fresh_command_id(), scope, name, self.acting, reason)
        return acted(await self._line.act(command, timeout), command.command_id)

    def _one_of(self, job: str | None, queue: str | None, tenant: str | None, key: str | None) -> tuple[PauseScope, str]:
        given: list[tuple[PauseScope, str | None]] = [("job", job), ("queue", queue), ("tenant", tenant), ("key", key)]
        said = [(scope, name) for scope, name in given if name is not None]
        if len(said) != 1:
            names = " and ".join(scope for scope, _ in said) or "none"
            raise Invalid("invalid", "pause", names, "has to be exactly one of job, queue, tenant and key", "pause(tenant='acme')")
        [(scope, name)] = said
        check_paused(scope, name)
        queues = self._line.settings.queues
        if scope == "queue" and name not in queues:
            raise Refused("unknown_queue", f"the settings have no queue {name!r}{near_miss(name, list(queues))}")
        return scope, name
