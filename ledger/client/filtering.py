"""Which executions a bulk act is about: checked, bounded, and as its event keeps it to be read again by who goes on with it."""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Final

import orjson
from msgspec import Raw, ValidationError, convert

from ledger.client.retrying import RETRIABLE, RETRIED
from ledger.core.bulk import OnExecutions
from ledger.core.execution import TERMINAL
from ledger.core.refusal import Refused
from projections.reads import EVERYTHING
from projections.rows import ExecutionFilter
from projections.tables import EXECUTION_STATES

LIVE: Final = tuple(state for state in EXECUTION_STATES if state not in TERMINAL)
SAID: Final = {field.name: field.name.rstrip("_") for field in fields(ExecutionFilter)}  # a field's name, as it is written


def meant(kind: OnExecutions, where: ExecutionFilter) -> ExecutionFilter:
    """With the states that are meant where nothing is said of them; of no states (`()`) there is nothing, here as in a list. Raises
    `Refused` for a filter that is about everything, or about states that cannot be acted on."""
    if where == EVERYTHING:
        raise Refused("no_filter", "that would be about every execution there is: say which, by job, state, tenant, time ...")
    possible = LIVE if kind == "cancel" else RETRIABLE
    asked = (where.state,) if isinstance(where.state, str) else where.state
    if asked is None and kind == "retry":
        asked = RETRIED
    if impossible := [state for state in asked or () if state in EXECUTION_STATES and state not in possible]:
        raise Refused("invalid", f"there is no {kind} of what is {impossible[0]}, but of what is {', '.join(possible)}")
    return replace(where, state=None if asked is None else tuple(asked))


def until(where: ExecutionFilter, newest: datetime) -> ExecutionFilter:
    """Bounded by what there was when it was planned: what is asked for afterwards is not meant."""
    return replace(where, to=newest + timedelta(microseconds=1))


def document_of(where: ExecutionFilter) -> Raw:
    return Raw(orjson.dumps({said: value for name, said in SAID.items() if (value := getattr(where, name)) != getattr(EVERYTHING, name)}))


def filter_of(document: Mapping[str, object]) -> ExecutionFilter:
    """Raises `Refused` for what a newer release wrote: a filter read in part would mean more than it says."""
    names = {said: name for name, said in SAID.items()}
    try:
        return convert({names[said]: value for said, value in document.items()}, ExecutionFilter)
    except (KeyError, ValidationError) as error:
        raise Refused("unreadable", f"this release cannot read which executions it is about ({error}): upgrade it") from error
