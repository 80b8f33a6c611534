"""Cancel, retry and bulk acts: given executions of one partition, when an operator acts, then these events. Each repeat is quiet."""

import pytest
from msgspec import Raw, structs

from ledger.core import bulk, request, wire
from ledger.core.definition import Register, Retire
from ledger.core.execution import Cancelled, CancelRequested, Completed, Due, Requested
from ledger.core.ids import ExecutionId, Micros, execution_of_retry
from ledger.core.options import Options, kept
from ledger.core.outcome import Accepted, Answer, Forwarded, Rejected
from tests.unit.control.home import HOUR, MINUTE, NOON, SECOND, Home, fired
from tests.unit.control.test_acts import beating, reason

NOBODY = ExecutionId("0123456789abcdef0123456789abcdef-0")


def cancel(home: Home, execution_id: ExecutionId, **more: object) -> request.Cancel:
    return structs.replace(request.Cancel(home.name(), execution_id, "ada", "not needed", answer="me"), **more)


def retry(home: Home, execution_id: ExecutionId, **more: object) -> request.Retry:
    return structs.replace(request.Retry(home.name(), execution_id, "beat", 1, Raw(b'{"n":1}'), actor="ada", answer="me"), **more)


def submitted(home: Home, **more: object) -> ExecutionId:
    command = structs.replace(request.Submit(home.name(), "beat", Raw(b'{"n":1}')), **more)
    return fired(home.send(command))[0]


def answers(home: Home) -> list[tuple[object, object]]:
    return [(one.outcome, one.execution_id) for one in home.answers if isinstance(one, Answer)]


def outcome(events: list[wire.Event]) -> str:
    accepted = events[-1]
    assert isinstance(accepted, Accepted)
    return accepted.outcome


# Cancel


@pytest.mark.parametrize("what", ["waiting", "delayed", "retrying"])
def test_what_does_not_run_is_cancelled_at_once(what: str) -> None:
    home = Home()
    one = submitted(home, run_at=NOON + MINUTE if what == "delayed" else None)
    if what == "retrying":
        home.report(one, "failed", retry_after_ms=60_000, error_type="Error")
    command = cancel(home, one)
    events = home.send(command)
    ended = Cancelled(one, "asked", actor="ada", detail="not needed")
    assert events == [ended, Accepted(command.command_id, "execution.cancel.v1", "applied", "beat", None, "ada", one)]
    assert answers(home) == [("applied", one)]
    assert home.send(command) == []
    assert answers(home) == [("applied", one)]
    assert home.act(NOON + 2 * MINUTE) == []


def test_what_runs_is_asked_to_stop_once_and_says_so_at_its_end() -> None:
    home = Home()
    one = submitted(home)
    home.start(one)
    asked, _ = home.send(cancel(home, one))
    assert asked == CancelRequested(one, "asked", None, "ada", "not needed")
    again = home.send(cancel(home, one))
    assert (len(again), outcome(again)) == (1, "unchanged")
    assert home.report(one, "cancelled", run_ms=5) == [Cancelled(one, "asked", 1, 5, None, "ada", "not needed")]


def test_a_person_asks_for_more_than_a_schedule_that_wants_its_place() -> None:
    home = beating(overlap="cancel_other", every_ms=1000, exclusive_scope="job")
    (one,) = fired(home.act(NOON + SECOND))
    home.start(one)
    assert CancelRequested in [type(event) for event in home.act(NOON + 2 * SECOND)]
    asked, _ = home.send(cancel(home, one))
    assert asked == CancelRequested(one, "asked", None, "ada", "not needed")  # which is made to happen, see the runner
    again = home.send(cancel(home, one))
    assert (len(again), outcome(again)) == (1, "unchanged")
    assert CancelRequested not in [type(event) for event in home.act(NOON + 3 * SECOND)]


def test_what_has_ended_stays_as_it_is() -> None:
    home = Home()
    one = submitted(home)
    home.report(one)
    events = home.send(cancel(home, one))
    assert (len(events), outcome(events)) == (1, "unchanged")


def test_a_cancelled_attempt_that_completes_all_the_same_has_completed() -> None:
    home = Home()
    one = submitted(home)
    home.start(one)
    home.send(cancel(home, one))
    assert home.report(one) == [Completed(one, 1)]


