"""Acts on jobs, queues, tenants and keys: the command each becomes, with its actor and reason, and the exit code of its decision."""

import json
from pathlib import Path

import pytest

from ledger.client.who import who
from ledger.core import pause
from ledger.core.definition import Retire, ScheduleJob
from ledger.core.ids import job_id_of
from ledger.core.refusal import Refused, Unavailable
from ledger.core.request import Backfill, SkipTick
from tests.unit.cli.cli_fakes import World
from tests.unit.cli.conftest import Call

SCHEDULE = ("jobs", "schedule", "sync", "--cron", "0 */15 * * * *", "--tenant", "acme", "--name", "hourly")
RANGE = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z")


def test_schedule_says_all_that_the_options_say(call: Call, world: World) -> None:
    ended = call(
        *SCHEDULE, "--timezone", "Europe/Berlin", "--dst", "last", "--overlap", "buffer_one", "--catchup-window", "10m", "--jitter", "30s",
        "--data", '{"a": 1}', "--attempts", "2", "--reason", "asked for", "-o", "json",
    )  # fmt: skip
    assert (ended.code, ended.stderr) == (0, "")
    [command] = world.acts
    assert isinstance(command, ScheduleJob)
    spec = command.schedule
    assert (spec.cron, spec.timezone, spec.dst, spec.overlap) == (("0 */15 * * * *",), "Europe/Berlin", "last", "buffer_one")
    assert (spec.catchup_window_ms, spec.jitter_ms, bytes(command.data)) == (600_000, 30_000, b'{"a": 1}')
    assert (command.actor, command.reason, command.exclusive_scope) == (who(), "asked for", "tenant")
    printed = {"command_id": command.command_id, "outcome": "applied", "job_id": job_id_of("sync", "acme", "hourly")}
    assert ended.json == {**printed, "log": "registry", "partition": 0, "seq": 7}


def test_schedule_warns_of_what_is_probably_not_meant(call: Call) -> None:
    ended = call("jobs", "schedule", "sync", "--cron", "30 2 * * *", "--coalesce", "all")
    assert ended.code == 0
    assert "a fixed hour without a time zone" in ended.stderr
    assert "catchup.coalesce 'all' with overlap 'skip' runs one" in ended.stderr


def test_the_plan_of_a_schedule_does_nothing(call: Call, world: World) -> None:
    ended = call(*SCHEDULE, "--plan", "-o", "jsonl")
    assert (ended.code, len(ended.stdout.splitlines()), world.acts) == (0, 5, [])


def test_scheduling_the_same_again_says_so(call: Call, world: World) -> None:
    world.outcome = "unchanged"
    ended = call(*SCHEDULE)
    assert ended.code == 0
    assert "nothing had to be done" in ended.stderr


def test_many_at_once_from_a_file(call: Call, world: World, tmp_path: Path) -> None:
    file = tmp_path / "plans.jsonl"
    file.write_text("".join(json.dumps({"job": "sync", "every": "1h", "tenant": f"t{number}"}) + "\n" for number in range(3)))
    ended = call("jobs", "schedule", "--many", str(file), "-o", "jsonl")
    assert (ended.code, ended.stderr) == (0, "3 applied\n")
    assert [json.loads(line)["job_id"] for line in ended.stdout.splitlines()] == [job_id_of("sync", f"t{n}", None) for n in range(3)]
    assert len(world.acts) == 3


@pytest.mark.parametrize("beside", [("--plan",), ("--tenant", "acme"), ("sync",), ("--exclusive", "tenant")])
def test_beside_many_of_a_file_nothing_is_said_in_vain(call: Call, world: World, beside: tuple[str, ...]) -> None:
    ended = call("jobs", "schedule", "--many", "-", *beside, input='{"job": "sync", "every": "1h"}\n')
    assert (ended.code, world.acts) == (2, [])
    assert "each line of the file" in ended.stderr


def test_of_many_that_cannot_be_nothing_is_sent(call: Call, world: World) -> None:
    ended = call("jobs", "schedule", "--many", "-", input='{"job": "sync", "every": "1h"}\n{"job": "sync", "evry": "1h"}\n')
    assert (ended.code, world.acts) == (4, [])
    assert "item 2: a schedule has no field 'evry'; did you mean 'every'?; nothing was sent" in ended.stderr


def test_many_of_which_some_are_refused_is_exit_4(call: Call, world: World) -> None:
    world.outcome = "rejected"
    ended = call("jobs", "schedule", "--many", "-", "-o", "jsonl", input='{"job": "sync", "every": "1h"}\n')
    assert (ended.code, json.loads(ended.stdout)["reason"]) == (4, "because")


@pytest.mark.parametrize(
    ("arguments", "scope", "name"),
    [
        (("jobs", "pause", "hourly"), "job", "hourly"),
        (("queues", "pause", "default"), "queue", "default"),
        (("tenants", "pause", "Ümläut & Co"), "tenant", "Ümläut & Co"),
        (("keys", "pause", "key:send:7/8"), "key", "key:send:7/8"),
    ],
)
def test_pauses_and_resumes(call: Call, world: World, arguments: tuple[str, ...], scope: str, name: str) -> None:
    assert call(*arguments, "--note", "stock-taking", "--reason", "asked for").code == 0
    assert call(arguments[0], "resume", name).code == 0
    begin, end = world.acts
    assert isinstance(begin, pause.Pause)
    assert (begin.scope, begin.name, begin.note, begin.actor, begin.reason) == (scope, name, "stock-taking", who(), "asked for")
    assert isinstance(end, pause.Resume)
    assert (end.scope, end.name, end.actor) == (scope, name, who())


