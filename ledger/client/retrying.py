"""From what was asked for, as it stands in the log, to the command that asks for it again."""

from typing import Final

from msgspec import structs

from ledger.core.execution import Requested
from ledger.core.options import KeptOptions, Options
from ledger.core.request import Retry

RETRIED: Final = ("failed", "timed_out", "lost")  # what a bulk retry is about where it does not say
RETRIABLE: Final = (*RETRIED, "cancelled", "missed", "skipped")


def retry_of(requested: Requested, command_id: str, actor: str | None, reason: str | None, bulk_id: str | None = None) -> Retry:
    """The same job and version, data, tenant, key, priority, options and labels. What was delayed is not delayed again."""
    return Retry(
        command_id,
        requested.execution_id,
        requested.job_id,
        requested.job_version,
        requested.data,
        requested.tenant,
        _key_of(requested),
        requested.priority,
        _options_of(requested.options),
        requested.labels,
        requested.tick_at,
        requested.correlation_id,
        actor,
        reason,
        bulk_id,
    )


def _key_of(requested: Requested) -> str | None:
    """The value alone, where the execution brought one. Control makes the key in full of it, or of what the job says."""
    prefix = f"key:{requested.job_name}:"
    full = requested.exclusive_key
    return full.removeprefix(prefix) if full is not None and full.startswith(prefix) else None


def _options_of(options: KeptOptions | None) -> Options | None:
    return None if options is None else Options(**structs.asdict(options))
