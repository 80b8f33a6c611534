"""The history of a job: each version with who, when, why, and what differs from the one before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.client.content import Difference, compared
from ledger.client.names import check_name
from ledger.client.reading import Versions
from ledger.core.refusal import Refused
from projections.rows import JobVersion, Page


@dataclass(frozen=True, slots=True)
class VersionChange:
    """`differences`: to the version before; of the first one all that it says."""

    job_id: str
    job_version: int
    created_at: datetime
    actor: str | None
    reason: str | None
    content_hash: str
    differences: tuple[Difference, ...]


def document_of(version: JobVersion) -> dict[str, object]:
    """The parts of a version that are said."""
    parts = {"data": version.data, "options": version.options, "schedule": version.schedule}
    return {name: value for name, value in parts.items() if value is not None}


def changes_of(versions: Sequence[JobVersion], before: JobVersion | None) -> list[VersionChange]:
    """`versions` are the newest first; `before` is the one that is older than all of them."""
    changes: list[VersionChange] = []
    for version, older in zip(versions, [*versions, before][1:], strict=True):
        found = compared({} if older is None else document_of(older), document_of(version))
        changes.append(
            VersionChange(
                version.job_id,
                version.job_version,
                version.created_at,
                version.actor,
                version.reason,
                version.content_hash,
                tuple(found),
            )
        )
    return changes


async def version_history(versions: Versions, job_id: str, *, cursor: str | None = None, limit: int = 50) -> Page[VersionChange]:
    """The newest first. Raises `Refused` if there is no such job."""
    page = await versions.list(check_name(job_id, "job_id"), cursor=cursor, limit=limit)
    if not page.items and cursor is None:
        raise Refused("unknown_job", f"there is no job {job_id} with a version: `jobledger jobs list` shows what there is")
    older = await versions.list(job_id, cursor=page.next, limit=1) if page.next is not None else None
    return Page(tuple(changes_of(page.items, older.items[0] if older is not None and older.items else None)), page.next)


async def version_differences(versions: Versions, job_id: str, first: int, second: int) -> list[Difference]:
    """What the second says otherwise than the first. Raises `Refused` for a version that is not there."""
    check_name(job_id, "job_id")
    return compared(await _document(versions, job_id, first), await _document(versions, job_id, second))


async def _document(versions: Versions, job_id: str, number: int) -> dict[str, object]:
    version = await versions.get(job_id, number)
    if version is None:
        raise Refused("unknown_version", f"{job_id} has no version {number}: `jobledger jobs versions {job_id}` shows them")
    return document_of(version)
