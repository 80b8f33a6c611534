"""One message of every stored shape, with every field in use; `tests/golden/` holds their bytes.

A golden file is for ever: a shape that changes gets a new type name, a new file, and an upcaster that still reads the old one.
"""

from msgspec import Raw, Struct, structs

from ledger.core import backfill, bulk, definition, execution, letters, outcome, pause, request, tick
from ledger.core.chain import GENESIS
from ledger.core.ids import NOWHERE, Address, ExecutionId, Micros, Position, Token, WorkerId
from ledger.core.offers import Offer, Offers
from ledger.core.options import KeptOptions, Options
from ledger.core.schedule_spec import KeptSchedule, ScheduleSpec
from ledger.core.uniqueness import Unique
from ledger.core.wire import Commit

EXECUTION = ExecutionId("019ac35e7b2075c4a1d2e3f405162738-3")
FORMER = ExecutionId("019ac35e7b1f75c4a1d2e3f405162738-3")
TOKEN = Token(144115188075857409)
WORKER = WorkerId("w-7f3a")
AT = Micros(1_764_000_000_000_000)
DATA = Raw(b'{"to": "a@example.org",  "n": 1.10}')  # bytes of a user's own: blanks and digits stay as they are
OPTIONS = Options(600_000, 3_600_000, 5, "exponential", 1_000, 60_000, "keep_last")
SCHEDULE = ScheduleSpec(
    cron=("0 */15 * * * *",),
    every_ms=900_000,
    offset_ms=5_000,
    timezone="Europe/Berlin",
    dst="literal",
    at="2026-01-01T00:00:00",
    start="2026-01-01T00:00:00",
    end="2027-01-01T00:00:00",
    exclude=("2026-12-25",),
    overlap="buffer_one",
    catchup_window_ms=60_000,
    coalesce="all",
    limit=12,
    jitter_ms=30_000,
    pause_on_failure=3,
)
KEPT_OPTIONS = KeptOptions(**structs.asdict(OPTIONS))
KEPT_SCHEDULE = KeptSchedule(**structs.asdict(SCHEDULE))
PERSON = {"actor": "ops@example.org", "reason": "asked for"}
TRACE = {"correlation_id": "order-4711", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}

STARTED = execution.Started(EXECUTION, 2, TOKEN, WORKER, waited_ms=12, deadline_at=AT)
COMPLETED = execution.Completed(EXECUTION, 2, run_ms=1_250, result=DATA)

