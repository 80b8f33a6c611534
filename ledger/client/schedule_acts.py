"""Acts on users' jobs with a schedule: schedule one or many, retire."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final

from msgspec import structs

from ledger.client.acted import Acted, acted, acted_or_rejected
from ledger.client.line import DECISION, Line
from ledger.client.names import check_name
from ledger.client.scheduling import Plan, Scheduling, command_of, id_of, scheduling_of
from ledger.core import definition
from ledger.core.bodies import NOTHING
from ledger.core.options import Options
from ledger.core.refusal import Refused
from ledger.handlers import near_miss
from ledger.submitting.naming import fresh_command_id

BREATH: Final = 100  # plans between two looks at what else the event loop has to do


class ScheduleActs:
    """A part of `Ledger`."""

    _line: Line
    acting: str

    async def schedule(
        self,
        job: str,
        *,
        name: str | None = None,
        cron: str | Sequence[str] | None = None,
        every: str | timedelta | None = None,
        at: str | datetime | None = None,
        offset: str | timedelta | None = None,
        timezone: str | None = None,
        dst: str = "vixie",
        start: str | date | None = None,
        end: str | date | None = None,
        exclude: Sequence[str | date] = (),
        limit: int | None = None,
        jitter: str | timedelta | None = None,
        overlap: str | None = None,
        catchup_window: str | timedelta | None = None,
        coalesce: str | None = None,
        pause_on_failure: int | None = None,
        tenant: str | None = None,
        data: object = NOTHING,
        exclusive: str = "tenant",
        exclusive_key: str | None = None,
        queue: str | None = None,
        version: int | None = None,
        options: Mapping[str, object] | Options | None = None,
        job_id: str | None = None,
        reason: str | None = None,
        timeout: float = DECISION,
    ) -> Acted:
        """Run the handler `job` on a schedule: a job of its own, in force once it is decided. Scheduling the same (job, tenant, name)
        again changes it, by a new version; saying the same again changes nothing. `Scheduling` says what each field may hold."""
        plan = Scheduling(
            job=job,
            name=name,
            cron=cron,
            every=every,
            at=at,
            offset=offset,
            timezone=timezone,
            dst=dst,
            start=start,
            end=end,
            exclude=exclude,
            limit=limit,
            jitter=jitter,
            overlap=overlap,
            catchup_window=catchup_window,
            coalesce=coalesce,
            pause_on_failure=pause_on_failure,
            tenant=tenant,
            data=data,
            exclusive=exclusive,
            exclusive_key=exclusive_key,
            queue=queue,
            version=version,
            options=options,
            job_id=job_id,
            reason=reason,
        )
        return await self.schedule_one(plan, timeout=timeout)

    async def schedule_one(self, plan: Scheduling, *, timeout: float = DECISION) -> Acted:
        """`schedule` for a plan that is made already."""
        command = self._command(plan)
        made = acted(await self._line.act(command, timeout), command.command_id)
        return replace(made, job_id=id_of(plan))

    async def schedule_many(self, plans: Iterable[Plan], *, reason: str | None = None, timeout: float = DECISION) -> list[Acted]:
        """Many at once, each a `Scheduling` or a mapping with its fields: a few records, each plan decided by itself. In the order of
        `plans`; one that control refuses has the outcome `rejected`. Nothing is sent if one of them cannot be. Where it ends half way
        (`Undecided`), doing it again is safe: what is in force already is unchanged."""
        commands = await self._commands(plans, reason)
        answers = await self._line.act_on_all([command for _, command in commands], timeout)
        made = [acted_or_rejected(answer, command.command_id) for (_, command), answer in zip(commands, answers, strict=True)]
        return [replace(one, job_id=id_of(plan)) for one, (plan, _) in zip(made, commands, strict=True)]

    async def _commands(self, plans: Iterable[Plan], reason: str | None) -> list[tuple[Scheduling, definition.ScheduleJob]]:
        made: list[tuple[Scheduling, definition.ScheduleJob]] = []
        for number, plan in enumerate(plans, 1):
            try:
                wanted = scheduling_of(plan)
                made.append((wanted, self._command(wanted if wanted.reason else structs.replace(wanted, reason=reason))))
            except Refused as refused:
                raise Refused(refused.reason, f"item {number}: {refused.detail}; nothing was sent") from refused
            if number % BREATH == 0:
                await asyncio.sleep(0)
        return made

    def _command(self, plan: Scheduling) -> definition.ScheduleJob:
        queues = self._line.settings.queues
        if plan.queue is not None and plan.queue not in queues:
            raise Refused("unknown_queue", f"queue {plan.queue!r} is not in `queues` of the settings{near_miss(plan.queue, list(queues))}")
        return command_of(plan, self.acting)

    async def retire(self, job_id: str, *, reason: str | None = None, timeout: float = DECISION) -> Acted:
        """Unschedule a user's job and keep its history. A system job is retired by taking it out of the configuration."""
        command = definition.Retire(fresh_command_id(), check_name(job_id, "job_id"), self.acting, reason)
        return acted(await self._line.act(command, timeout), command.command_id)
