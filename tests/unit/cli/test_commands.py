"""Data to stdout, talk to stderr, and the exit codes that scripts rely on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from msgspec import Raw

from ledger.cli.inputs import LARGEST_INPUT, LONGEST_LINE
from ledger.client.errors import Undecided
from ledger.core.exact_json import loads
from ledger.core.refusal import LedgerError, Refused, Unavailable
from ledger.submitting.encoding import encode_data
from tests.unit.cli.cli_fakes import World
from tests.unit.cli.conftest import Call
from tests.unit.client.client_rows import execution_row


def test_submit_prints_the_execution(call: Call, world: World) -> None:
    ended = call("submit", "greet", "--data", '{"name": "Ada"}', "--label", "a=b", "--tenant", "t", "--priority", "0", "--delay", "90s")
    assert (ended.code, ended.stdout, ended.stderr) == (0, "e1-0\n", "")
    [wish] = world.submitted
    assert isinstance(wish.data, Raw)
    assert json.loads(bytes(wish.data)) == {"name": "Ada"}
    assert (wish.labels, wish.tenant, wish.priority, wish.delay) == ({"a": "b"}, "t", 0, "90s")


def test_submit_for_programs(call: Call) -> None:
    assert call("submit", "greet", "-o", "json").json == {"execution_id": "e1-0", "command_id": "c1", "was_known": False}


@pytest.mark.parametrize("source", ["stdin", "file"])
def test_data_may_come_from_elsewhere(call: Call, world: World, tmp_path: Path, source: str) -> None:
    file = tmp_path / "data.json"
    file.write_text(' {"a": 1}\n')
    ended = call("submit", "greet", "--data", "-", input='{"a": 1}') if source == "stdin" else call("submit", "greet", "--data", f"@{file}")
    assert ended.code == 0
    data = world.submitted[0].data
    assert isinstance(data, Raw)
    assert bytes(data) == b'{"a": 1}'


def test_wait_prints_the_result_and_tells_progress_on_stderr(call: Call) -> None:
    ended = call("submit", "greet", "--wait")
    assert (ended.code, ended.stdout) == (0, '"Hello"\n')
    assert "e1-0  completed" in ended.stderr


@pytest.mark.parametrize("state", ["failed", "timed_out", "lost", "skipped", "missed", "cancelled"])
def test_any_other_end_than_completed_is_exit_6(call: Call, world: World, state: str) -> None:
    world.execution = execution_row(state, reason="because", error=("Oops", "no"))
    ended = call("submit", "greet", "--wait")
    assert (ended.code, ended.stdout) == (6, "")
    assert "execution e1-0" in ended.stderr


@pytest.mark.parametrize("command", [("submit", "greet"), ("run", "tick")])
@pytest.mark.parametrize("wait", [("--wait",), ()], ids=["asked to wait", "by the bound alone"])
def test_time_out_of_the_wait_is_exit_124(call: Call, world: World, command: tuple[str, ...], wait: tuple[str, ...]) -> None:
    world.execution = execution_row("active")
    ended = call(*command, *wait, "--wait-timeout", "200ms")
    assert (ended.code, ended.stdout) == (124, "")
    assert "goes on" in ended.stderr


@pytest.mark.parametrize("command", [("submit", "greet"), ("run", "tick")])
@pytest.mark.parametrize(("wait", "bound", "code"), [("3s", 3, 124), ("10s", 10, 124), ("11s", 10, 5), (None, 10, 5)])
def test_where_nobody_decides_the_time_of_the_wait_runs_out_with_that_of_the_decision(
    call: Call, world: World, command: tuple[str, ...], wait: str | None, bound: float, code: int
) -> None:
    world.error = Undecided("c1", bound)
    ended = call(*command, *([] if wait is None else ["--wait-timeout", wait]))
    assert (ended.code, ended.stdout, world.timeouts) == (code, "", [bound])
    assert "jobledger commands show c1" in ended.stderr


def test_run_now(call: Call, world: World) -> None:
    assert call("run", "tick", "--reason", "to see", "--wait").code == 0
    assert (world.submitted[0].job, world.submitted[0].reason) == ("tick", "to see")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("unknown_job", "no job is called x"), 3),
        (Refused("not_on_demand", "a system job"), 4),
        (Unavailable("no broker at a:1"), 5),
        (Undecided("c1", 10), 5),
    ],
)
def test_errors_have_their_exit_codes(call: Call, world: World, error: LedgerError, code: int) -> None:
    world.error = error
    ended = call("submit", "greet")
    assert (ended.code, ended.stdout) == (code, "")
    assert "error: " in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("submit",), "which one?"),
        (("submit", "a", "--data", "{a"), "it is no JSON"),
        (("submit", "a", "--data", "@nowhere.json"), "cannot be read"),
        (("submit", "a", "--label", "x"), "name=value"),
        (("submit", "a", "--delay", "5"), "has no unit"),
        (("submit", "a", "--wait", "--wait-timeout", "5"), "has no unit"),
        (("workers", "drain", "w", "--wait-timeout", "5"), "has no unit"),
        (("apply", "--exit-code"), "goes with --plan; nothing was done"),
        (("projections", "swap", "--back", "--keep-old"), "leave out --keep-old and --no-verify"),
        (("submit", "a", "--priority", "10"), "--priority"),
        (("submit", "a", "--many", "-"), "each line of the file"),
        (("submit", "a", "--jbo"), "No such option"),
        (("executions", "list", "--from", "yesterday"), "is no instant"),
        (("executions", "list", "--from", "0001-01-01T00:00+14:00"), "edge of the calendar"),
        (("executions", "list", "--limit", "1000"), "--limit"),
        (("nosuch",), "No such command"),
    ],
)
def test_what_cannot_be_read_is_a_usage_error(call: Call, arguments: tuple[str, ...], words: str) -> None:
    ended = call(*arguments)
    assert (ended.code, ended.stdout) == (2, "")
    assert words in ended.stderr


def test_what_is_too_large_to_be_read_is_said_to_be_so(call: Call) -> None:
    ended = call("submit", "a", "--data", "-", input='"' + "x" * LARGEST_INPUT + '"')
    assert (ended.code, "more than 1048576 bytes" in ended.stderr) == (2, True)


def test_many_of_stdin(call: Call, world: World) -> None:
    ended = call("submit", "--many", "-", input='{"job": "a", "data": 1}\n\n{"job": "b", "tenant": "t"}\n')
    assert (ended.code, ended.stdout) == (0, "e1-0\ne2-0\n")
    assert ended.stderr == "2 submitted\n"
    assert [(one.job, one.tenant) for one in world.submitted] == [("a", None), ("b", "t")]


def test_where_many_break_off_it_is_told_which_of_them_are_in_doubt(call: Call, world: World) -> None:
    world.error = Unavailable("no broker at k:9092")
    ended = call("submit", "--many", "-", input='{"job": "a"}\n{"job": "b"}\n')
    assert (ended.code, ended.stdout) == (5, "")
    assert ended.stderr == "items 1 to 2: some of them may be submitted, too\nerror: no broker at k:9092"


def test_numbers_of_a_line_keep_their_digits(call: Call, world: World) -> None:
    data = '{"id": 123456789012345678901234567890, "rate": 0.12345678901234567890123}'
    assert call("submit", "--many", "-", input=f'{{"job": "a", "data": {data}}}\n').code == 0
    [one] = world.submitted
    assert bytes(encode_data(one.data)) == data.encode()


LONG = '"' + "x" * LONGEST_LINE + '"'


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2 is no JSON object"),
        ("[]", "line 2"),
        ('{"jbo": "a"}', "did you mean 'job'?"),
        (f'{{"job": "a", "data": {LONG}}}', f"line 2 has more than {LONGEST_LINE} bytes"),
    ],
)
def test_a_bad_line_is_named(call: Call, line: str, words: str) -> None:
    ended = call("submit", "--many", "-", input=f'{{"job": "a"}}\n{line}\n')
    assert ended.code == 4
    assert words in ended.stderr


def test_lists_as_a_table_and_for_programs(call: Call) -> None:
    table = call("jobs", "list").stdout.splitlines()
    assert table[0].split()[:3] == ["JOB", "ID", "KIND"]
    assert table[1].split()[:3] == ["greet", "on_demand", "active"]
    as_json = call("jobs", "list", "-o", "json").json
    assert isinstance(as_json, list)
    assert as_json[0]["created_at"] == "2026-01-02T03:04:05.678Z"
    assert [json.loads(line) for line in call("jobs", "list", "-o", "jsonl").stdout.splitlines()] == as_json
    assert yaml.safe_load(call("jobs", "list", "-o", "yaml").stdout) == as_json


def test_a_further_page_is_told_on_stderr(call: Call, world: World) -> None:
    world.next = "abc"
    ended = call("executions", "list", "-o", "jsonl")
    assert len(ended.stdout.splitlines()) == 1
    assert ended.stderr == "there are more: --cursor abc\n"


def test_filters_reach_the_tables(call: Call, world: World) -> None:
    arguments = (
        "--job greet --state failed --state lost --label a=b --data account.id=7 --from 2026-01-01 --version 2 --worker w --backfill b"
    )
    assert call("executions", "list", *arguments.split()).code == 0
    [where] = world.asked
    assert (where.job, where.state, where.labels, where.data) == ("greet", ("failed", "lost"), {"a": "b"}, {"account.id": "7"})
    assert (where.version, where.worker, where.backfill, str(where.from_)) == (2, "w", "b", "2026-01-01 00:00:00+00:00")


def test_one_thing_with_its_parts(call: Call) -> None:
    job = call("jobs", "show", "greet", "-o", "json").json
    assert isinstance(job, dict)
    assert [one["job_version"] for one in job["versions"]] == [1]
    execution = call("executions", "show", "e1-0", "-o", "json").json
    assert isinstance(execution, dict)
    assert [one["token"] for one in execution["attempts"]] == [7]
    command = call("commands", "show", "c1", "-o", "json").json
    assert isinstance(command, dict)
    assert command["execution_id"] == "e1-0"


def test_a_job_says_that_it_has_more_versions_than_it_shows(call: Call, world: World) -> None:
    whole = call("jobs", "show", "greet", "-o", "json")
    assert isinstance(whole.json, dict) and (whole.json["versions_next"], whole.stderr) == (None, "")
    world.next = "further"
    for form in ("table", "json"):
        assert (
            "there are more versions: `jobledger jobs versions greet --cursor further`" in call("jobs", "show", "greet", "-o", form).stderr
        )
    part = call("jobs", "show", "greet", "-o", "json").json
    assert isinstance(part, dict) and part["versions_next"] == "further"


@pytest.mark.parametrize("noun", ["jobs", "executions", "commands"])
def test_what_is_not_there_is_exit_3(call: Call, noun: str) -> None:
    ended = call(noun, "show", "nosuch")
    assert (ended.code, ended.stdout) == (3, "")


def test_a_list_says_what_holds_an_execution(call: Call, world: World) -> None:
    world.execution = replace(execution_row("waiting"), waiting_reason="paused(tenant)")
    assert "paused(tenant)" in call("executions", "list").stdout


def test_what_users_stored_does_not_steer_the_terminal(call: Call, world: World) -> None:
    world.execution = execution_row("skipped", reason="\x1b[31mred\n")
    assert "\\x1b[31mred\\x0a" in call("executions", "list").stdout


@pytest.mark.parametrize("number", ["12345678901234567890123", "0.10000000000000000555"])
def test_a_number_is_shown_with_all_its_digits(call: Call, world: World, number: str) -> None:
    world.execution = execution_row("completed", result=loads(number))
    assert call("submit", "greet", "--wait").stdout == f"{number}\n"
    for form in ("table", "json", "jsonl", "yaml"):
        assert number in call("executions", "show", "e1-0", "-o", form).stdout


def test_neither_does_a_result(call: Call, world: World) -> None:
    world.execution = execution_row("completed", result="\x9b31mred")
    ended = call("submit", "greet", "--wait")
    assert (ended.stdout, ended.json) == ('"\\u009b31mred"\n', "\x9b31mred")
