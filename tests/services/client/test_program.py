"""The program against the running system: what scripts build on."""

import json
import time

from tests.services.client.conftest import System


def test_submit_and_wait(system: System) -> None:
    ended = system.call("submit", "bill", "--data", '{"number": 5}', "--wait", "-o", "jsonl")
    assert (ended.returncode, ended.stdout) == (0, '{"billed":5}\n'), ended.stderr
    assert "completed" in ended.stderr


def test_a_failure_is_exit_6(system: System) -> None:
    ended = system.call("submit", "refuse", "--data", '{"number": 5}', "--wait")
    assert (ended.returncode, ended.stdout) == (6, "")
    assert "order 5 is no good" in ended.stderr


def test_unknown_is_exit_3_and_refused_is_exit_4(system: System) -> None:
    assert system.call("submit", "nosuch").returncode == 3
    assert system.call("submit", "tick").returncode == 4


def test_many_of_a_file(system: System) -> None:
    lines = "".join(json.dumps({"job": "bill", "data": {"number": number}, "labels": {"file": "1"}}) + "\n" for number in range(50))
    ended = system.call("submit", "--many", "-", input=lines)
    assert (ended.returncode, len(ended.stdout.splitlines())) == (0, 50), ended.stderr
    for execution_id in ended.stdout.splitlines()[:2]:
        assert system.call("executions", "show", execution_id).returncode in (0, 3)  # the tables may be behind


def test_history_of_an_execution(system: System) -> None:
    ended = system.call("run", "tick", "--wait", "-o", "jsonl")
    assert (ended.returncode, ended.stdout) == (0, '"tock"\n'), ended.stderr
    execution_id = ended.stderr.split()[0]
    shown = json.loads(system.call("executions", "show", execution_id, "--events", "-o", "json").stdout)
    assert [one["type"] for one in shown["events"]] == ["execution.requested.v1", "execution.started.v1", "execution.completed.v1"]
    command = json.loads(system.call("commands", "show", shown["command_id"], "--events", "-o", "json").stdout)
    assert (command["outcome"], command["execution_id"]) == ("accepted", execution_id)
    assert command["events"] == shown["events"]
    assert [one["cause"] for one in shown["events"]] == [f"command {shown['command_id']}", "report", "report"]
    assert [one["type"] for one in shown["origin"]] == ["job.versioned.v1", "manifest.applied.v1"]
    started = "{partition}-{seq}-{index}".format(**shown["events"][1])
    then = json.loads(system.call("executions", "show", execution_id, "--events", "--as-of", started, "-o", "json").stdout)
    assert (then["state"], then["events"], then["origin"]) == ("active", shown["events"][:2], shown["origin"])
    past = json.loads(system.call("jobs", "show", "tick", "--history", "--limit", "1", "--as-of", started, "-o", "json").stdout)
    assert past["events"][-1] == shown["events"][0]


def test_from_a_line_of_the_configuration_to_the_ticks_and_back(system: System) -> None:
    """A manifest put the version in force, by a command; the home partition took it over; the registry's event is named there."""
    shown = json.loads(system.call("jobs", "show", "tick", "--history", "-o", "json").stdout)
    said = {one["type"]: one for one in shown["events"]}
    assert list(said)[:4] == ["job.registered.v1", "job.versioned.v1", "manifest.applied.v1", "schedule.adopted.v1"]
    applied = said["manifest.applied.v1"]
    assert (applied["log"], applied["event"]["in_force"]) == ("registry", [["tick", 1]])
    assert said["schedule.adopted.v1"]["cause"] == f"registry {applied['seq']}-{applied['index']}"
    kind, command_id = applied["cause"].split()
    assert (kind, applied["actor"]) == ("command", said["job.registered.v1"]["actor"])
    decided = json.loads(system.call("commands", "show", command_id, "--events", "-o", "json").stdout)
    assert [one["type"] for one in decided["events"]] == ["manifest.applied.v1", "command.accepted.v1"]
    assert system.call("jobs", "show", "nosuch", "--history").returncode == 3


def test_apply_again_changes_nothing(system: System) -> None:
    ended = system.call("apply", "--plan", "--exit-code", "-o", "json")
    assert (ended.returncode, json.loads(ended.stdout)["manifest"]) == (0, "unchanged"), ended.stderr
    assert "nothing had to be done" in system.call("apply").stderr


def test_the_past_on_the_command_line(system: System) -> None:
    """Before the configuration was applied there was nothing; what has changed since then is all of it."""
    before = "registry-1"
    assert system.call("jobs", "list", "--as-of", before, "-o", "jsonl").stdout == ""
    assert system.call("jobs", "show", "tick", "--as-of", before).returncode == 3
    shown = system.call("diff", "--from", before, "-o", "json")
    changes = json.loads(shown.stdout)["changes"]
    assert {("job", "tick", "added"), ("version", "tick 1", "added"), ("schedule", "tick", "added")} <= {
        (one["kind"], one["name"], one["what"]) for one in changes
    }
    assert system.call("executions", "list", "--as-of", "2020-01-01").stdout.count("\n") == 1


def test_a_worker_is_shown_and_asked_to_go(system: System) -> None:
    before = {one["worker"] for one in json.loads(system.call("workers", "list", "-o", "json").stdout)}
    with system.running("worker", "--only", "runner", "--no-apply") as program:
        deadline = time.monotonic() + 60
        while not (new := {one["worker"] for one in json.loads(system.call("workers", "list", "-o", "json").stdout)} - before):
            assert time.monotonic() < deadline and program.poll() is None, "it did not come"
        (worker,) = new
        shown = json.loads(system.call("workers", "show", worker, "-o", "json").stdout)
        assert (shown["state"], shown["queue"], shown["running"], shown["executions"]) == ("working", "default", 0, [])
        assert shown["jobs"]["bill"] == 1 and shown["slots"] == system.settings.limits.slots and shown["version"]
        ended = system.call("workers", "drain", worker, "--wait", "--wait-timeout", "60s", "-o", "json")
        assert (ended.returncode, json.loads(ended.stdout)["state"]) == (0, "gone"), ended.stderr
        assert program.wait(30) == 0, "its supervisor has nothing left to keep"
    assert system.call("workers", "drain", worker).returncode == 3
