"""The usual questions and their queries, for `docs/tables.md`; a test runs each. Names of tables without a schema: set `search_path`."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Question:
    asked: str
    query: str


QUESTIONS: Final = (
    Question(
        "How long do jobs take: the 95th percentile of each, last week",
        """
SELECT job_id, count(*) AS runs,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY run_ms) AS p50_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY run_ms) AS p95_ms
FROM job_executions
WHERE state = 'completed' AND finished_at >= now() - interval '7 days'
GROUP BY job_id
ORDER BY p95_ms DESC
""",
    ),
    Question(
        "What failed last night, and why",
        """
SELECT finished_at, job_id, tenant, execution_id, state, attempt, reason, error_type, error_message
FROM job_executions
WHERE state IN ('failed', 'timed_out', 'lost', 'missed') AND finished_at >= now() - interval '12 hours'
ORDER BY finished_at DESC
""",
    ),
    Question(
        "What is stuck: beyond its time, or waiting for more than an hour",
        """
SELECT execution_id, job_id, state, worker, coalesce(started_at, eligible_at) AS since, deadline_at, waiting_reason, blocked_by
FROM job_executions
WHERE finished_at IS NULL
  AND (deadline_at < now() OR (state = 'waiting' AND eligible_at < now() - interval '1 hour'))
ORDER BY since
""",
    ),
    Question(
        "Which tenant waits longest",
        """
SELECT tenant, count(*) AS waiting, now() - min(eligible_at) AS longest
FROM job_executions
WHERE finished_at IS NULL AND state = 'waiting'
GROUP BY tenant
ORDER BY longest DESC
""",
    ),
    Question(
        "Which schedules were late yesterday and today, by more than a second",
        """
SELECT job_id, count(*) AS late, max(lateness_ms) AS worst_ms, max(tick_at) AS last_late_tick
FROM schedule_ticks
WHERE outcome = 'fired' AND tick_at >= date_trunc('day', now()) - interval '1 day' AND lateness_ms > 1000
GROUP BY job_id
ORDER BY worst_ms DESC
""",
    ),
    Question(
        "Which ticks of the last day did not fire, and why; what was skipped together is counted whole",
        """
SELECT job_id, outcome, reason, sum(tick_count) AS ticks, min(tick_at) AS first, max(last_tick_at) AS last
FROM schedule_ticks
WHERE outcome IN ('skipped', 'missed') AND last_tick_at >= now() - interval '1 day'
GROUP BY job_id, outcome, reason
ORDER BY ticks DESC
""",
    ),
    Question(
        "Which jobs fail again and again",
        """
SELECT job_id, tenant, consecutive_failures, last_state, last_finished_at, auto_paused_note
FROM jobs
WHERE consecutive_failures > 0
ORDER BY consecutive_failures DESC
""",
    ),
    Question(
        "What is paused, by whom and why",
        """
SELECT scope, name, note, actor, since FROM pauses
UNION ALL
SELECT 'job', job_id, auto_paused_note, NULL, NULL FROM job_status WHERE auto_paused_note IS NOT NULL
ORDER BY since
""",
    ),
    Question(
        "What fires next",
        """
SELECT next_tick_at, job_id, job_name, tenant
FROM jobs
WHERE next_tick_at IS NOT NULL AND state = 'active' AND auto_paused_note IS NULL
ORDER BY next_tick_at
LIMIT 20
""",
    ),
    Question(
        "How far the backfills are",
        """
SELECT bulk_id, filter ->> 'job_id' AS job_id, sum(planned) AS planned, sum(done) AS done, sum(refused) AS left_out
FROM bulk_acts
WHERE kind = 'backfill' AND finished_at IS NULL
GROUP BY bulk_id, job_id
ORDER BY bulk_id
""",
    ),
)
