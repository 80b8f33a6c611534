"""Acts of a job's home partition: run now, backfill, skip one tick. And the preview, which asks nobody but the tables."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final

from msgspec import structs

from ledger.client.acted import Acted, Verdict
from ledger.client.handle import ExecutionHandle, handle_of
from ledger.client.line import DECISION, Line
from ledger.client.moments import micros_of
from ledger.client.names import check_name
from ledger.client.previewing import Preview, instant_in, preview
from ledger.client.reading import Executions
from ledger.client.stored import stored_schedule
from ledger.core import wire
from ledger.core.backfill import check_past
from ledger.core.bodies import NOTHING
from ledger.core.ids import Micros
from ledger.core.invalid import Invalid
from ledger.core.policy_text import overlap_of
from ledger.core.refusal import Refused
from ledger.core.request import Backfill as BackfillCommand
from ledger.core.request import RunNow, SkipTick
from ledger.core.schedule import Schedule
from ledger.submitting.encoding import encode_data
from ledger.submitting.naming import fresh_command_id

MOST_UNASKED: Final = 10_000  # executions of a backfill that nobody has to confirm


@dataclass(frozen=True, slots=True)
class Backfill:
    """`planned`: the ticks of the range; with `only_unfired` those that fired are left out of them on the way. `outcome`: None if it was
    only planned, `unchanged` if this very backfill was asked for before."""

    backfill_id: str
    job_id: str
    job_version: int
    planned: int
    outcome: Verdict | None = None
    command_id: str | None = None


class HomeActs:
    """A part of `Ledger`."""

    _line: Line
    acting: str
    executions: Executions

    async def run_now(
        self,
        job_id: str,
        data: object = NOTHING,
        *,
        overlap: str | None = None,
        ignore_pause: bool = False,
        reason: str | None = None,
        follow: bool = False,
        timeout: float = DECISION,
    ) -> ExecutionHandle:
        """Run a job of a schedule now, with its own data or with `data`. It runs beside former executions, unless `overlap` says
        otherwise or its exclusivity makes it wait; a pause holds it, unless `ignore_pause`."""
        body = NOTHING if data is NOTHING else encode_data(data)
        command = RunNow(
            fresh_command_id(),
            check_name(job_id, "job_id"),
            body,
            self.acting,
            reason,
            follow=follow,
            overlap=None if overlap is None else overlap_of(overlap),
            ignore_pause=ignore_pause,
        )
        return await self.run_one(command, timeout=timeout)

    async def run_one(self, command: RunNow, *, timeout: float = DECISION) -> ExecutionHandle:
        """`run_now` for a command that is made already; who is to be answered is filled in here."""
        decided = await self._line.run_now(structs.replace(command, answer=self._line.channel), timeout)
        return handle_of(decided, command.command_id, self.executions.get)

    async def backfill(
        self,
        job_id: str,
        *,
        from_: datetime | str,
        to: datetime | str,
        only_unfired: bool = False,
        plan: bool = False,
        yes: bool = False,
        backfill_id: str | None = None,
        reason: str | None = None,
        timeout: float = DECISION,
    ) -> Backfill:
        """Run a job for each tick in (from_, to], under the version in force; the outcomes of the ticks stay as they are. `plan` counts
        and does nothing. More than 10 000 need `yes`. The same backfill again does nothing: its id follows from job, version and range
        unless `backfill_id` gives another."""
        after, until = micros_of("from", from_), micros_of("to", to)
        if after >= until:
            raise Invalid("invalid", "from", str(from_), f"is not before `to` ({to})", "from_='2026-10-24T00:00:00Z'")
        stored = await stored_schedule(await self._line.reads(), job_id)
        planned = Schedule.from_spec(stored.spec).count_us(after, until)
        name = backfill_id or _derived(job_id, stored.job_version, after, until, only_unfired)
        if wire.COMMAND_ID.fullmatch(name) is None:
            raise Invalid("invalid_name", "backfill_id", name, "is not 1 to 128 of A-Z a-z 0-9 . _ : ~ -", "'october-again'")
        made = Backfill(name, job_id, stored.job_version, planned)
        if plan:
            check_past(until, micros_of("now", datetime.now(UTC)))  # of the act itself control judges, by its own time
            return made
        if planned > MOST_UNASKED and not yes:
            raise Refused(
                "too_many", f"that are {planned} executions of {job_id}, more than {MOST_UNASKED}: confirm with `--yes` (yes=True)"
            )
        command = BackfillCommand(fresh_command_id(), job_id, name, after, until, only_unfired, self.acting, reason)
        done = await self._line.act_at_home(command, timeout)
        return replace(made, outcome=done.outcome, command_id=done.command_id)

    async def skip(self, job_id: str, tick_at: datetime | str, *, reason: str | None = None, timeout: float = DECISION) -> Acted:
        """Leave out one tick that is still to come. An instant that is no tick of the job is refused."""
        instant = micros_of("tick_at", tick_at)
        command = SkipTick(fresh_command_id(), check_name(job_id, "job_id"), instant, self.acting, reason)
        return await self._line.act_at_home(command, timeout)

    async def preview(
        self,
        job_id: str,
        *,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        count: int = 10,
        version: int | None = None,
    ) -> Preview:
        """The ticks of a stored job after an instant (now), at most `count` and what its `limit` leaves; a read. Instants without an offset
        are read in the schedule's time zone. Ticks that somebody skips are not looked at; a pause is told as a warning."""
        stored = await stored_schedule(await self._line.reads(), job_id, version)
        now, zone = datetime.now(UTC), stored.spec.timezone
        after, until = instant_in("from", from_ or now, zone), None if to is None else instant_in("to", to, zone)
        found = preview(stored.spec, after, count, until=until, job_id=job_id, job_version=stored.job_version)
        left = stored.left if after >= micros_of("now", now) else None
        return replace(found, ticks=found.ticks[:left], warnings=tuple(dict.fromkeys((*found.warnings, *stored.warnings))))


def _derived(job_id: str, job_version: int, after: Micros, until: Micros, only_unfired: bool) -> str:
    named = f"{job_id}\0{job_version}\0{after}\0{until}\0{only_unfired}"
    return f"backfill-{blake2b(named.encode(), digest_size=12).hexdigest()}"
