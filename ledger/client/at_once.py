"""`immediately`: one run-now of a version once it is accepted, however many nodes ask for it, and also where the first one died before.

The command's id follows from job and version, so a repeat within the deduplication window decides to nothing; nobody asks later than half
of it after the acceptance, by the log's time and by this machine's clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from ledger.client.ledger import Ledger
from ledger.core.definition import Registry
from ledger.core.ids import Address, Micros
from ledger.core.request import RunNow

SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Moment:
    """`settled_at`: the time of the registry's last commit; `now`: by this machine."""

    settled_at: Micros
    now: Micros


def owed(wanted: Iterable[tuple[str, int]], registry: Registry, moment: Moment, window: float) -> list[tuple[str, int]]:
    """Of these (job id, version), which are in force once the configuration is applied, those whose run may not have been asked for."""
    return [(job_id, number) for job_id, number in wanted if _is_fresh(job_id, number, registry, moment, int(window * SECOND / 2))]


def _is_fresh(job_id: str, number: int, registry: Registry, moment: Moment, patience: int) -> bool:
    job = registry.jobs.get(job_id)
    version = None if job is None else job.version(number)
    return version is None or max(moment.settled_at, moment.now) - version.accepted_at <= patience


async def run_at_once(ledger: Ledger, job_id: str, number: int, after: Address | None, reason: str | None, timeout: float) -> None:
    named = blake2b(f"{job_id}\0{number}".encode(), digest_size=16).hexdigest()
    command = RunNow(f"immediately-{named}", job_id, actor=ledger.acting, reason=reason or "immediately", after=after)
    await ledger.run_one(command, timeout=timeout)
