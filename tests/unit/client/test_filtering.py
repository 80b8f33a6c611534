"""Which executions a bulk act is about."""

from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from ledger.client.filtering import document_of, filter_of, meant, until
from ledger.core.bulk import OnExecutions
from ledger.core.refusal import Refused
from projections.rows import ExecutionFilter

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
WHOLE = ExecutionFilter("j", "n", ("failed", "lost"), "acme", 3, "w", "b", {"a": "b"}, {"account.id": "7"}, AT, AT)


@pytest.mark.parametrize("where", [WHOLE, ExecutionFilter(tenant="acme"), replace(WHOLE, from_=None), replace(WHOLE, state=(), version=0)])
def test_it_is_read_as_it_was_written(where: ExecutionFilter) -> None:
    document = orjson.loads(bytes(document_of(where)))
    assert None not in document.values()
    assert filter_of(document) == where


@pytest.mark.parametrize("document", [{"job": "j", "of_tomorrow": 1}, {"version": "x"}])
def test_what_a_newer_release_wrote_is_refused_not_read_in_part(document: dict[str, object]) -> None:
    with pytest.raises(Refused, match="unreadable"):
        filter_of(document)


def test_a_retry_means_what_failed_unless_it_says_otherwise() -> None:
    assert meant("retry", ExecutionFilter(job="j")).state == ("failed", "timed_out", "lost")
    assert meant("retry", ExecutionFilter(state="cancelled")).state == ("cancelled",)
    assert meant("cancel", ExecutionFilter(job="j")).state is None


@pytest.mark.parametrize("kind", ["cancel", "retry"])
def test_of_no_states_there_is_nothing_and_not_everything(kind: OnExecutions) -> None:
    assert meant(kind, ExecutionFilter(state=())).state == ()
    with pytest.raises(Refused, match="no_filter"):
        meant(kind, ExecutionFilter())


def test_what_comes_later_is_not_meant() -> None:
    bounded = until(ExecutionFilter(job="j"), AT)
    assert bounded.to is not None and bounded.to > AT
