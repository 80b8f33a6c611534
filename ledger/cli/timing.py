"""The options that say when a job runs, in the words of the schedule, for every command that takes them."""

from datetime import UTC, datetime
from typing import Annotated

import typer

Cron = Annotated[
    list[str] | None, typer.Option(metavar="EXPRESSION", help="5 fields, or 6 with the seconds first; may be given many times.")
]
Every = Annotated[str | None, typer.Option(metavar="DURATION", help="An interval, aligned to the epoch: 15m.")]
At = Annotated[str | None, typer.Option(metavar="TIME", help="Once, at this instant.")]
Offset = Annotated[str | None, typer.Option(metavar="DURATION", help="With --every: this much later.")]
Timezone = Annotated[str | None, typer.Option(metavar="ZONE", help="Europe/Berlin; UTC by default.")]
Dst = Annotated[str, typer.Option(metavar="POLICY", help="Where the clock changes: vixie, cronos, literal or last.")]
Start = Annotated[str | None, typer.Option(metavar="TIME", help="No tick before it.")]
End = Annotated[str | None, typer.Option(metavar="TIME", help="No tick after it.")]
Exclude = Annotated[
    list[str] | None, typer.Option(metavar="DATE|EXPRESSION", help="Leave these out: 2026-12-25 or '* 0-5 * * *'; many times.")
]
OverlapOption = Annotated[
    str | None,
    typer.Option(
        metavar="POLICY", help="It still runs when a tick is due: skip, buffer_one, buffer_all, cancel_other, terminate_other, allow_all."
    ),
]
CatchupWindow = Annotated[str | None, typer.Option(metavar="DURATION", help="Late ticks older than this are not made up; 1h.")]
CoalesceOption = Annotated[str | None, typer.Option(metavar="POLICY", help="Of several late ticks: latest, earliest or all.")]
Jitter = Annotated[str | None, typer.Option(metavar="DURATION", help="Spread: each job up to this much later, always the same.")]
Limit = Annotated[int | None, typer.Option(min=1, help="So many ticks, then no more.")]
PauseOnFailure = Annotated[int | None, typer.Option(min=1, metavar="N", help="Pause itself after N failures in a row.")]
Reason = Annotated[str | None, typer.Option(help="Why; it is kept.")]


def now() -> str:
    return datetime.now(UTC).isoformat()