@pytest.mark.parametrize("arguments", [("queues", "pause", "defautl"), (*SCHEDULE, "--queue", "defautl")])
def test_a_queue_that_is_not_there_is_exit_3(call: Call, world: World, arguments: tuple[str, ...]) -> None:
    ended = call(*arguments)
    assert (ended.code, world.acts) == (3, [])
    assert "did you mean 'default'?" in ended.stderr


def test_what_has_work_and_what_is_paused_is_listed(call: Call, world: World) -> None:
    default, former = call("queues", "list", "-o", "jsonl").stdout.splitlines()
    at = "2026-01-02T03:04:05.678Z"
    assert json.loads(default) == {
        "name": "default", "waiting": 3, "delayed": 1, "active": 2, "waits_since": at, "paused": True, "note": "stock-taking",
        "actor": "ada", "since": at, "partitions": 4,
    }  # fmt: skip
    assert (json.loads(former)["name"], json.loads(former)["partitions"]) == ("former", None)
    world.next = "more"
    tenants = call("tenants", "list", "-o", "jsonl")
    assert [json.loads(line)["name"] for line in tenants.stdout.splitlines()] == ["acme", "zoo"]
    assert "--cursor more" in tenants.stderr
    assert call("keys", "list", "-o", "jsonl").stdout == ""


def test_retire(call: Call, world: World) -> None:
    assert call("jobs", "retire", "hourly", "--reason", "gone").code == 0
    [command] = world.acts
    assert isinstance(command, Retire)
    assert (command.job_id, command.reason) == ("hourly", "gone")


def test_skip_one_tick(call: Call, world: World) -> None:
    assert call("jobs", "skip", "hourly", "2026-10-25T02:00:00+02:00").code == 0
    [command] = world.acts
    assert isinstance(command, SkipTick)
    assert command.tick_at == 1_792_886_400_000_000


def test_the_plan_of_a_backfill_counts(call: Call, world: World) -> None:
    ended = call("jobs", "backfill", "hourly", *RANGE, "--plan", "-o", "json")
    assert (ended.code, ended.json["planned"], ended.json["job_version"], world.acts) == (0, 24, 2, [])  # type: ignore[index]


def test_the_plan_of_a_backfill_is_refused_where_the_act_would_be(call: Call, world: World) -> None:
    ended = call("jobs", "backfill", "hourly", "--from", "2026-01-01", "--to", "2999-01-01", "--plan")
    assert (ended.code, ended.stdout, world.acts) == (4, "", [])
    assert "to 2999-01-01T00:00:00.000Z is in the future" in ended.stderr


def test_a_backfill_is_named_by_its_range(call: Call, world: World) -> None:
    for _ in range(2):
        assert call("jobs", "backfill", "hourly", *RANGE, "--only-unfired").code == 0
    assert call("jobs", "backfill", "hourly", *RANGE, "--id", "again").code == 0
    first, second, third = (one for one in world.acts if isinstance(one, Backfill))
    assert first.backfill_id == second.backfill_id != third.backfill_id == "again"
    assert (first.only_unfired, third.only_unfired, first.to_inclusive - first.from_exclusive) == (True, False, 86_400_000_000)


def test_a_large_backfill_has_to_be_confirmed(call: Call, world: World) -> None:
    large = ("jobs", "backfill", "hourly", "--from", "2020-01-01", "--to", "2026-01-01")
    ended = call(*large)
    assert (ended.code, world.acts) == (4, [])
    assert "52608 executions of hourly, more than 10000" in ended.stderr
    assert (call(*large, "--yes").code, len(world.acts)) == (0, 1)


@pytest.mark.parametrize(("error", "code"), [(Refused("unknown_job", "no"), 3), (Refused("read_only", "no"), 4), (Unavailable("away"), 5)])
def test_what_control_says_is_the_exit_code(call: Call, world: World, error: Refused | Unavailable, code: int) -> None:
    world.error = error
    assert call("jobs", "retire", "hourly").code == code


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "backfill", "greet", *RANGE),  # has no schedule
        ("jobs", "backfill", "hourly", "--from", "2026-01-02", "--to", "2026-01-01"),
        ("jobs", "pause", "a/../b"),
        ("jobs", "retire", "line\nbreak"),
        ("keys", "pause", "send:7"),
        ("jobs", "schedule", "sync"),  # neither cron, every nor at
        ("jobs", "schedule", "sync", "--every", "1h", "--overlap", "skp"),
    ],
)
def test_what_cannot_be_is_exit_4_and_not_sent(call: Call, world: World, arguments: tuple[str, ...]) -> None:
    assert (call(*arguments).code, world.acts) == (4, [])