EVENTS: dict[str, Struct] = {
    "execution.requested.v1": execution.Requested(
        EXECUTION,
        "send-invoice",
        "send-invoice",
        3,
        "on_demand",
        "mail",
        AT,
        trigger="retry",
        command_id="019ac35e7b2075c4a1d2e3f405162738",
        tenant="acme",
        exclusive_key="tenant:send-invoice:acme",
        idempotency_key="order-4711",
        priority=1,
        data=DATA,
        options=KEPT_OPTIONS,
        labels={"region": "eu"},
        run_at=AT,
        start_deadline=AT,
        tick_at=AT,
        due_at=AT,
        retry_of=FORMER,
        **PERSON,
        **TRACE,
        blocked_by=FORMER,
        ignore_pause=True,
        backfill_id="b-1",
        next_tick_at=AT,
        unique_key="7d865e959b2466918c9863afca942d0f",
    ),
    "execution.due.v1": execution.Due(EXECUTION),
    "execution.started.v1": structs.replace(STARTED, after=FORMER),
    "execution.progressed.v1": execution.Progressed(EXECUTION, 2, 40, note="rendered ✓"),
    "execution.completed.v1": COMPLETED,
    "execution.attempt_failed.v1": execution.AttemptFailed(EXECUTION, 1, "timed_out", "TimeoutError", "10 min", AT, run_ms=600_000),
    "execution.failed.v1": execution.Failed(EXECUTION, 5, "failed", "ValueError", "no such invoice", run_ms=7),
    "execution.handed_back.v1": execution.HandedBack(EXECUTION, 1, WORKER, run_ms=7),
    "execution.snoozed.v1": execution.Snoozed(EXECUTION, 1, AT, run_ms=7),
    "execution.attempt_lost.v1": execution.AttemptLost(EXECUTION, 1, WORKER),
    "execution.lost.v1": execution.Lost(EXECUTION, 3, WORKER),
    "execution.missed.v1": execution.Missed(EXECUTION, "start_deadline"),
    "execution.skipped.v1": execution.Skipped(EXECUTION, "version_too_old", WORKER, "version 1, the handler needs 2", 2),
    "execution.blocked.v1": execution.Blocked(EXECUTION, FORMER),
    "execution.cancel_requested.v1": execution.CancelRequested(EXECUTION, "cancel_other", FORMER, "ops@example.org", "too old"),
    "execution.cancelled.v1": execution.Cancelled(EXECUTION, "terminate_other", 2, 7, FORMER, "ops@example.org", "not needed"),
    "execution.report_refused.v1": execution.ReportRefused(EXECUTION, TOKEN, WORKER, "stale_token"),
    "log.opened.v1": outcome.Opened("99df457532c341da91c0d2948c483165", 4, epoch=2),
    "command.rejected.v1": outcome.Rejected(
        "c-1", "execution.submit.v1", "unknown_job", "there is no job send-invoic", "send-invoic", "acme", "ops@example.org", "k-1"
    ),
    "command.accepted.v1": outcome.Accepted("c-1", "manifest.apply.v1", "stale", "sync", "acme", "ops@example.org", EXECUTION, "k-1"),
    "command.forwarded.v1": outcome.Forwarded("c-1", "execution.submit.v1", 3),
    "command.dead_lettered.v1": outcome.DeadLettered(Position(17, 4), "invalid_json"),
    "schedule.adopted.v1": tick.Adopted("sync", 2, AT, engine=2, tzdata="2025b", next_tick_at=AT, fired=3),
    "schedule.dropped.v1": tick.Dropped("sync"),
    "schedule.rezoned.v1": tick.Rezoned(2, "2025b", 1, "2025a"),
    "schedule.auto_paused.v1": tick.AutoPaused("sync", 3, "3 in a row failed", EXECUTION, Address(12, 1)),
    "schedule.auto_resumed.v1": tick.AutoResumed("sync", AT, **PERSON),
    "tick.skip_ordered.v1": tick.SkipOrdered("sync", AT, 2, "c-5", **PERSON),
    "backfill.begun.v1": backfill.Begun("b-1", "sync", 2, AT, AT, 24, True, "c-5", "acme", **PERSON),
    "backfill.advanced.v1": backfill.Advanced("b-1", "sync", AT, 20, 4),
    "backfill.finished.v1": backfill.Finished("b-1", "sync", 20, 4, "retired"),
    "bulk.begun.v1": bulk.Begun("k-1", "retry", 24, Raw(b'{"state":["failed"]}'), **PERSON),
    "bulk.finished.v1": bulk.Finished("k-1"),
    "letter.redriven.v1": letters.Redriven("events/3/17/0", ("c-15",), **PERSON),
    "letter.discarded.v1": letters.Discarded("registry/0/4/1", **PERSON),
    "tick.skipped.v1": tick.Skipped("sync", "sync", 2, AT, AT, 3, "overlap", "acme", because_of=EXECUTION, next_tick_at=AT),
    "tick.missed.v1": tick.Missed("sync", "sync", 2, AT, AT, 3, "catchup_window", "acme", next_tick_at=AT),
    "job.registered.v1": definition.Registered(
        "sync", "sync", "scheduled", "default", "key", "acme", **PERSON, name="hourly", exclusive_key="7", exclusive_field="account"
    ),
    "job.versioned.v1": definition.Versioned(
        "sync", 2, "9f86d081884c7d65", True, DATA, KEPT_OPTIONS, KEPT_SCHEDULE, **PERSON, engine=1, tzdata="2025b", by_content=True
    ),
    "job.retired.v1": definition.Retired("sync", **PERSON),
    "pause.began.v1": pause.Began("tenant", "acme", "unpaid", **PERSON),
    "pause.ended.v1": pause.Ended("tenant", "acme", **PERSON),
    "manifest.applied.v1": definition.ManifestApplied("60303ae22b998861", (("sync", 2),), ("cleanup",), **PERSON),
}

