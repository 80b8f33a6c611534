"""`executions cancel|retry`: one, and many by a filter."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
import typer

from ledger.cli import executions_acts
from ledger.client.waits_for import WaitsFor
from ledger.core.request import BeginBulk, Cancel, FinishBulk, Retry
from tests.unit.cli.cli_fakes import World
from tests.unit.cli.conftest import Call
from tests.unit.client.client_rows import AT, execution_row


def test_one_is_cancelled_with_actor_and_reason(call: Call, world: World) -> None:
    ended = call("executions", "cancel", "e1-0", "--reason", "a mistake", "-o", "json")
    assert ended.code == 0, ended.stderr
    (command,) = world.acts
    assert isinstance(command, Cancel)
    assert (command.execution_id, command.reason) == ("e1-0", "a mistake")
    assert command.actor and "@" in command.actor


def test_what_was_asked_to_stop_before_is_said_so(call: Call, world: World) -> None:
    world.outcome = "unchanged"
    assert "nothing had to be done" in call("executions", "cancel", "e1-0").stderr


def test_a_refusal_is_exit_4_and_no_id_exit_3(call: Call, world: World) -> None:
    world.outcome = "rejected"
    assert call("executions", "cancel", "e1-0").code == 4
    assert call("executions", "cancel", "e1").code == 3
    assert call("executions", "cancel", "e1-99").code == 3
    assert call("executions", "retry", "e2-0").code == 3


def test_a_retry_asks_for_what_was_asked_for_then(call: Call, world: World) -> None:
    world.execution = execution_row("failed")
    ended = call("executions", "retry", "e1-0", "--reason", "mended", "-o", "json")
    assert ended.json == {"outcome": "applied", "execution_id": "e2-0", "retry_of": "e1-0", "command_id": world.acts[0].command_id}
    (command,) = world.acts
    assert isinstance(command, Retry)
    assert (command.execution_id, command.job_id, command.job_version, bytes(command.data)) == ("e1-0", "greet", 1, b'{"name": "Ada"}')
    assert (command.tenant, command.exclusive_key, command.priority, command.labels) == ("acme", "7", 2, {"a": "b"})
    assert command.options is not None and command.options.attempts == 2
    assert (command.reason, command.correlation_id) == ("mended", "o-1")


@pytest.mark.parametrize(("state", "said"), [("completed", "nothing to retry"), ("active", "cancel it first")])
def test_what_needs_no_retry_gets_none(call: Call, world: World, state: str, said: str) -> None:
    world.execution = execution_row(state)
    ended = call("executions", "retry", "e1-0")
    assert (ended.code, world.acts) == (4, [])
    assert said in ended.stderr


def test_what_was_retried_is_not_retried_again(call: Call, world: World) -> None:
    world.execution, world.retry = execution_row("failed"), "e9-0"
    ended = call("executions", "retry", "e1-0")
    assert (ended.code, world.acts) == (0, [])
    assert "e9-0 retries it" in ended.stderr


def test_who_looks_at_it_sees_its_retry(call: Call, world: World) -> None:
    assert "retried_by" not in call("executions", "show", "e1-0").stdout
    world.retry = "e9-0"
    shown = call("executions", "show", "e1-0", "-o", "json").json
    assert isinstance(shown, dict) and shown["retried_by"] == "e9-0"


def test_who_looks_at_it_sees_who_holds_what_it_waits_for(call: Call, world: World) -> None:
    assert "waits_for" not in call("executions", "show", "e1-0").stdout
    world.waits_for = (WaitsFor("limit", "queue:mail", ("e7-0",), 2),)
    assert "  limit queue:mail, held by e7-0 and 1 more" in call("executions", "show", "e1-0").stdout
    shown = call("executions", "show", "e1-0", "-o", "json").json
    assert isinstance(shown, dict)
    assert shown["waits_for"] == [{"what": "limit", "name": "queue:mail", "held_by": ["e7-0"], "held": 2, "next_start_ms": None}]


def test_a_plan_counts_and_does_nothing(call: Call, world: World) -> None:
    ended = call("executions", "cancel", "--where", "--job", "greet", "--label", "a=b", "--plan", "-o", "json")
    assert (ended.code, world.acts) == (0, [])
    assert ended.json == {
        "kind": "cancel", "planned": 1, "states": {"completed": 1}, "bulk_id": None, "done": 0, "refused": 0, "reasons": {},
    }  # fmt: skip
    (asked,) = world.asked
    assert (asked.job, asked.labels) == ("greet", {"a": "b"})


def test_a_bulk_act_wants_to_be_confirmed(call: Call, world: World) -> None:
    ended = call("executions", "cancel", "--where", "--job", "greet")
    assert (ended.code, world.acts) == (4, [])
    assert "--yes" in ended.stderr


def test_a_bulk_act_is_begun_done_and_finished_under_one_name(call: Call, world: World) -> None:
    ended = call("executions", "retry", "--where", "--job", "greet", "--yes", "--reason", "mended", "-o", "json")
    assert ended.code == 0, ended.stderr
    begin, retry, finish = world.acts
    assert isinstance(begin, BeginBulk) and isinstance(retry, Retry) and isinstance(finish, FinishBulk)
    assert (begin.kind, begin.planned, begin.reason) == ("retry", 1, "mended")
    assert (retry.bulk_id, retry.command_id) == (begin.bulk_id, f"{begin.bulk_id}:e1-0")
    assert finish.bulk_id == begin.bulk_id
    assert begin.bulk_id in ended.stderr


def test_what_was_counted_and_confirmed_is_what_is_done(call: Call, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def confirm(question: str, **_: object) -> bool:
        assert question == "1 executions (1 completed) would be cancelled. Go on?"
        with pytest.raises(RuntimeError, match="no running event loop"):  # which would not pass on a Ctrl-C
            asyncio.get_running_loop()
        return True

    monkeypatch.setattr(executions_acts, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    monkeypatch.setattr(typer, "confirm", confirm)
    ended = call("executions", "cancel", "--where", "--job", "greet")
    assert ended.code == 0, ended.stderr
    shown, done = world.asked
    assert (shown.to, done) == (None, replace(shown, to=AT + timedelta(microseconds=1)))  # the newest that was counted, and none later


@pytest.mark.parametrize(("answer", "code"), [(False, 1), (typer.Abort(), 130)])
def test_who_says_no_or_interrupts_the_question_has_done_nothing(
    call: Call, world: World, monkeypatch: pytest.MonkeyPatch, answer: bool | typer.Abort, code: int
) -> None:
    def confirm(question: str, **_: object) -> bool:
        if isinstance(answer, typer.Abort):  # so it tells a Ctrl-C
            raise answer
        return answer

    monkeypatch.setattr(executions_acts, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    monkeypatch.setattr(typer, "confirm", confirm)
    assert call("executions", "cancel", "--where", "--job", "greet").code == code
    assert world.acts == []


def test_what_broke_off_is_gone_on_with_as_what_it_is(call: Call, world: World) -> None:
    ended = call("executions", "retry", "--resume", "cancel-1")
    assert (ended.code, world.acts) == (4, [])
    assert "`jobledger executions cancel --resume cancel-1`" in ended.stderr
    assert call("executions", "cancel", "--resume", "cancel-1", "-o", "json").code == 4  # one of its share was refused before
    assert [type(one) for one in world.acts] == [BeginBulk, Cancel, FinishBulk]
    assert call("executions", "cancel", "--resume", "nobody").code == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("cancel",),
        ("cancel", "e1-0", "--where", "--job", "greet"),
        ("retry", "--job", "greet"),
        ("retry", "e1-0", "--resume", "k"),
        ("cancel", "--where", "--label", "a"),
        ("cancel", "e1-0", "--plan"),
        ("retry", "e1-0", "--plan"),
        ("cancel", "--resume", "cancel-1", "--plan"),
        ("cancel", "--resume", "cancel-1", "--reason", "another"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(call: Call, world: World, arguments: tuple[str, ...]) -> None:
    assert call("executions", *arguments).code == 2
    assert world.acts == []


@pytest.mark.parametrize(
    "arguments",
    [("cancel", "--where"), ("cancel", "--where", "--state", "failed"), ("retry", "--where", "--state", "completed")],
)
def test_a_filter_that_cannot_be_acted_on_is_refused(call: Call, world: World, arguments: tuple[str, ...]) -> None:
    assert call("executions", *arguments, "--yes").code == 4
    assert world.acts == []
