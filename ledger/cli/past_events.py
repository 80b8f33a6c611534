"""Histories as people and programs read them: each event with its time, its name, who it goes back to and why."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from ledger.cli.output import row_of, text_of
from ledger.core import exact_json, wire
from projections.rows import PastEvent

COLUMNS: Final = ("at", "log", "partition", "seq", "index", "type", "actor", "cause", "event")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def rows_of(history: Sequence[PastEvent]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for past in history:
        event = exact_json.loads(wire.encode(past.event))
        assert isinstance(event, dict)
        moment = text_of(_EPOCH + timedelta(microseconds=past.at))
        cause = past.cause
        back_to = {"actor": None, "cause": None} if cause is None else {"actor": cause.actor, "cause": str(cause)}
        rows.append({"at": moment, "log": past.log, **row_of(past.address), "type": event.pop("type"), **back_to, "event": event})
    return rows
