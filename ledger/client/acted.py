"""What became of an act, for the one who asked for it."""

from dataclasses import dataclass
from typing import Literal

from ledger.core.outcome import Answer
from ledger.core.refusal import Refused

Verdict = Literal["applied", "unchanged", "stale", "rejected"]


@dataclass(frozen=True, slots=True)
class Acted:
    """`unchanged`: it was so already. `stale`: something newer is in force. `rejected` stands only in the answer of many at once: alone,
    a refusal is raised. It is decided in the commit `seq` of this partition of the log; partitions that it concerns follow in a moment:
    it is in force where they name that commit or a later one."""

    command_id: str
    outcome: Verdict
    job_id: str | None = None
    reason: str | None = None
    detail: str | None = None
    log: str | None = None
    partition: int | None = None
    seq: int | None = None


def acted(answer: Answer, command_id: str) -> Acted:
    """Raises `Refused`."""
    made = acted_or_rejected(answer, command_id)
    if made.outcome == "rejected":
        raise Refused(answer.reason or "rejected", answer.detail or f"command {command_id} was refused")
    return made


def acted_or_rejected(answer: Answer, command_id: str) -> Acted:
    match answer.outcome:
        case "applied" | "unchanged" | "stale" | "rejected" as verdict:
            seq = None if answer.address is None else answer.address.seq
            return Acted(command_id, verdict, answer.job_id, answer.reason, answer.detail, answer.log, answer.partition, seq)
    return Acted(command_id, "applied", answer.job_id)  # from the tables, which know of an execution
