"""Acts on one execution: cancel it, or run again what has ended."""

from ledger.client.acted import Acted, acted
from ledger.client.handle import ExecutionHandle
from ledger.client.line import DECISION, Line
from ledger.client.reading import Executions
from ledger.client.retrying import RETRIABLE, retry_of
from ledger.core.ids import ExecutionId, partition_of
from ledger.core.refusal import Refused
from ledger.core.request import Cancel
from ledger.submitting.naming import fresh_command_id


class ExecutionActs:
    """A part of `Ledger`."""

    _line: Line
    acting: str
    executions: Executions

    async def cancel(self, execution_id: str, *, reason: str | None = None, timeout: float = DECISION) -> Acted:
        """What waits is cancelled when this returns. What runs is asked to stop: its code sees `ctx.cancelled`, after
        `limits.cancel_grace` it is made to, and it is cancelled once its code has ended. What has ended stays as it is (`unchanged`)."""
        command = Cancel(fresh_command_id(), ExecutionId(execution_id), self.acting, reason)
        answer = await self._line.act_in(self._home_of(execution_id), command, timeout)
        if answer.reason == "unknown_execution":  # control forgets in time who has ended; the tables do not
            row = await self.executions.get(execution_id)
            if row is not None and row.is_over:
                return Acted(command.command_id, "unchanged", row.job_id)
        return acted(answer, command.command_id)

    async def retry(self, execution_id: str, *, reason: str | None = None, timeout: float = DECISION) -> ExecutionHandle:
        """Run it again: a new execution that names it as `retry_of`, with all that was asked for then. Of what ended in any other way than
        completed. An execution is retried once; asked again, the answer is its retry (`was_known`), which may be retried in its turn."""
        home = self._home_of(execution_id)
        reads = await self._line.reads()
        row = await reads.execution(execution_id)
        if row is None:
            raise Refused("unknown_execution", f"the tables have no execution {execution_id}, or do not have it yet")
        if row.state not in RETRIABLE:
            raise _not_to_be_retried(execution_id, row.state)
        if (known := await reads.retry_of(execution_id)) is not None:
            return ExecutionHandle(ExecutionId(known), self.executions.get, was_known=True)
        requested = (await reads.requests([row]))[execution_id]
        command = retry_of(requested, fresh_command_id(), self.acting, reason)
        answer = await self._line.act_in(home, command, timeout)
        done = acted(answer, command.command_id)
        new = answer.execution_id or await reads.retry_of(execution_id)
        if new is None:
            raise Refused("unknown_execution", f"{execution_id} was retried already, and the tables do not have its retry yet")
        return ExecutionHandle(ExecutionId(new), self.executions.get, command_id=done.command_id, was_known=done.outcome == "unchanged")

    def _home_of(self, execution_id: str) -> int:
        """Its partition. Raises `Refused` for what is no id of an execution here."""
        home = partition_of(execution_id)
        if home is None or home >= self._line.settings.partitions:
            raise Refused("unknown_execution", f"{execution_id!r} is no id of an execution: `jobledger executions list` shows them")
        return home


def _not_to_be_retried(execution_id: str, state: str) -> Refused:
    if state == "completed":
        return Refused("completed", f"{execution_id} completed: there is nothing to retry; `jobledger submit` runs its job once more")
    return Refused("still_running", f"{execution_id} is {state}: wait for its end, or cancel it first")
