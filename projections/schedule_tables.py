"""The tables of schedules: ticks, scheduled jobs as control sees them, pauses, and acts that go on in steps."""

from typing import Final, get_args

from sqlalchemy import Index, PrimaryKeyConstraint, Table, text

from ledger.core.bulk import BulkKind
from ledger.core.pause import PauseScope
from projections import columns as of
from projections.columns import METADATA

TICK_OUTCOMES: Final = ("fired", "skipped", "missed")
BULK_KINDS: Final = (*get_args(BulkKind), "backfill")
PAUSE_SCOPES: Final = get_args(PauseScope)

schedule_ticks: Final = Table(
    "schedule_ticks",
    METADATA,
    of.text("job_id", "the job", required=True),
    of.text("job_name", "the handler it runs", required=True),
    of.text("tenant", "whose job it is"),
    of.integer("job_version", "the version whose schedule expected it", required=True),
    of.instant("tick_at", "its nominal time; of a range: the first one's", required=True),
    of.instant("last_tick_at", "of a range: the last one's; else the same as tick_at", required=True),
    of.bigint("tick_count", "how many ticks the row stands for: more than one where they were skipped or missed in a row", required=True),
    of.instant("due_at", "when it was to fire: its nominal time and the job's jitter; null unless it fired"),
    of.instant("decided_at", "when it was decided", required=True),
    of.bigint("lateness_ms", "from due to decided; null unless it fired"),
    of.text("outcome", "fired, skipped or missed", required=True),
    of.text("reason", "of skipped: overlap, buffer_full, paused, by_hand or busy; of missed: catchup_window or coalesced"),
    of.text("execution_id", "the execution it led to; null unless it fired"),
    of.text("blocked_by", "the execution that stood in its way, where one did"),
    *of.address(),
    PrimaryKeyConstraint("job_id", "tick_at", name="schedule_ticks_pkey"),
)
Index("schedule_ticks_outcome", schedule_ticks.c.outcome, schedule_ticks.c.tick_at)
Index("schedule_ticks_tick", schedule_ticks.c.tick_at, schedule_ticks.c.job_id)
Index("schedule_ticks_ranges", schedule_ticks.c.last_tick_at, postgresql_where=text("tick_count > 1"))

job_status: Final = Table(
    "job_status",
    METADATA,
    of.text("job_id", "the job", required=True),
    of.integer("in_force_version", "the version whose schedule fires; null: none does any more"),
    of.instant("next_tick_at", "the tick it expects next (nominal), as control reckoned when it decided the last one; null: none"),
    of.instant("last_tick_at", "the newest tick that has its outcome, whatever that is"),
    of.text("last_state", "the terminal state of its execution that ended last"),
    of.instant("last_finished_at", "when that one ended"),
    of.bigint("consecutive_failures", "how many failed, timed out or were lost since one completed, or since a resume", required=True),
    of.text("auto_paused_note", "why it paused itself; null: it did not"),
    of.bigint("firings", "ticks that fired of the version in force", required=True),
    *of.address(),
    PrimaryKeyConstraint("job_id", name="job_status_pkey"),
)

pauses: Final = Table(
    "pauses",
    METADATA,
    of.text("scope", "what is paused: job, queue, tenant or key", required=True),
    of.text("name", "which one; of a key: as in exclusive_key", required=True),
    of.text("note", "what is said about it to whoever asks"),
    of.text("actor", "who paused it"),
    of.instant("since", "since when", required=True),
    *of.address(),
    PrimaryKeyConstraint("scope", "name", name="pauses_pkey"),
)

bulk_acts: Final = Table(
    "bulk_acts",
    METADATA,
    of.text("bulk_id", "the act; it may have a row in several partitions", required=True),
    of.text("kind", "backfill, cancel, retry or redrive", required=True),
    of.document("filter", "what it is about: of a backfill the job, its version and the range of ticks; else which executions were meant"),
    of.bigint("planned", "how many it was to be", required=True),
    of.bigint("done", "how many are done", required=True),
    of.bigint("refused", "how many were left out or refused", required=True),
    of.text("actor", "who wanted it"),
    of.text("reason", "why, in the actor's words"),
    of.text("outcome", "done, or why it ended early: retired; null: it goes on"),
    of.instant("started_at", "when it was accepted", required=True),
    of.instant("finished_at", "when all of it was done"),
    *of.address(),
    PrimaryKeyConstraint("bulk_id", "log_partition", name="bulk_acts_pkey"),
)
