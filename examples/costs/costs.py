"""What each tenant's executions cost, day by day: a projection of one's own, kept up to date by `jobledger projections run`.

SELECT * FROM jobledger.cost_per_tenant_and_day ORDER BY day, tenant;
"""

from datetime import UTC, datetime

from ledger.core import execution
from ledger.core.ids import Micros
from ledger.core.wire import Event
from projections.own import Own, bigint, own_projection, own_table, text

MICRO_EUROS_PER_SECOND = 12

# An attempt's end does not say whose it was, so the fold remembers it in a table of its own while the execution is under way.
under_way = own_table(
    "cost_under_way",
    text("execution_id", "an execution that has not ended", required=True),
    text("tenant", "whose it is; empty: nobody's in particular", required=True),
    key=("execution_id",),
)
per_day = own_table(
    "cost_per_day",
    text("tenant", "for whom it ran; empty: for nobody in particular", required=True),
    text("day", "in UTC", required=True),
    bigint("attempts", "how many attempts ended", required=True),
    bigint("run_ms", "how long they ran, all together", required=True),
    bigint("micro_euros", "what that costs", required=True),
    key=("tenant", "day"),
)


def fold(rows: Own, event: Event, at: Micros) -> None:
    """Pure: no clock, no random, nothing read from elsewhere, or a rebuild would not lead to the same tables."""
    match event:
        case execution.Requested():
            rows.put(under_way, execution_id=event.execution_id, tenant=event.tenant or "")
        case execution.AttemptFailed() | execution.HandedBack() | execution.Snoozed():
            charge(rows, event.execution_id, event.run_ms, at)
        case execution.Completed() | execution.Failed() | execution.Cancelled():
            if event.attempt:  # 0: cancelled while it waited
                charge(rows, event.execution_id, event.run_ms, at)
            rows.remove(under_way, event.execution_id)
        case execution.Lost() | execution.Missed() | execution.Skipped():
            rows.remove(under_way, event.execution_id)
        case _:
            pass


def charge(rows: Own, execution_id: str, run_ms: int, at: Micros) -> None:
    known = rows.get(under_way, execution_id)
    if known is None:
        return
    tenant, day = known.text("tenant"), datetime.fromtimestamp(at / 1_000_000, UTC).date().isoformat()
    so_far = rows.get(per_day, tenant, day)
    attempts, total = (1, run_ms) if so_far is None else (so_far.number("attempts") + 1, so_far.number("run_ms") + run_ms)
    rows.put(per_day, tenant=tenant, day=day, attempts=attempts, run_ms=total, micro_euros=total * MICRO_EUROS_PER_SECOND // 1000)


# Raise the version with the price, a column or the fold; then `jobledger projections rebuild costs`.
costs = own_projection(
    "costs",
    version=2,
    tables=[under_way, per_day],
    fold=fold,
    views={
        "cost_per_tenant_and_day": (
            "SELECT tenant, day, sum(attempts)::bigint AS attempts, sum(run_ms)::bigint AS run_ms, sum(micro_euros)::bigint AS micro_euros"
            " FROM {schema}.cost_per_day GROUP BY tenant, day"
        )
    },
)
