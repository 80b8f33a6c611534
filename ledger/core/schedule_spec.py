"""A schedule as it is kept: in the registry's commands, events and versions. What people write becomes one in `schedule_text.py` and
`policy_text.py`; when it fires is for `schedule.py`."""

from typing import Final

from msgspec import Struct, json

from ledger.core.cron import Dst
from ledger.core.tick import Coalesce, Overlap


class ScheduleSpec(Struct, frozen=True, omit_defaults=True, gc=False, forbid_unknown_fields=True):
    """A schedule as written and normalised: one of `cron` (a union), `every_ms` and `at`. The engine is `ledger.core.schedule`.

    `at`, `start` and `end` stay texts: without an offset from UTC they are read in `timezone`, whose rules may change.
    What stands from `overlap` on is control's and no matter of the engine (`policies.py`).
    """

    cron: tuple[str, ...] | None = None
    every_ms: int | None = None
    offset_ms: int = 0
    timezone: str = "UTC"
    dst: Dst = "vixie"
    at: str | None = None
    start: str | None = None
    end: str | None = None
    exclude: tuple[str, ...] = ()
    overlap: Overlap = "skip"
    catchup_window_ms: int = 3_600_000  # late ticks older than this are not made up; at least 10 s
    coalesce: Coalesce = "latest"
    limit: int | None = None  # of ticks that fired, of this version
    jitter_ms: int = 0
    pause_on_failure: int | None = None  # after so many executions in a row that failed the job pauses itself

    @property
    def most(self) -> int | None:
        """How many of its ticks may fire. One instant fires once, also where other zone data move it."""
        return self.limit if self.at is None else 1

    def is_spent(self, fired: int) -> bool:
        """As many ticks fired as may: no more is expected."""
        return self.most is not None and fired >= self.most


class KeptSchedule(ScheduleSpec, frozen=True, omit_defaults=True, gc=False, forbid_unknown_fields=False):
    """The same in an event: a reader that is older than one of its fields reads the rest."""


read_schedule: Final = json.Decoder(KeptSchedule).decode
_encode: Final = json.Encoder().encode


def written_of(schedule: ScheduleSpec | None) -> bytes:
    return b"" if schedule is None else _encode(schedule)