def test_a_cancel_of_nobody_is_refused_and_the_refusal_is_repeated() -> None:
    home = Home()
    command = cancel(home, NOBODY)
    assert reason(home.send(command)) == "unknown_execution"
    assert home.send(command) == []
    assert answers(home) == [("rejected", None)]
    assert reason(home.send(cancel(home, ExecutionId("no-execution-7")))) == "unknown_execution"


def test_what_waited_for_the_cancelled_one_is_due() -> None:
    home = beating(overlap="buffer_one", exclusive_scope="none")
    (running,) = fired(home.act(NOON + MINUTE))
    (buffered,) = fired(home.act(NOON + 2 * MINUTE))
    cancelled, due, _ = home.send(cancel(home, running))
    assert isinstance(cancelled, Cancelled)
    assert due == Due(buffered)
    ended, _ = home.send(cancel(home, buffered))
    assert isinstance(ended, Cancelled)


def test_of_an_exclusivity_key_the_next_in_line_is_due() -> None:
    home = Home()
    home.ask(Register(home.name(), "sync", "sync", "on_demand", "default", 1, "h", exclusive_scope="job"))
    first, second, third = (fired(home.send(request.Submit(home.name(), "sync")))[0] for _ in range(3))
    assert [type(event) for event in home.send(cancel(home, second))] == [Cancelled, Accepted]
    assert home.send(cancel(home, first))[:-1] == [Cancelled(first, "asked", actor="ada", detail="not needed"), Due(third)]


def test_an_act_in_the_wrong_partition_is_sent_on() -> None:
    home = Home()
    home.partition.partitions = 4
    command = cancel(home, ExecutionId(NOBODY[:-1] + "3"))
    assert home.send(command) == [Forwarded(command.command_id, "execution.cancel.v1", 3)]


# Retry


def failed(home: Home, **more: object) -> ExecutionId:
    one = submitted(home, **more)
    home.report(one, "failed", error_type="Error", error_message="no")
    return one


def test_a_retry_is_a_new_execution_that_names_the_old_one_and_has_all_that_was_asked_for() -> None:
    home = Home()
    one = failed(home)
    command = retry(
        home, one, tenant="acme", priority=2, options=Options(attempts=2, start_deadline_ms=1000), labels={"a": "b"}, correlation_id="o-1",
        reason="the provider is back",
    )  # fmt: skip
    events = home.send(command)
    (requested, accepted) = events
    new = execution_of_retry(command.command_id, one, 0)
    assert isinstance(requested, Requested)
    assert (requested.execution_id, requested.trigger, requested.retry_of, requested.job_version) == (new, "retry", one, 1)
    assert (requested.tenant, requested.priority, requested.labels, bytes(requested.data)) == ("acme", 2, {"a": "b"}, b'{"n":1}')
    assert (requested.options, requested.start_deadline) == (kept(command.options), NOON + SECOND)
    assert (requested.actor, requested.reason, requested.correlation_id) == ("ada", "the provider is back", "o-1")
    assert accepted == Accepted(command.command_id, "execution.retry.v1", "applied", "beat", None, "ada", new)
    assert home.send(command) == []
    assert answers(home) == [("applied", new)]
    home.partition.acts.clear()  # its outcome is forgotten, the execution is not
    assert outcome(home.send(command)) == "unchanged"
    assert isinstance(home.report(new)[-1], Completed)


@pytest.mark.parametrize("known", ["in one commit", "from the log", "from a snapshot", "of what was forgotten"])
def test_what_was_retried_is_not_retried_again_and_who_asks_hears_of_the_first_retry(known: str) -> None:
    home = Home()
    one = NOBODY if known == "of what was forgotten" else failed(home)
    first, second = retry(home, one), retry(home, one)
    new = execution_of_retry(first.command_id, one, 0)
    if known == "in one commit":
        *_, again = home.send(first, second)
    else:
        home.send(first)
        home.restart(from_snapshot=known == "from a snapshot")
        (again,) = home.send(second)
    assert again == Accepted(second.command_id, "execution.retry.v1", "unchanged", "beat", None, "ada", new)
    assert answers(home)[-1] == ("unchanged", new)
    home.report(new, "failed", error_type="Error")
    assert outcome(home.send(retry(home, new))) == "applied"


