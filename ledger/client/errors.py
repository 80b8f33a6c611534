"""How an execution can end other than well, and a decision that does not come."""

from typing import Final

from ledger.core.refusal import LedgerError, Unavailable

_SAID: Final = {
    "timed_out": "timed out",
    "lost": "lost its worker",
    "missed": "was missed",
    "skipped": "was skipped",
    "cancelled": "was cancelled",
}


class ExecutionEnded(LedgerError):
    """The execution is over and was not completed. `state` is its terminal state."""

    def __init__(self, execution_id: str, state: str, why: str) -> None:
        super().__init__(f"execution {execution_id} {_SAID.get(state, state)}" + (f": {why}" if why else ""))
        self.execution_id = execution_id
        self.state = state


class ExecutionFailed(ExecutionEnded):
    """Its last attempt failed or timed out, or it lost its worker too often."""

    def __init__(self, execution_id: str, state: str, error_type: str, message: str) -> None:
        super().__init__(execution_id, state, f"{error_type}: {message}" if error_type else message)
        self.error_type = error_type
        self.message = message


class ExecutionSkipped(ExecutionEnded):
    """It never ran, on purpose: skipped, or too late to start (`missed`). `reason` is a stable word."""

    def __init__(self, execution_id: str, state: str, reason: str) -> None:
        super().__init__(execution_id, state, reason)
        self.reason = reason


class ExecutionCancelled(ExecutionEnded):
    """Somebody cancelled it, or its handler found nothing to do."""

    def __init__(self, execution_id: str, state: str, reason: str) -> None:
        super().__init__(execution_id, state, reason)
        self.reason = reason


class Undecided(Unavailable):
    """The command stands in Kafka, but nobody decided it in time. It will be, once control runs; sending it anew makes a second one.
    Without `seconds` the client was closed meanwhile, maybe before the command was sent. `stopped`: the partition that would decide it
    stands still, and why, where that is known."""

    def __init__(self, command_id: str, seconds: float | None = None, stopped: tuple[str, str] | None = None) -> None:
        super().__init__(_undecided(f"jobledger commands show {command_id}", command_id, seconds, stopped))
        self.command_id = command_id
        self.seconds = seconds


def _undecided(shown_by: str, command_id: str, seconds: float | None, stopped: tuple[str, str] | None) -> str:
    if seconds is None:
        return f"the client was closed before it heard what became of command {command_id}: `{shown_by}` tells it"
    said = f"command {command_id} was sent, but not decided within {seconds:g} s"
    if stopped is not None:
        partition, why = stopped
        return f"{said}, as {partition} stopped; it will be once that is mended: `{shown_by}`. Why it stopped: {why}"
    return (
        f"{said}: is a worker running (`jobledger worker`), and did no partition stop (its log says so, `actor.stopped`)? "
        f"It will be decided when one runs: `{shown_by}`"
    )
