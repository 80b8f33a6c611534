"""Cancel or retry all executions that a filter names; go on with what broke off."""

from typing import Final
from uuid import uuid4

from ledger.client.bulk_frame import BulkDone, done_of
from ledger.client.bulk_run import BulkRun, Told, plan_of
from ledger.client.letters import DeadLetters
from ledger.client.line import DECISION, Line
from ledger.client.redriving import redrive_again
from ledger.core.bulk import OnExecutions
from ledger.core.refusal import Refused
from projections.rows import ExecutionFilter

MOST_UNASKED: Final = 10_000  # executions that nobody has to confirm


def _unheard(bulk_id: str, decided: int, planned: int) -> None:
    pass


class BulkActing:
    """A part of `Ledger`."""

    _line: Line
    acting: str
    dead_letters: DeadLetters

    async def cancel_many(
        self,
        where: ExecutionFilter,
        *,
        reason: str | None = None,
        plan: bool = False,
        yes: bool = False,
        told: Told = _unheard,
        timeout: float = DECISION,
    ) -> BulkDone:
        """Cancel every execution that `where` names and that has not ended; what is asked for afterwards is not meant. `plan` counts and
        does nothing. More than 10 000 need `yes`. Should this break off, `resume_bulk` goes on; `bulk_acts` has a row of what was done."""
        return await self._act_on_many("cancel", where, reason, plan, yes, told, timeout)

    async def retry_many(
        self,
        where: ExecutionFilter,
        *,
        reason: str | None = None,
        plan: bool = False,
        yes: bool = False,
        told: Told = _unheard,
        timeout: float = DECISION,
    ) -> BulkDone:
        """Retry every execution that `where` names and that was not retried yet, as `cancel_many` cancels; those that `failed`, `timed_out`
        or were `lost`, unless it says other states."""
        return await self._act_on_many("retry", where, reason, plan, yes, told, timeout)

    async def resume_bulk(self, bulk_id: str, *, told: Told = _unheard, timeout: float = DECISION) -> BulkDone:
        """Go on with a bulk cancel, retry or redrive that broke off: what it did is not done again. One that came to its end stays as it
        is. `told` hears of executions. Raises `Refused` if there is none."""
        reads = await self._line.reads()
        rows = await reads.bulk_act(bulk_id)
        if rows and rows[0].kind == "redrive":
            return await redrive_again(self._line, self.dead_letters, rows, self.acting, timeout)
        run = await BulkRun.again(self._line, reads, bulk_id, self.acting, timeout, told)
        if run is not None:
            await run.run()
            return await run.frame.outcome({})
        done = done_of(rows)
        assert done is not None, "it was found a moment ago"
        return done

    async def _act_on_many(
        self, kind: OnExecutions, where: ExecutionFilter, reason: str | None, plan: bool, yes: bool, told: Told, timeout: float
    ) -> BulkDone:
        reads = await self._line.reads()
        made = await plan_of(reads, kind, where)
        if plan or not made.planned:
            return BulkDone(kind, made.planned, made.states, where=made.where)
        if made.planned > MOST_UNASKED and not yes:
            raise Refused("too_many", f"that are {made.planned} executions, more than {MOST_UNASKED}: confirm with `--yes` (yes=True)")
        run = BulkRun.of(self._line, reads, f"{kind}-{uuid4().hex}", made, self.acting, reason, timeout, told)
        await run.run()
        return await run.frame.outcome(made.states)