def test_retries_are_remembered_for_as_long_as_what_was_retried() -> None:
    home = Home()
    one = failed(home)
    home.send(retry(home, one))
    home.now += 2 * HOUR
    submitted(home)
    home.partition.settle(Micros(home.now))
    assert home.partition.retries == {}


def test_what_has_not_ended_is_not_retried() -> None:
    home = Home()
    one = submitted(home)
    assert reason(home.send(retry(home, one))) == "still_running"
    home.start(one)
    assert reason(home.send(retry(home, one))) == "still_running"


def test_what_control_has_forgotten_is_retried_on_the_word_of_the_tables() -> None:
    assert outcome(Home().send(retry(Home(), NOBODY))) == "applied"


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        ({"job_id": "nobody"}, "unknown_job"),
        ({"job_version": 9}, "unknown_version"),
        ({"priority": 10}, "invalid"),
        ({"labels": {f"l{number}": "" for number in range(33)}}, "invalid"),
        ({"tenant": ""}, "invalid"),
        ({"options": Options(start_deadline_ms=10**16)}, "invalid"),
        ({"tick_at": 10**18}, "invalid"),
    ],
)
def test_a_retry_that_cannot_be_is_refused(more: dict[str, object], refused: str) -> None:
    home = Home()
    assert reason(home.send(retry(home, failed(home), **more))) == refused


def test_nothing_of_a_retired_job_is_retried() -> None:
    home = beating()
    (one,) = fired(home.act(NOON + MINUTE))
    home.report(one, "failed", error_type="Error")
    home.ask(Retire(home.name(), "beat:1"))
    home.act()
    assert reason(home.send(retry(home, one, job_id="beat:1"))) == "retired"


def test_the_retry_of_a_tick_has_the_data_of_its_version_and_excludes_as_the_tick_did() -> None:
    home = beating(tenant="acme", exclusive_scope="tenant")
    (one,) = fired(home.act(NOON + MINUTE))
    home.report(one, "failed", error_type="Error")
    (holder,) = fired(home.send(request.RunNow(home.name(), "beat:1")))
    requested, _ = home.send(retry(home, one, job_id="beat:1", data=Raw(b""), tick_at=NOON + MINUTE))
    assert isinstance(requested, Requested)
    assert (requested.tenant, requested.exclusive_key, requested.blocked_by) == ("acme", "tenant:beat:acme", holder)
    assert (bytes(requested.data), requested.tick_at) == (b"", NOON + MINUTE)
    assert requested.execution_id in home.live()


# Bulk acts


def test_a_bulk_act_is_begun_once_names_its_acts_and_is_finished_once() -> None:
    home = Home()
    one, two = submitted(home), failed(home)
    assert reason(home.send(cancel(home, one, bulk_id="k"))) == "no_bulk"
    begin = request.BeginBulk(home.name(), "k", "cancel", 2, Raw(b'{"job":"beat"}'), "ada", "a mistake", answer="me")
    begun, accepted = home.send(begin)
    assert begun == bulk.Begun("k", "cancel", 2, Raw(b'{"job":"beat"}'), "ada", "a mistake")
    assert home.send(begin) == []
    assert outcome(home.send(structs.replace(begin, command_id="again"))) == "unchanged"
    home.restart(from_snapshot=True)
    _, accepted = home.send(cancel(home, one, bulk_id="k"))
    assert isinstance(accepted, Accepted) and accepted.bulk_id == "k"
    (refused,) = home.send(cancel(home, NOBODY, bulk_id="k"))
    assert isinstance(refused, Rejected) and refused.bulk_id == "k"
    assert outcome(home.send(cancel(home, two, bulk_id="k"))) == "unchanged"
    finish = request.FinishBulk(home.name(), "k", answer="me")
    assert home.send(finish)[:-1] == [bulk.Finished("k")]
    assert home.send(finish) == []
    assert outcome(home.send(structs.replace(finish, command_id="twice"))) == "unchanged"
    assert outcome(home.send(structs.replace(begin, command_id="anew"))) == "unchanged"
    home.restart(from_snapshot=True)
    assert reason(home.send(cancel(home, one, bulk_id="k"))) == "no_bulk"


@pytest.mark.parametrize("planned", [-1, 10**9])
def test_a_plan_that_cannot_be_is_refused(planned: int) -> None:
    assert reason(Home().send(request.BeginBulk("b", "k", "retry", planned))) == "invalid"