COMMANDS: dict[str, Struct] = {
    "execution.submit.v1": request.Submit(
        "019ac35e7b2075c4a1d2e3f405162738",
        "send-invoice",
        DATA,
        tenant="acme",
        exclusive_key="acme",
        idempotency_key="order-4711",
        priority=1,
        delay_ms=5_000,
        run_at=AT,
        options=OPTIONS,
        labels={"region": "eu"},
        **PERSON,
        **TRACE,
        after=Address(12, 1),
        answer="jobledger:answer:7",
        follow=True,
        unique=Unique("7d865e959b2466918c9863afca942d0f", ("waiting", "completed"), "reject"),
    ),
    "job.run_now.v1": request.RunNow(
        "c-2",
        "sync",
        DATA,
        **PERSON,
        **TRACE,
        after=Address(12, 1),
        answer="jobledger:answer:7",
        follow=True,
        overlap="cancel_other",
        ignore_pause=True,
    ),
    "job.backfill.v1": request.Backfill("c-5", "sync", "b-1", AT, AT, True, **PERSON, after=Address(12, 1), answer="a"),
    "tick.skip.v1": request.SkipTick("c-6", "sync", AT, **PERSON, after=Address(12, 1), answer="a"),
    "execution.cancel.v1": request.Cancel("c-11", EXECUTION, **PERSON, bulk_id="k-1", answer="a"),
    "execution.retry.v1": request.Retry(
        "c-12",
        EXECUTION,
        "send-invoice",
        3,
        DATA,
        tenant="acme",
        exclusive_key="7",
        priority=1,
        options=OPTIONS,
        labels={"region": "eu"},
        tick_at=AT,
        correlation_id="order-4711",
        **PERSON,
        bulk_id="k-1",
        after=Address(12, 1),
        answer="a",
    ),
    "bulk.begin.v1": request.BeginBulk("c-13", "k-1", "retry", 24, Raw(b'{"state":["failed"]}'), **PERSON, answer="a"),
    "bulk.finish.v1": request.FinishBulk("c-14", "k-1", **PERSON, answer="a"),
    "letter.redrive.v1": request.Redrive(
        "redrive:events.3.17.0", "events/3/17/0", Raw(b'{"type":"execution.submit.v1"}'), **PERSON, bulk_id="k-1", answer="a"
    ),
    "letter.discard.v1": request.Discard("discard:registry.0.4.1", "registry/0/4/1", **PERSON, answer="a"),
    "offers.return.v1": request.Return(WORKER, "mail", (EXECUTION, FORMER), "limited", "queue:mail", 1500),
    "execution.report.v1": execution.Report(
        EXECUTION,
        TOKEN,
        WORKER,
        ago_ms=3,
        timeout_ms=600_000,
        progress=40,
        note="rendered",
        outcome="failed",
        run_ms=7,
        result=DATA,
        error_type="ValueError",
        error_message="no such invoice",
        retry_after_ms=1_000,
        answer="jobledger:answer:7",
        takes_next=True,
        skip_reason="version_too_old",
    ),
}

REGISTRY_COMMANDS: dict[str, Struct] = {
    "job.register.v1": definition.Register(
        "c-3",
        "sync",
        "sync",
        "system",
        "default",
        2,
        "9f86d081884c7d65",
        "tenant",
        "acme",
        DATA,
        OPTIONS,
        SCHEDULE,
        **PERSON,
        answer="a",
        exclusive_field="account",
    ),
    "job.schedule.v1": definition.ScheduleJob(
        "c-7",
        "sync",
        "9f86d081884c7d65",
        SCHEDULE,
        "sync~1",
        "hourly",
        "acme",
        "default",
        2,
        "key",
        "7",
        DATA,
        OPTIONS,
        **PERSON,
        answer="a",
    ),
    "job.retire.v1": definition.Retire("c-8", "sync", **PERSON, answer="a"),
    "pause.begin.v1": pause.Pause("c-9", "tenant", "acme", "unpaid", **PERSON, answer="a"),
    "pause.end.v1": pause.Resume("c-10", "tenant", "acme", **PERSON, answer="a"),
    "manifest.apply.v1": definition.ApplyManifest(
        "c-4", "60303ae22b998861", (("sync", 2, "9f86d081884c7d65"),), rollback=True, **PERSON, answer="a"
    ),
}

RECORDS: dict[str, Struct] = {
    "commit.opening.v1": Commit(1, "registry", 0, 1, GENESIS, 0, NOWHERE, None, (outcome.Opened("99df457532c341da91c0d2948c483165", 4),)),
    "commit.v1": Commit(
        1,
        "events",
        3,
        41,
        "ab" * 32,
        AT,
        Position(17, 4),
        Address(12, 0),
        (STARTED, COMPLETED),
    ),
    "commit.empty.v1": Commit(1, "events", 3, 42, "cd" * 32, AT, Position(17, 4), Address(12, 0)),
    "offers.v1": Offers(
        3,
        (
            Offer(
                EXECUTION,
                TOKEN,
                2,
                "send-invoice",
                "send-invoice",
                3,
                DATA,
                KEPT_OPTIONS,
                tenant="acme",
                trigger="retry",
                tick_at=AT,
                idempotency_key="order-4711",
                again=2,
                exclusive_key="tenant:send-invoice:acme",
                **TRACE,
            ),
        ),
    ),
}

ALL: dict[str, Struct] = {**EVENTS, **COMMANDS, **REGISTRY_COMMANDS, **RECORDS}
